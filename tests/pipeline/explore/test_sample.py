from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pipeline.explore.dataset import SCRIPT, SQL_HOST, Finished, make

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore import sample
from pairsieve.pipeline.explore.pictures import look_up
from pairsieve.pipeline.explore.sample import Sample, draw
from pairsieve.schemas.recipe import Recipe

IMAGES = 540  # one pair in ten has none
SHARP = "sharpness.min_sharpness"


@pytest.fixture(scope="module")
def drawn(finished: Finished) -> Sample:
    return draw(finished.store, Serial(), "default")


def test_all_pairs_with_an_image_are_taken_where_they_are_few(drawn: Sample) -> None:
    assert (drawn.images, drawn.taken, drawn.exact) == (IMAGES, IMAGES, True)
    assert drawn.rows.tolist() == [row for row in range(600) if row % 10 != 9]


def test_bounds_are_those_thresholds_that_stand_in_the_rules(drawn: Sample) -> None:
    assert [(one.key, one.value, one.at_least) for one in drawn.bounds] == [
        (SHARP, 0.3, True),
        ("size.min_side_px", 200.0, True),
        ("size.max_side_px", 900.0, False),
        ("clip_similarity.min_similarity", 0.2, True),
    ]


def test_what_is_not_measured_lies_outside_whatever_the_bound(drawn: Sample) -> None:
    bound, values = drawn.bound(SHARP)
    assert np.isneginf(values[drawn.rows == 97])
    assert not bound.passes(values, -1e9)[drawn.rows == 97].any()


def test_groups_are_coded_the_commonest_first(drawn: Sample) -> None:
    names, codes = drawn.groups["host"]
    assert set(names) == {"a.example", "b.example", SQL_HOST, "(none)"}
    counts = np.bincount(codes, minlength=len(names))
    assert counts.tolist() == sorted(counts, reverse=True)
    assert counts[names.index(SQL_HOST)] == 12


def test_blocks_do_not_matter(finished: Finished, drawn: Sample) -> None:
    small = draw(finished.store, Serial(), "default", units=1)
    assert small.blocks.tolist() == [row // 200 for row in drawn.rows]
    assert np.array_equal(small.rest, drawn.rest)
    for one, other in zip(small.values, drawn.values, strict=True):
        assert np.array_equal(one, other)


def test_a_sample_is_the_same_every_time_and_about_as_large_as_asked(finished: Finished) -> None:
    first = draw(finished.store, Serial(), "default", most=200)
    again = draw(finished.store, Serial(), "default", most=200, units=1)
    assert first.rows.tolist() == again.rows.tolist()
    assert 150 < first.taken < 250
    assert (first.images, first.exact) == (IMAGES, False)


def test_of_very_many_blocks_some_are_read(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_BLOCKS", 2)
    some = draw(finished.store, Serial(), "default", units=1)
    assert set(some.blocks) == {0, 1}
    assert (some.images, some.all_blocks) == (IMAGES, False)


def test_a_rule_that_cannot_be_taken_apart_has_no_bound(tmp_path: Path, put_gathered: Any) -> None:
    """The condition that `where` states cannot be moved, nor a rule on ranks; both still judge."""
    store = Store.at(tmp_path)
    put_gathered(store, [{"width": width, "height": 300} for width in (100, 250, 400)])
    keep = [
        {"where": "width >= 200 OR height >= 900", "name": "wide"},
        {"top_fraction": 0.5, "of": "width"},
    ]
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": keep})
    select.run(recipe, store, Serial(), "default")
    found = draw(store, Serial(), "default")
    assert found.bounds == ()
    rest = {rule.name: row.tolist() for rule, row in zip(found.rules, found.rest, strict=True)}
    assert rest["wide"] == [False, True, True]
    assert rest["top_fraction width"] == [False, True, True]


def test_units_committed_after_the_selection_are_seen(tmp_path: Path) -> None:
    made = make(tmp_path)
    again = replace(made, store=Store.at(tmp_path / "dataset"))
    path = again.store.location("gather/00000002.json")
    body = Path(path).read_bytes()
    Path(path).unlink()
    select.run(again.recipe, again.store, Serial(), "default")
    Path(path).write_bytes(body)
    assert draw(again.store, Serial(), "default").images == IMAGES


def test_a_dataset_in_an_object_store_is_drawn_and_shown(s3: str, tmp_path: Path) -> None:
    made = make(tmp_path, Store.at(f"{s3}/explored"))
    found = draw(made.store, Serial(), "default")
    assert found.images == IMAGES
    (shown,) = look_up(made.store, "default", [7])
    assert (shown.pair["text"], bool(shown.picture)) == (SCRIPT, True)
