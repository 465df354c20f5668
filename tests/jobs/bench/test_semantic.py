"""A short `bench semantic`: that it draws, counts and prints. Nothing here depends on time."""

import numpy as np
import pytest

from pairsieve.jobs.bench.semantic import SemanticBenchmark, bench, drawn, recall


def test_some_vectors_are_near_to_another_and_others_are_not() -> None:
    (vectors,) = drawn(SemanticBenchmark(count=1_500, width=128))
    wide = vectors.astype(np.float64)
    cosines = wide @ wide.T
    np.fill_diagonal(cosines, -1)
    nearest = cosines.max(axis=1)
    assert 80 < (nearest >= 0.95).sum() < 300  # 150 copies, half of them that near
    assert np.median(cosines) == pytest.approx(0.5, abs=0.05)


def test_recall_counts_near_pairs_of_which_one_is_dropped() -> None:
    benchmark = SemanticBenchmark(count=1_500, width=128, checked=1_500)
    none, every = np.zeros(1_500, bool), np.ones(1_500, bool)
    (nothing, all_of_them) = recall(benchmark, [none, every])
    assert sum(settled for settled, _ in nothing) == 0
    assert all_of_them == [(pairs, pairs) for _, pairs in nothing]
    assert sum(pairs for _, pairs in nothing) > 100


def test_a_search_per_number_of_probes_is_printed_with_its_recall(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines: list[str] = []
    bench(SemanticBenchmark(count=12_000, width=64, checked=500), lines.append)
    printed = capsys.readouterr().out
    assert "12,000 x 64, cosine 0.95" in printed
    assert "Recall by cosine" in printed
    assert lines[-1].startswith("near pairs of the sample: ")
