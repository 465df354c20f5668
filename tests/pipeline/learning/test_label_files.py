from pathlib import Path

import pytest

from pairsieve.pipeline.dataset.paths import LABELS_FOLDER, attempt
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.learning import label_files, learn
from pairsieve.pipeline.learning.label_files import Label
from pairsieve.schemas.errors import BadOption, Stopped


def _label(row: int, good: bool | None, second: int) -> Label:
    return Label(row, f"uid{row}", good, f"2026-01-01T00:00:{second:02d}+00:00", "a.b", "default")


def test_of_two_people_who_mark_one_pair_the_later_counts(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    one, other = attempt(), attempt()
    label_files.add(store, one, _label(3, True, 1))
    label_files.add(store, one, _label(4, True, 5))
    label_files.add(store, other, _label(3, False, 4))
    label_files.add(store, other, _label(4, False, 2))
    label_files.add(store, other, _label(5, True, 2))
    assert label_files.by_uid(store) == {"uid3": False, "uid4": True, "uid5": True}


def test_a_label_that_was_taken_back_is_none(tmp_path: Path) -> None:
    store, session = Store.at(tmp_path), attempt()
    label_files.add(store, session, _label(3, True, 1))
    label_files.add(store, session, _label(3, None, 1))
    assert label_files.read_all(store) == {}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    store, session = Store.at(tmp_path), attempt()
    label_files.add(store, session, _label(3, True, 1))
    path = tmp_path / LABELS_FOLDER / f"{session}.json"
    path.write_bytes(path.read_bytes().replace(b"true", b"false"))
    with pytest.raises(Stopped, match="damaged"):
        label_files.read_all(store)


def test_without_labels_learn_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="the page Label"):
        learn.run(Store.at(tmp_path), None, "good")
