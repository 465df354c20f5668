"""A short `bench semantic`: that it draws, counts and prints. Nothing here depends on time."""

import numpy as np
import pytest

from pairsieve.jobs.bench.semantic import Setting, bench, drawn, recall


def test_some_vectors_are_near_to_another_and_strangers_are_not() -> None:
    (vectors,) = drawn(Setting(count=1_500, width=128))
    wide = vectors.astype(np.float64)
    cosines = wide @ wide.T
    np.fill_diagonal(cosines, -1)
    nearest = cosines.max(axis=1)
    assert 80 < (nearest >= 0.95).sum() < 300  # 150 copies, half of them that near
    assert np.median(cosines) == pytest.approx(0.5, abs=0.05)


def test_recall_counts_near_pairs_of_which_one_is_gone() -> None:
    setting = Setting(count=1_500, width=128, checked=1_500)
    none, every = np.zeros(1_500, bool), np.ones(1_500, bool)
    (nothing, all_of_them) = recall(setting, [none, every])
    assert sum(met for met, _ in nothing) == 0
    assert all_of_them == [(pairs, pairs) for _, pairs in nothing]
    assert sum(pairs for _, pairs in nothing) > 100


def test_a_search_per_number_of_probes_is_printed_with_its_recall(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []
    bench(Setting(count=12_000, width=64, checked=500), told.append)
    printed = capsys.readouterr().out
    assert "12,000 x 64, cosine 0.95" in printed
    assert "Recall by cosine" in printed
    assert told[-1].startswith("near pairs of the sample: ")
