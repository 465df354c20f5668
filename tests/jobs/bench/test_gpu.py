"""A small `bench gpu` on a CPU: that it runs, checks and counts. Nothing depends on time."""

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.jobs.bench.contestants import answer_here

from pairsieve.jobs.bench import gpu
from pairsieve.jobs.bench.alternate import Contestant, answer
from pairsieve.jobs.bench.gpu import (
    GPU_JPEGS,
    NO_GPU,
    SMALL,
    GpuBenchmark,
    Part,
    bench,
    choose_device,
    problems,
    run_part,
    sized,
)
from pairsieve.jobs.bench_contestants.gpu_jpegs import CONFIG, _resized
from pairsieve.jobs.bench_contestants.gpu_model import lowest_cosine
from pairsieve.pipeline.models.precision import probe_images
from pairsieve.pipeline.models.preprocess import preprocess, resized_by_pillow
from pairsieve.schemas.errors import BadOption, Stopped

MODEL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
GOOD = {
    "image_cosine": 0.9999,
    "text_cosine": 0.9999,
    "batch_cosine": 0.9999,
    "repeats": True,
    "company_changes_nothing": True,
    "halved": {"before": 512, "after": 64, "cosine": 0.9999},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> GpuBenchmark:
    """Return a benchmark of a tiny model, two actors at once."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "tiny.json").write_text(json.dumps(MODEL))
    tiny = replace(SMALL, models=(str(folder / "tiny.json"),), seconds=0, out=folder / "out.json")
    return replace(tiny, actors=(2,), pairs=10)


def _answered(contestant: Contestant, job: dict[str, Any]) -> dict[str, Any]:
    """Have one part done in a process of its own; the others import CLIP, which takes 4 s."""
    return (answer if GPU_JPEGS in contestant.command else answer_here)(contestant, job)


def test_all_that_needs_no_gpu_is_measured_and_written(
    small: GpuBenchmark, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "answer", _answered)
    lines: list[str] = []
    found = bench(small, lines.append)
    assert small.out
    assert json.loads(small.out.read_text()) == found
    model, decoders, both = found["parts"].values()
    assert [one["batch"] for one in (model["fp32"], model["bf16"])] == [16, 16]
    assert model["fp32"]["image_cosine"] > 0.99999 > model["bf16"]["image_cosine"] > 0.999
    assert all(model["fp32"][key] > 0 for key in ("bare", "network", "load_s"))
    assert decoders["simplejpeg, 1 threads"]["resized"] > 0
    assert decoders["torchvision"] == {"missing": "no GPU"}
    assert both["images"] == 2 * 10  # of both slices, without those that warm the actors
    assert both["images_s"] > 0 < both["model_share"]
    assert lines[-1].startswith("Every cosine is within its tolerance")
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("bf16", "torchvision", "actors"))


def test_parts_without_time_are_left_out_and_named(small: GpuBenchmark) -> None:
    lines: list[str] = []
    found = bench(replace(small, minutes=0, only=("decoders",)), lines.append)
    assert found["parts"] == {"decoders": {"left_out": "no time"}}
    assert lines == ["decoders: left out, the time is up"]


def test_a_part_that_fails_leaves_the_time_to_the_others() -> None:
    def fail() -> dict[str, Any]:
        raise Stopped("out of cheese")

    lines: list[str] = []
    result = run_part(Part("decoders", fail), time.monotonic() + 600, lines.append)
    assert result["failed"] == "out of cheese"
    assert lines[0].endswith("FAILED")


def test_a_model_that_nobody_knows_is_refused(small: GpuBenchmark) -> None:
    with pytest.raises(BadOption, match="--model: 'ViT-B-3'; did you mean `ViT-B-32`"):
        bench(replace(small, models=("ViT-B-3",)), lambda line: None)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"text_cosine": 0.9989}, "text_cosine 0.998900, at least 0.999"),
        ({"image_cosine": float("nan")}, "image_cosine nan"),
        ({"repeats": False}, "repeats is false"),
        ({"halved": {"before": 512, "after": 512, "cosine": 1.0}}, "without memory"),
    ],
)
def test_what_is_not_right_is_said(changed: dict[str, Any], words: str | None) -> None:
    wrong = problems({"model tiny": {"fp16": GOOD | changed}})
    assert len(wrong) == (words is not None)
    assert all(words in each for each in wrong if words)
    assert problems({"decoders": {"failed": "out of cheese"}}) == ["decoders: out of cheese"]


def test_a_machine_without_a_gpu_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") is None
    assert choose_device("cpu") == "cpu"
    with pytest.raises(BadOption, match="--device: cuda, but PyTorch finds no GPU"):
        choose_device("cuda")
    with pytest.raises(BadOption, match="did you mean `cuda`"):
        choose_device("cuba")
    assert "--device cpu" in NO_GPU


def test_pairs_are_spread_over_the_slices() -> None:
    assert sized("cuda", None, ()) == GpuBenchmark()
    assert sized("cuda", 800, (3,)).pairs == 100
    assert sized("cpu", None, (3,)).actors == (3,)


def test_the_lowest_cosine_is_of_the_worst_row() -> None:
    some = np.array([[1, 0], [0, 2], [1, 1]], np.float32)
    others = np.array([[3, 0], [3, 4], [1, 1]], np.float32)
    assert lowest_cosine(some, others) == pytest.approx(4 / 5)


def test_pictures_of_gpu_decoders_are_resized_as_pillow_does() -> None:
    picture = probe_images()[3]
    found = _resized(torch.from_numpy(picture.copy()).permute(2, 0, 1), preprocess(CONFIG))
    assert picture.shape == (240, 260, 3)
    whole = resized_by_pillow(picture, (224, 242), "bicubic")
    assert found.shape == (3, 224, 224)
    assert int((found.int() - whole[:, :, 9:233].int()).abs().max()) <= 2
