"""That drawn captions are as unevenly common as they should be, and the same every time."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from pairsieve.jobs.bench_data.zipf_captions import entries, vocabulary, write


def drawn(folder: Path, rows: int) -> list[str]:
    write(folder, rows, seed=1)
    files = sorted((folder / "gather").glob("*.parquet"))
    return [text for file in files for text in pq.read_table(file)["text"].to_pylist()]


def test_some_texts_recur_and_most_stand_alone(tmp_path: Path) -> None:
    texts = drawn(tmp_path / "one", 12_000)
    assert texts == drawn(tmp_path / "two", 12_000)
    counts = Counter(texts)
    assert counts.most_common(1)[0][1] > 50
    assert sum(count == 1 for count in counts.values()) > 10_000


def test_entries_are_words_first_and_then_pairs_of_them() -> None:
    words = set(vocabulary(1))
    listed = list(entries(200_100, 1))
    assert set(listed[:200_000]) == words
    assert {word for entry in listed[200_000:] for word in entry.split(" ")} <= words
