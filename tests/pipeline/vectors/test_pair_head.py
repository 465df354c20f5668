"""Heads on pairs against plain numpy, and files that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pairsieve.pipeline.vectors import pair_head
from pairsieve.pipeline.vectors.pair_head import Network, PairHead
from pairsieve.schemas.errors import BadOption


def two_layers(seed: int, width: int, units: int) -> PairHead:
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(units, 3 * width + 2)), rng.normal(size=units)
    network = Network(rng.normal(size=units), float(rng.normal()), hidden)
    return PairHead(network, np.array([0.25]), ("sharpness",), {"model": {}})


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 4), st.integers(1, 7))
def test_two_layers_give_what_plain_numpy_gives(
    seed: int, width: int, units: int, count: int
) -> None:
    head = two_layers(seed, width, units)
    rng = np.random.default_rng(seed + 1)
    images, texts = rng.normal(size=(2, count, width)).astype(np.float32)
    values = rng.normal(size=(count, 1))
    values[0] = np.nan
    found = head.outputs(images, texts, values)
    for row in range(count):
        image, text = (part[row].astype(float) for part in (images, texts))
        image, text = image / np.linalg.norm(image), text / np.linalg.norm(text)
        value = values[row, 0] if row else 0.25
        made = np.array([*image, *text, *(image * text), image @ text, value])
        assert head.network.hidden
        matrix, bias = head.network.hidden
        logit = np.maximum(matrix @ made + bias, 0) @ head.network.weights + head.network.bias
        assert found[row, 0] == pytest.approx(logit, rel=1e-9, abs=1e-9)
        alone = head.outputs(images[row : row + 1], texts[row : row + 1], values[row : row + 1])
        assert alone[0, 0] == found[row, 0]


def test_a_saved_head_is_the_same_when_loaded_and_the_same_bytes_again(tmp_path: Path) -> None:
    head, one, other = two_layers(3, 4, 5), tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    pair_head.save(one, head)
    pair_head.save(other, pair_head.load("key", str(one)))
    assert one.read_bytes() == other.read_bytes()
    loaded = pair_head.load("key", str(one))
    assert loaded.width == 4
    assert loaded.usual is None


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("hidden.bias", np.zeros(3)),
        ("weights", np.zeros(3)),
        ("weights", np.zeros(())),
        ("weights", np.full(5, np.nan)),
        ("hidden.weights", np.zeros((5, 13))),
        ("hidden.weights", np.zeros(5)),
        ("hidden.weights", None),
        ("means", np.zeros(2)),
    ],
)
def test_a_file_whose_arrays_do_not_fit_is_refused(tmp_path: Path, name: str, array: Any) -> None:
    path = tmp_path / "head.safetensors"
    pair_head.save(path, two_layers(0, 4, 5))
    metadata = pair_head._metadata(path)
    arrays = {**load_file(path), name: array}
    save_file({key: each for key, each in arrays.items() if each is not None}, path, metadata)
    with pytest.raises(BadOption, match="key: .*: a broken head"):
        pair_head.load("key", str(path))
