"""A short `bench shard`: that it draws, packs, copies and prints. Nothing depends on time."""

from pathlib import Path
from typing import Any

import pytest
from tests.jobs.bench.contestants import answer_here

from pairsieve.jobs.bench import shard
from pairsieve.jobs.bench.alternate import Contestant, Result, answer
from pairsieve.jobs.bench.shard import ShardBenchmark, bench
from pairsieve.jobs.bench_data.pool import Pool


def _answered(contestant: Contestant, job: dict[str, Any]) -> Result:
    """Have what Ray does done in a process of its own."""
    return (answer if "workers" in job else answer_here)(contestant, job)


def test_both_mixes_and_the_copy_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "answer", _answered)
    lines: list[str] = []
    bench(ShardBenchmark(Pool(240, 1, 40), 2, 30, 500, tmp_path, 1), lines.append)
    rows = [
        [cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines()
    ]
    named = [row[1:-1] for row in rows if len(row) > 3]
    assert lines == ["drawing 240 rows with images ..."]
    names = ["pool", "window", "pool x2", "window x2", "cp", "pool", "window"]
    assert [row[0] for row in named[:7]] == names
    units = {row[0]: float(row[1]) for row in named[5:7]}
    assert units["window"] == 2 < units["pool"]
    assert {row[0] for row in named[7:]} >= {"records", "images read", "written"}
    assert not list(tmp_path.iterdir())
