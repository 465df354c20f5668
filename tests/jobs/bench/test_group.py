"""A short `bench group`: that it counts and prints. Nothing here depends on time."""

import numpy as np
import pytest

from pairsieve.jobs.bench import group_distributed
from pairsieve.jobs.bench.group import GroupBenchmark, bench, cost, hashes, recall


def test_every_near_pair_is_joined_and_there_are_some() -> None:
    joined, missed = recall(hashes(3_000, seed=1), distance=4)
    assert missed == 0
    assert joined > 200  # copies, and crowds of 60 around 8 hashes


def test_hashes_hold_copies_and_crowds() -> None:
    values = hashes(2_000, seed=2)
    near = np.bitwise_count(values[:, None] ^ values[None, :]) <= 8
    assert near.sum(axis=1).max() >= 4  # around a heavy hash
    assert (near.sum(axis=1) == 1).mean() > 0.7  # unlike all others


def test_a_search_in_a_process_of_its_own_answers() -> None:
    measured = cost(20_000, GroupBenchmark(seed=3))
    assert 15_000 < measured.components < 20_000
    assert measured.cpu_s > 0
    assert measured.peak_mb > 10


def test_a_row_per_size_and_the_recall_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    bench(GroupBenchmark(sizes=(5_000, 20_000), checked=2_000), lines.append)
    table = capsys.readouterr().out
    assert "5,000" in table
    assert "20,000" in table
    assert any(line.startswith("recall against comparing all: 1.000000") for line in lines)
    assert lines[-1].startswith("growth: 4 times the hashes")


def test_the_distributed_search_is_printed_beside_the_one_in_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines: list[str] = []
    group_distributed.bench(
        group_distributed.DistributedBenchmark(size=30_000, seed=1, distance=4, partitions=3),
        lines.append,
    )
    assert "equal" in capsys.readouterr().out
    assert lines[-1].startswith("estimated, 10,000,000,000 hashes: 5 x 834 tasks of 11,990,408")
