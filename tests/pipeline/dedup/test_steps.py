"""Steps of `group`: one more is a module in the table, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pairsieve.pipeline import group
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import steps as table
from pairsieve.pipeline.dedup.steps import STEPS, check_measured, requested
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.pool import Block, Further, Pool
from pairsieve.schemas.columns import (
    COPIES,
    COUNTED,
    GROUPED,
    KNOWN_DISTANCE,
    ROUNDS,
    Column,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Put = Callable[[Store, list[dict[str, Any]]], None]


@dataclass
class Longest:
    """A step that puts the length of the caption into a column of `group`."""

    TABLE: str = "longest"
    COLUMNS: tuple[Column, ...] = (KNOWN_DISTANCE,)
    version: int = 1

    def options(self, recipe: Recipe) -> object:
        return recipe.group.clusters if recipe.keep else None

    def versions(self, recipe: Recipe) -> list[Any]:
        return [self.version]

    def find(self, pool: Pool, folder: str, recipe: Recipe) -> Further:
        return lengths_of

    def count(self, columns: Mapping[str, Any]) -> int:
        return 7


def lengths_of(block: Block, rows: NDArray[np.int64]) -> dict[str, Any]:
    table = block_table(block.store, block.files, ["text"], block.threads, only=rows)
    return {"known_distance": pc.utf8_length(table["text"])}


def recipe(**sections: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, **sections})


RULE = recipe(keep=[{"where": "known_distance > 3"}])


@pytest.fixture
def store(tmp_path: Any, put_gathered: Put) -> Store:
    made = Store.at(tmp_path / "dataset")
    put_gathered(made, [{"text": "four", "perceptual_hash": 0}, {"text": "eleven let."}])
    return made


def lengths(store: Store, marker: Marker) -> list[int | None]:
    table = pq.read_table(store.location(marker.file(".parquet")))
    found: list[int | None] = table["known_distance"].to_pylist()
    return found


def test_a_step_of_the_table_fills_its_column_and_is_counted(store: Store) -> None:
    marker = group.run(RULE, store, Serial(), steps=[Longest()])
    assert lengths(store, marker) == [4, 11]
    assert marker.counts["longest"] == 7


def test_a_step_that_nobody_requests_leaves_nulls(store: Store) -> None:
    marker = group.run(recipe(), store, Serial(), steps=[Longest()])
    assert lengths(store, marker) == [None, None]
    assert marker.counts["longest"] == 0


def test_another_version_is_another_result(store: Store) -> None:
    first = group.run(RULE, store, Serial(), steps=[Longest()])
    assert group.run(RULE, store, Serial(), steps=[Longest()]) == first
    assert group.run(RULE, store, Serial(), steps=[Longest(version=2)]) != first


def test_rules_on_what_was_not_measured_for_them_are_refused(store: Store) -> None:
    steps = [Longest()]
    marker = group.run(recipe(), store, Serial(), steps=steps)
    message = "a rule reads one of known_distance, which `group` has not measured"
    with pytest.raises(BadOption, match=message):
        check_measured(RULE, marker, steps)
    check_measured(recipe(), marker, steps)
    check_measured(RULE, group.run(RULE, store, Serial(), steps=steps), steps)


def test_every_column_of_group_is_made_by_one_step() -> None:
    tables = [step.TABLE for step in STEPS]
    of_rounds = [column for columns in ROUNDS.values() for column in columns]
    columns = [
        *COPIES,
        *COUNTED,
        *of_rounds,
        *(column for step in STEPS for column in step.COLUMNS),
    ]
    assert len(set(tables)) == len(tables)
    assert sorted(c.name for c in columns) == sorted(c.name for c in GROUPED)


def test_a_module_that_is_no_step_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="star_clusters has no TABLE, COLUMNS, options"):
        table._step("dedup.star_clusters")


def test_a_recipe_without_rules_requests_no_step() -> None:
    assert requested(recipe()) == {}


def test_the_best_captions_need_a_group_that_has_ranked_them(
    tmp_path: Path, put_gathered: Put
) -> None:
    store = Store.at(tmp_path / "dataset")
    put_gathered(store, [{"sha256": "a", "perceptual_hash": 0}])
    earlier = group.run(recipe(), store, Serial())
    sections = recipe().model_dump(mode="json", include={"input"})
    sections |= {"embed": {"model": "pairsieve-tiny", "pretrained": "demo"}}
    sections |= {"group": {"captions": "all_as_list"}, "shard": {"text": "best"}}
    asked = Recipe.model_validate(sections)
    with pytest.raises(BadOption, match="shard.text: `best` is one of the captions"):
        check_measured(asked, earlier)
    check_measured(asked, group.run(asked, store, Serial()))
