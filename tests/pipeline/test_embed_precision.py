"""The precision that was taken first holds for all who embed with the model later."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline import embed
from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.models import precision
from pairsieve.pipeline.vectors import model_record
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture
def options(tmp_path: Path, random_model: RandomModel) -> Embed:
    return Embed.model_validate(random_model(tmp_path, CONFIG))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "dataset")


def loaded(store: Store, options: Embed) -> str:
    """Load the model as an actor does; return the precision it has."""
    return embed._embedder(store, "tiny", options).model.precision


def test_what_auto_took_first_is_recorded_and_taken_again(
    store: Store, options: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "ORDER", {"cpu": ("bf16", "fp32")})
    monkeypatch.setattr(precision, "_has", lambda *_: True)
    assert loaded(store, options) == "bf16" == model_record.recorded(store, "tiny")["precision"]
    monkeypatch.setattr(precision, "_has", lambda *_: False)  # a machine that would take fp32
    assert loaded(store, options) == "bf16"


def test_the_first_of_two_that_chose_at_the_same_time_wins(
    store: Store, options: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_has", lambda *_: False)
    assert loaded(store, options) == "fp32"
    record = model_record.recorded(store, "tiny") | {"precision": "bf16"}
    read_before = iter(
        [dict[str, str]()]
    )  # the other one puts its choice there after this one has looked
    monkeypatch.setattr(embed, "recorded", lambda *asked: next(read_before, record))
    store.write(paths.model_record("tiny"), json.dumps(record).encode())
    assert loaded(store, options) == "bf16"


def test_a_precision_asked_for_that_is_not_the_recorded_one_is_refused(
    store: Store, options: Embed
) -> None:
    fp32 = options.model_copy(update={"precision": "fp32"})
    assert loaded(store, fp32) == "fp32" == loaded(store, options)
    with pytest.raises(BadOption, match="precision was fp32, is bf16; to embed anew, delete"):
        loaded(store, options.model_copy(update={"precision": "bf16"}))


def test_int8_that_was_taken_before_is_missed_where_onnx_runtime_is_not_installed(
    store: Store, options: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded(store, options.model_copy(update={"precision": "int8"})) == "int8"
    monkeypatch.setattr(precision, "_has_onnx", lambda: False)
    with pytest.raises(BadOption, match=r"int8 needs ONNX Runtime.* 'pairsieve\[onnx\]'"):
        loaded(store, options)
