from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.files import MADE_BY
from pairsieve.pipeline.selections.listing import age_of, selections
from pairsieve.pipeline.selections.overrides import load
from pairsieve.pipeline.selections.record import read
from pairsieve.schemas.errors import BadOption

RECIPE = "input: {path: p}\nkeep: [{aspect_ratio: {}}, {top_fraction: 0.5, of: sharpness}]\n"


@pytest.fixture
def store(tmp_path: Path, put_gathered: Callable[[Store, list[dict[str, Any]]], None]) -> Store:
    """Two selections of three pairs: by a recipe, and by the same with another value."""
    store = Store.at(tmp_path / "dataset")
    rows = [{"aspect_ratio": ratio, "sharpness": 1.0} for ratio in (1.0, 2.0, 4.0)]
    put_gathered(store, rows)
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    for name, settings in (("a", []), ("b", ["aspect_ratio.max_ratio=1"])):
        select.run(load(path, settings), store, Serial(), name)
    return store


def test_selections_are_listed_with_recipe_counts_and_age(store: Store) -> None:
    a, b = selections(store)
    assert (a.name, a.pairs, a.kept, a.in_shards) == ("a", 3, 2, None)
    assert (a.made_by, b.made_by) == (("r.yaml",), ("r.yaml", "aspect_ratio.max_ratio=1"))
    assert a.age == "just made"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "just made"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (86_400 * 9, "9 d")],
)
def test_ages_are_cut_to_whole_units(seconds: int, words: str) -> None:
    assert age_of(timedelta(seconds=seconds)) == words


def test_the_record_gives_back_rules_and_entries(store: Store) -> None:
    _, record = read(store, "b")
    assert [rule.name for rule in record.rules] == [
        *("blocklist", "repeated", "aspect_ratio", "top_fraction sharpness", "gated")
    ]
    assert record.rules[2].sql == "aspect_ratio <= 1.0"
    assert record.rules[3].rank is not None
    assert record.entries["aspect_ratio"].options == {"max_ratio": 1}


def test_the_same_rules_by_another_recipe_are_noted_and_nothing_is_judged_again(
    tmp_path: Path, store: Store
) -> None:
    before = {path: version for path, _, version in store.list("select/a/blocks")}
    again = load(tmp_path / "r.yaml", ["aspect_ratio.max_ratio=3"])
    select.run(again, store, Serial(), "a")
    assert selections(store)[0].made_by == ("r.yaml", "aspect_ratio.max_ratio=3")
    assert {path: version for path, _, version in store.list("select/a/blocks")} == before


def test_a_selection_without_a_record_is_refused(store: Store) -> None:
    marker = store.marker(select_marker("a"))
    assert marker
    del marker.extra[MADE_BY]
    store.write(select_marker("a"), marker.dumps())
    with pytest.raises(BadOption, match="made by an older pairsieve"):
        read(store, "a")
