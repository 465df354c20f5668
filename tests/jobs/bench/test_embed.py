import json
from pathlib import Path

import pytest
from tests.jobs.bench.contestants import answer_here

from pairsieve.jobs.bench import alternate
from pairsieve.jobs.bench.embed import OPEN_CLIP, EmbedBenchmark, bench

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def test_embedding_is_measured_beside_open_clip_and_the_bare_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternate, "answer", answer_here)
    (tmp_path / "tiny.json").write_text(json.dumps(CONFIG))
    benchmark = EmbedBenchmark(
        10, str(tmp_path / "tiny.json"), ("fp32",), tmp_path / "weights", runs=1
    )
    lines: list[str] = []
    results = bench(benchmark, lines.append)
    (mine,), (theirs,) = results["fp32"], results[OPEN_CLIP]
    assert mine["precision"] == "fp32"
    assert theirs["done"] == 10
    assert mine["bare_s"] > 0
    assert sum(mine["steps"].values()) == pytest.approx(1)
    assert (tmp_path / "weights/tiny.pt").is_file()
    assert lines[0] == "10 pictures, shorter side 512 px, JPEG of quality 90"
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("fp32", "open_clip", "decoding", "resizing"))
