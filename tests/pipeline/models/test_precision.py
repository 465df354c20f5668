from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pairsieve.pipeline.models import precision
from pairsieve.pipeline.models.precision import PrecisionUnavailable, check, choose, probe_images
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

Vectors = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be a machine that has instructions for every precision."""
    monkeypatch.setattr(precision, "_has", lambda *_: True)


def at_angles(**cosines: float) -> Callable[[str], Vectors]:
    """Return the probe of models with these worst cosines to the exact vectors."""

    def probe(name: str) -> Vectors:
        cosine = cosines.get(name, 1.0)
        if np.isnan(cosine):
            raise BadOption("embed: the model gives vectors that are not numbers")
        return np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]], np.float32)

    def exact_first(name: str) -> Vectors:
        return np.array([[1, 0], [1, 0]], np.float32) if name == "fp32" else probe(name)

    return exact_first


def model_at(name: str) -> str:
    """Return the model at a precision; here its name stands for it."""
    return name


@pytest.mark.parametrize(
    ("int8", "bf16", "taken"),
    [
        (0.9991, 0.99, "int8"),
        (0.9989, 0.9991, "bf16"),  # one bad row is enough to refuse
        (0.9989, 0.9989, "fp32"),
        (float("nan"), 0.9999, "bf16"),
    ],
)
def test_auto_takes_the_first_on_cpu_that_is_good_enough(
    int8: float, bf16: float, taken: str
) -> None:
    assert choose("auto", "cpu", model_at, at_angles(int8=int8, bf16=bf16)) == taken


def test_auto_on_a_gpu_falls_back_where_half_precision_overflows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "_supported", lambda *_: True)
    assert choose("auto", "cuda", model_at, at_angles(fp16=float("nan"), bf16=0.9995)) == "bf16"
    assert choose("auto", "cuda", model_at, at_angles(fp16=0.9995, bf16=0.9999)) == "fp16"


def test_auto_passes_over_what_the_model_does_not_allow() -> None:
    def without_int8(name: str) -> str:
        if name == "int8":
            raise PrecisionUnavailable("no such operator")
        return name

    assert choose("auto", "cpu", without_int8, at_angles()) == "bf16"
    with pytest.raises(BadOption, match="int8 does not fit this model: no such operator"):
        choose("int8", "cpu", without_int8, at_angles())


def test_auto_passes_over_what_the_machine_is_not_made_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "_has", lambda *_: False)
    assert choose("auto", "cpu", model_at, at_angles()) == "fp32"


def test_a_requested_precision_is_taken_however_far_its_vectors_are() -> None:
    assert choose("bf16", "cpu", model_at, at_angles(bf16=0.5)) == "bf16"


def test_int8_is_refused_where_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "ViT-B-32", "pretrained": "openai", "precision": "int8"}
    check(Embed.model_validate(options))
    with pytest.raises(BadOption, match="int8 is for CPU"):
        check(Embed.model_validate(options | {"device": "cuda"}))
    with pytest.raises(BadOption, match="embed.compile: int8 is run by ONNX Runtime"):
        check(Embed.model_validate(options | {"compile": True}))
    monkeypatch.setattr(precision, "_has_onnx", lambda: False)
    with pytest.raises(BadOption, match=r"pip install 'pairsieve\[onnx\]'"):
        check(Embed.model_validate(options))
    assert choose("auto", "cpu", model_at, at_angles()) == "bf16"


def test_the_drawn_pictures_are_the_same_every_time() -> None:
    first, second = probe_images(), probe_images()
    assert len({picture.shape for picture in first}) == len(first) == 8
    assert all(np.array_equal(*both) for both in zip(first, second, strict=True))
