"""A short `bench units`: that real markers are committed and found again."""

from pathlib import Path

import pytest

from pairsieve.jobs.bench_scale.units import UnitsBenchmark, bench, measure
from pairsieve.pipeline.dataset.store import Store


def test_every_unit_is_committed_and_found_by_a_restart(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    steps = measure(UnitsBenchmark(7, "serial"), store)
    assert store.marker_names("gather") == [f"{number:08d}" for number in range(7)]
    assert len(steps) == 3
    assert all(step.cpu_s > 0 for step in steps)


def test_a_row_for_each_step_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    bench(UnitsBenchmark(3, "serial"))
    printed = capsys.readouterr().out
    assert "3 units without work, serial" in printed
    assert printed.count("restart") == 2
