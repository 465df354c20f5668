from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PutGathered = Callable[[Store, list[dict[str, Any]]], None]


def recipe(*keep: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep})


def verdicts(store: Store, name: str = "default") -> list[tuple[bool, str | None, list[str]]]:
    with connect(store) as connection:
        attach(connection, store, selection=name)
        return connection.execute(
            "SELECT keep, first_failing, failing FROM ledger ORDER BY row"
        ).fetchall()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path)


def test_first_and_all_failing_rules_of_every_pair(store: Store, put_gathered: PutGathered) -> None:
    put_gathered(
        store,
        [
            {"width": 100, "aspect_ratio": 1.0},
            {"width": 10, "aspect_ratio": 9.0},
            {"width": 100, "aspect_ratio": 9.0},
            {"width": 100, "aspect_ratio": None},
            {"outcome": "dns", "width": None, "height": None},
        ],
    )
    wide = {"where": "width >= 50", "name": "wide"}
    select.run(recipe(wide, {"aspect_ratio": {"max_ratio": 3}}), store, Serial(), "default")
    assert verdicts(store) == [
        (True, None, []),
        (False, "wide", ["wide", "aspect_ratio"]),
        (False, "aspect_ratio", ["aspect_ratio"]),
        (False, "aspect_ratio", ["aspect_ratio"]),
        (False, None, []),
    ]


def test_the_funnel_counts_in_order(store: Store, put_gathered: PutGathered) -> None:
    put_gathered(
        store,
        [
            {"width": 100, "aspect_ratio": 1.0},
            {"width": 10, "aspect_ratio": 9.0},
            {"width": 10, "aspect_ratio": 1.0},
            {"width": 100, "aspect_ratio": None},
            {"outcome": "dns", "width": None},
        ],
    )
    wide = {"where": "width >= 50", "name": "wide"}
    marker = select.run(recipe(wide, {"aspect_ratio": {}}), store, Serial(), "default")
    assert [tuple(row.values()) for row in marker.extra["funnel"]] == [
        # position, rule, entered, dropped, only_this, unmeasured, left
        (0, "outcome", 5, 1, 1, 0, 4),
        (1, "wide", 4, 2, 1, 0, 2),
        (2, "aspect_ratio", 2, 1, 1, 1, 1),
    ]
    assert marker.counts == {"pairs": 5, "failed": 1, "dropped": 3, "kept": 1}


def test_a_pair_stopped_by_a_gate_is_not_asked_about_its_image(
    store: Store, put_gathered: PutGathered
) -> None:
    gated = {"outcome": "gated", "width": None, "caption_unicode_words": 1, "caption_chars": 2}
    put_gathered(store, [gated, {"caption_unicode_words": 5, "caption_chars": 30}])
    keep: list[dict[str, Any]] = [
        {"where": "width >= 50"},
        {"caption_chars": {"min_chars": 5}},
        {"caption_words": {"min_words": 3}, "gate": True},
    ]
    select.run(recipe(*keep), store, Serial(), "default")
    assert verdicts(store) == [
        (False, "caption_words", ["caption_words", "caption_chars"]),
        (True, None, []),
    ]


def test_what_a_gate_stopped_never_survives_a_looser_recipe(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [{"outcome": "gated", "width": None, "caption_words": 1}])
    marker = select.run(recipe(), store, Serial(), "default")
    assert verdicts(store) == [(False, "gated", ["gated"])]
    assert marker.counts == {"pairs": 1, "failed": 0, "dropped": 1, "kept": 0}


def test_selecting_again_without_a_change_does_nothing(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [{}])
    first = select.run(recipe(), store, Serial(), "default")
    before = list(store.list())
    assert select.run(recipe(), store, Serial(), "default") == first
    assert list(store.list()) == before


def test_another_threshold_replaces_and_another_name_stands_beside(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [{"aspect_ratio": 2.5}])
    for name, ratio in (("default", 3), ("default", 2), ("loose", 3)):
        select.run(recipe({"aspect_ratio": {"max_ratio": ratio}}), store, Serial(), name)
    assert [verdicts(store, name)[0][0] for name in ("default", "loose")] == [False, True]
    parquets = [path for path, _, _ in store.list("select") if path.endswith(".parquet")]
    assert len(parquets) == 2


def test_top_fraction_looks_at_the_whole_pool(store: Store, put_gathered: PutGathered) -> None:
    put_gathered(store, [{"sharpness": score} for score in (0.1, 0.4, 0.3, 0.2)])
    select.run(recipe({"top_fraction": 0.5, "of": "sharpness"}), store, Serial(), "default")
    assert [keep for keep, _, _ in verdicts(store)] == [False, True, True, False]


def test_an_unknown_column_is_refused_with_duckdbs_words(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [{}])
    with pytest.raises(BadOption, match="`widht > 1` does not fit"):
        select.run(recipe({"where": "widht > 1"}), store, Serial(), "default")


def test_rows_on_which_a_rule_fails_are_counted_as_unmeasured(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [{"text": "7"}, {"text": "seven"}, {"text": "2"}])
    marker = select.run(recipe({"where": "cast(text AS INT) > 3"}), store, Serial(), "default")
    (row,) = [row for row in marker.extra["funnel"] if row["rule"].startswith("cast")]
    assert (row["dropped"], row["unmeasured"], row["left"]) == (2, 1, 1)


def test_a_rule_that_fails_where_duckdb_cannot_pass_over_it_is_refused(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [{"text": "seven"}])
    failing = recipe({"where": "sum(cast(text AS INT)) OVER () > 3"})
    with pytest.raises(BadOption, match="keep: a rule with a window .* fails on the data"):
        select.run(failing, store, Serial(), "default")


def test_no_pairs_at_all(store: Store, put_gathered: PutGathered) -> None:
    marker = select.run(recipe({"aspect_ratio": {}}), store, Serial(), "default")
    assert marker.counts == {"pairs": 0, "failed": 0, "dropped": 0, "kept": 0}
