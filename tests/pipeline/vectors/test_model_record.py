import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.models import precision
from pairsieve.pipeline.vectors import model_record
from pairsieve.pipeline.vectors.model_record import ModelRecord
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Embed

RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
RECORD = ModelRecord("ViT-B-32", "openai", 512, 99.5, 0.0, "a" * 64, "b" * 64, "bf16")
WRITTEN = """{
 "model": "ViT-B-32",
 "pretrained": "openai",
 "dimensions": 512,
 "logit_scale": 99.5,
 "logit_bias": 0.0,
 "weights_sha256": "WEIGHTS",
 "settings_sha256": "SETTINGS",
 "precision": "bf16"
}""".replace("WEIGHTS", "a" * 64).replace("SETTINGS", "b" * 64)


@pytest.fixture
def options(tmp_path: Path, random_model: RandomModel) -> Embed:
    return Embed.model_validate(random_model(tmp_path, CONFIG))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "dataset")


def loaded_precision(store: Store, options: Embed) -> str:
    """Load the model as an actor does; return the precision it has."""
    return model_record.claim_folder(store, "tiny", options)[0].precision


def test_a_record_is_written_as_json_and_read_back() -> None:
    assert json.dumps(RECORD.to_json(), indent=1) == WRITTEN
    assert ModelRecord.from_json(json.loads(WRITTEN)) == RECORD


def test_a_record_without_a_precision_is_of_single_precision() -> None:
    content = json.loads(WRITTEN)
    content.pop("precision")
    assert ModelRecord.from_json(content).precision == "fp32"


def test_every_column_but_the_row_names_the_model() -> None:
    table = model_record.with_model_metadata(pa.table({"row": [1], "nsfw": [0.5]}), RECORD)
    assert table.schema.field("row").metadata is None
    metadata = table.schema.field("nsfw").metadata
    assert metadata[b"model.model"] == b"ViT-B-32"
    assert metadata[b"model.dimensions"] == b"512"
    assert metadata[b"model.logit_scale"] == b"99.5"


def test_a_folder_without_a_record_has_no_model_yet(store: Store) -> None:
    assert model_record.find_record(store, "tiny") is None
    with pytest.raises(Stopped, match=r"embed/tiny\.json: gone"):
        model_record.read_record(store, "tiny")


def test_what_auto_took_first_is_recorded_and_taken_again(
    store: Store, options: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "ORDER", {"cpu": ("bf16", "fp32")})
    monkeypatch.setattr(precision, "_has", lambda *_: True)
    assert loaded_precision(store, options) == "bf16"
    assert model_record.read_record(store, "tiny").precision == "bf16"
    monkeypatch.setattr(precision, "_has", lambda *_: False)  # a machine that would take fp32
    assert loaded_precision(store, options) == "bf16"


def test_the_first_of_two_that_chose_at_the_same_time_wins(
    store: Store, options: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_has", lambda *_: False)
    assert loaded_precision(store, options) == "fp32"
    record = replace(model_record.read_record(store, "tiny"), precision="bf16")
    # The other one puts its choice there after this one has looked.
    reads = iter([None])
    monkeypatch.setattr(model_record, "find_record", lambda *_: next(reads, record))
    store.write(paths.model_record("tiny"), json.dumps(record.to_json()).encode())
    assert loaded_precision(store, options) == "bf16"


def test_another_precision_than_the_recorded_one_is_refused(store: Store, options: Embed) -> None:
    fp32 = options.model_copy(update={"precision": "fp32"})
    assert loaded_precision(store, fp32) == "fp32" == loaded_precision(store, options)
    with pytest.raises(BadOption, match="precision was fp32, is bf16; to embed anew, delete"):
        loaded_precision(store, options.model_copy(update={"precision": "bf16"}))


def test_int8_that_was_taken_before_is_missed_where_onnx_runtime_is_not_installed(
    store: Store, options: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded_precision(store, options.model_copy(update={"precision": "int8"})) == "int8"
    monkeypatch.setattr(precision, "_has_onnx", lambda: False)
    with pytest.raises(BadOption, match=r"int8 needs ONNX Runtime.* 'pairsieve\[onnx\]'"):
        loaded_precision(store, options)
