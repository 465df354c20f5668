"""Plans over a part of the input: its first pairs, or a seeded sample."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit import plan_limit
from pairsieve.pipeline.unit.plan_file import Plan, read, read_unit
from pairsieve.pipeline.unit.plan_limit import Limit, units
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

COUNTS = [3, 0, 500, 20]  # pairs of the input's files


def recipe(folder: Path, kind: str) -> Recipe:
    """Write the input's files; a URL has the pair's number in the input."""
    folder.mkdir()
    number = 0
    for index, count in enumerate(COUNTS):
        urls = [f"http://a/{n}" for n in range(number, number + count)]
        number += count
        if kind == "parquet":
            table = pa.table({"url": pa.array(urls, pa.string()), "text": ["t"] * count})
            pq.write_table(table, folder / f"{index}.parquet", row_group_size=40)
        else:
            lines = "".join(f"{url},t\n" for url in urls)
            (folder / f"{index}.csv").write_text(f"url,text\n{lines}")
    content = {"input": {"path": str(folder), "format": kind, "unit_pairs": 30}}
    return Recipe.model_validate(content)


def numbers(plan: Plan) -> list[int]:
    """Return which pairs of the input the plan's units hold, in order."""
    tables = [read_unit(plan, unit) for unit in range(len(plan.units))]
    assert [table.num_rows for table in tables[:-1]] == [30] * (len(tables) - 1)
    whole = pa.concat_tables(tables)
    assert whole["row"].to_pylist() == list(range(plan.pairs))
    return [int(url.rpartition("/")[2]) for url in whole["url"].to_pylist()]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("pairs", [1, 3, 4, 30, 503, 1000])
def test_the_first_pairs_are_those_of_the_input(tmp_path: Path, kind: str, pairs: int) -> None:
    plan = plans.run(recipe(tmp_path / "in", kind), Store.at(tmp_path / "out"), limit=Limit(pairs))
    assert numbers(plan) == list(range(min(pairs, sum(COUNTS))))
    limited = [f"Limited: the first {plan.pairs:,} pairs of the input alone."]
    assert plan.sentences() == (limited if pairs < sum(COUNTS) else [])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("pairs", [1, 100, 523, 1000])
def test_a_sample_is_of_all_the_input_and_the_same_for_a_seed(
    tmp_path: Path, kind: str, pairs: int
) -> None:
    chosen = recipe(tmp_path / "in", kind)
    drawn = [
        numbers(plans.run(chosen, Store.at(tmp_path / f"out{n}"), limit=Limit(pairs, seed)))
        for n, seed in enumerate((0, 0, 1))
    ]
    assert drawn[0] == drawn[1] == sorted(set(drawn[0]))
    assert len(drawn[0]) == min(pairs, 523)
    assert (drawn[0] == drawn[2]) is (pairs >= 523)
    assert pairs != 100 or (drawn[0][0] < 50 and drawn[0][-1] > 473)  # from both ends


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("limit", [Limit(523), Limit(9999), Limit(523, 4)])
def test_a_limit_that_leaves_nothing_out_is_none(tmp_path: Path, kind: str, limit: Limit) -> None:
    chosen = recipe(tmp_path / "in", kind)
    plan = plans.run(chosen, Store.at(tmp_path / "limited"), limit=limit)
    whole = plans.run(chosen, Store.at(tmp_path / "whole"))
    assert (plan.sentences(), plan.limit, plan.units) == ([], None, whole.units)
    for made in (None, limit, Limit(1000)):
        plan_limit.check(plan, made)


def test_a_row_beyond_the_limit_in_the_last_file_is_seen(tmp_path: Path) -> None:
    chosen = recipe(tmp_path / "in", "csv")
    plan = plans.run(chosen, Store.at(tmp_path / "out"), limit=Limit(522))
    assert plan.sentences() == ["Limited: the first 522 pairs of the input alone."]


def test_both_ways_draw_the_same_whatever_the_format(tmp_path: Path) -> None:
    limit = Limit(77, 5)
    found = [
        numbers(
            plans.run(
                recipe(tmp_path / kind, kind), Store.at(tmp_path / f"{kind}.out"), limit=limit
            )
        )
        for kind in ("parquet", "csv")
    ]
    assert found[0] == found[1]


def test_a_row_is_drawn_as_often_as_another() -> None:
    """Of 2,000 draws of 5 in 20, each row comes 500 times, give or take five deviations."""
    times = [0] * 20
    for seed in range(2000):
        for unit in units([8, 12], 3, Limit(5, seed)):
            for file, row, _ in unit:
                times[8 * file + row] += 1
    assert sum(times) == 10_000
    assert max(abs(count - 500) for count in times) < 5 * (2000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(
    ("made", "wanted", "said"),
    [
        (Limit(5), None, "is a part of the input, made with `--limit 5`: say that again"),
        (Limit(5), Limit(6), "made with `--limit 5`"),
        (Limit(5), Limit(5, 0), "made with `--limit 5`"),
        (Limit(5, 3), Limit(5, 4), "made with `--limit 5 --sample` and .* `shard.seed` 3"),
        (None, Limit(5), "was planned without; leave it out"),
    ],
)
def test_another_limit_is_another_dataset(
    tmp_path: Path, made: Limit | None, wanted: Limit | None, said: str
) -> None:
    store = Store.at(tmp_path / "out")
    plans.run(recipe(tmp_path / "in", "csv"), store, limit=made)
    plan_limit.check(read(store), made)
    with pytest.raises(BadOption, match=said):
        plan_limit.check(read(store), wanted)


def test_files_beyond_the_limit_are_not_read(tmp_path: Path) -> None:
    chosen, store = recipe(tmp_path / "in", "csv"), Store.at(tmp_path / "out")
    plan = plans.run(chosen, store, limit=Limit(2))
    assert [bool(file.content) for file in plan.files] == [True, False, False, False]
    os.utime(tmp_path / "in/2.csv", (1, 1))
    assert plans.run(chosen, store) == plan
