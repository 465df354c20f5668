import hashlib
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline.models.model_files import BLOCK_BYTES, hashed_config, local_fingerprint
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

LONG = bytes(range(256)) * 1000  # more than a block


def written(folder: Path, config: bytes = b"{}", weights: bytes = LONG) -> Embed:
    """Write a config and a checkpoint; return the recipe's section that names them."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.json").write_bytes(config)
    (folder / "tiny.pt").write_bytes(weights)
    return Embed(model=str(folder / "tiny.json"), pretrained=str(folder / "tiny.pt"))


def test_the_same_content_elsewhere_has_the_same_fingerprint(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    assert local_fingerprint(first) == local_fingerprint(second)
    assert len(local_fingerprint(first)) == 8


@pytest.mark.parametrize(
    "other",
    [
        {"config": b"[]"},
        {"weights": LONG[:-1]},
        {"weights": LONG + b"\0"},
        {"weights": b"\1" + LONG[1:]},
        {"weights": LONG[:-1] + b"\0"},
        {"weights": LONG[:BLOCK_BYTES] + b"\1" + LONG[BLOCK_BYTES + 1 :]},
    ],
)
def test_other_content_of_the_same_name_has_another(tmp_path: Path, other: dict[str, Any]) -> None:
    assert local_fingerprint(written(tmp_path)) != local_fingerprint(written(tmp_path, **other))


def test_names_of_open_clip_have_no_fingerprint() -> None:
    assert local_fingerprint(Embed(model="ViT-B-32", pretrained="openai")) == ""


def test_a_file_that_is_missing_is_refused_by_its_key() -> None:
    with pytest.raises(BadOption, match=r"embed\.pretrained: absent\.pt: no such file"):
        local_fingerprint(Embed(model="ViT-B-32", pretrained="absent.pt"))


def test_a_vocabulary_counts_by_its_content_not_its_path(tmp_path: Path) -> None:
    (tmp_path / "words.bpe").write_bytes(b"merges")
    text = {"width": 8, "tokenizer_kwargs": {"bpe_path": str(tmp_path / "words.bpe")}}
    hashed = hashed_config({"embed_dim": 8, "text_cfg": text})
    kwargs = {"bpe_path": hashlib.sha256(b"merges").hexdigest()}
    assert hashed == {"embed_dim": 8, "text_cfg": {"width": 8, "tokenizer_kwargs": kwargs}}
