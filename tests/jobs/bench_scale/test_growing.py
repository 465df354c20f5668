"""A short `bench pool`: each command runs, and does to the shards what is said of it."""

from pathlib import Path

import pytest
from tests.jobs.conftest import command

from pairsieve.jobs.bench_contestants.process_costs import ProcessCost
from pairsieve.jobs.bench_scale.growing import GrowingBenchmark, bench

WIDE = "200"  # columns, so that no cell of the table is broken


def done(arguments: list[str]) -> ProcessCost:
    """Run a command in this process, and say nothing of its cost."""
    ended = command(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ProcessCost(0, 0, 0, 0, ended.stdout)


def test_a_tiny_pool_is_made_and_shrinks_and_grows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", WIDE)
    lines: list[str] = []
    bench(GrowingBenchmark(12, 4, 3, 0, tmp_path, done), lines.append)
    rows = [
        [cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines()
    ]
    assert {row[1]: row[5:8] for row in rows if len(row) > 3} == {
        "make 12 pairs": ["4", "0", "0"],
        "take out 1": ["0", "1", "3"],
        "take out 11 from everywhere": ["0", "4", "0"],
        "append 1 pairs": ["1", "0", "4"],
    }
    assert lines == ["drawing 12 pictures ..."]
    assert list(tmp_path.iterdir()) == []
