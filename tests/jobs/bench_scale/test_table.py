"""What is reckoned from measured costs: by hand, from numbers that are easy to follow."""

from pathlib import Path

import pytest

from pairsieve.jobs.bench_scale.table import (
    START_S,
    Cluster,
    Costs,
    folders_of,
    line,
    markdown,
    read,
    seconds,
)
from pairsieve.schemas.errors import BadOption

SMALL = Costs(1_000_000, {"select": (3.0, 400.0)}, {"gather": (300, 260_000_000)})
LARGE = Costs(3_000_000, {"select": (5.0, 500.0)}, {"gather": (900, 780_000_000)})


def test_two_pools_tell_a_start_and_what_a_pair_costs() -> None:
    assert line([LARGE, SMALL], "select") == pytest.approx((2.0, 1e-6))


def test_of_one_pool_a_usual_start_is_taken_off() -> None:
    assert line([LARGE], "select") == pytest.approx((START_S, (5.0 - START_S) / 3e6))


def test_workers_share_the_blocks_and_the_driver_hands_them_out() -> None:
    twenty_blocks = 10_000_000
    assert seconds(2.0, 1e-6, twenty_blocks, Cluster(5, 0)) == pytest.approx(4.0)
    assert seconds(2.0, 1e-6, twenty_blocks, Cluster(64, 0)) == pytest.approx(2.5)
    assert seconds(2.0, 1e-6, twenty_blocks, Cluster(64, 300)) == pytest.approx(8.0)


def test_the_tables_have_each_command_and_folder() -> None:
    lines = list(markdown([SMALL, LARGE], [10**9], Cluster(10, 0)))
    assert lines[2] == "| `select` | 1.00 | 102 s | 500 at 3,000,000 pairs |"
    assert lines[-1] == "| `gather/` | 260.0 | 300 | 300,000 files, 260 GB |"


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text(SMALL.dumps())
    assert read(tmp_path / "costs.json") == SMALL
    (tmp_path / "costs.json").write_text("{}")
    with pytest.raises(BadOption, match="no costs that `bench decide --costs` wrote"):
        read(tmp_path / "costs.json")


def test_files_are_counted_by_folder(tmp_path: Path) -> None:
    (tmp_path / "gather/below").mkdir(parents=True)
    (tmp_path / "gather/below/a").write_bytes(b"123")
    (tmp_path / "gather/b").write_bytes(b"45")
    (tmp_path / "others").mkdir()
    assert folders_of(tmp_path) == {"gather": (2, 5)}
