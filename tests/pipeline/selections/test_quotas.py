"""Caps, samples and mixes over pools in any blocks, against a plain evaluation in Python."""

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.rules import Quota
from pairsieve.pipeline.selections import diff, quotas
from pairsieve.pipeline.selections.record import read
from pairsieve.pipeline.selections.sweep import sweep
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PutUnits = Callable[[Store, list[dict[str, Any]], int], None]
WIDE = {"where": "width >= 50", "name": "wide"}
SEED = 7


def recipe(*keep: dict[str, Any]) -> Recipe:
    content = {"input": {"path": "p"}, "keep": keep, "shard": {"seed": SEED}}
    return Recipe.model_validate(content)


def kept(store: Store, name: str = "default") -> list[int]:
    with connect(store) as connection:
        attach(connection, store, selection=name)
        found = connection.execute("SELECT row FROM ledger WHERE keep ORDER BY row").fetchall()
    return [row for (row,) in found]


def by_chance(row: dict[str, Any]) -> tuple[str, int]:
    return hashlib.md5(f"{SEED}:{row['uid']}".encode()).hexdigest(), row["row"]


def by_score(row: dict[str, Any]) -> tuple[bool, float, str, int]:
    score = row["sharpness"]
    missing = score is None or math.isnan(score)
    return missing, 0 if missing else -score, row["uid"], row["row"]


def capped(rows: list[dict[str, Any]], n: int, order: Callable[..., Any]) -> list[dict[str, Any]]:
    taken: dict[str, int] = {}
    chosen = []
    for row in sorted(rows, key=order):
        host = row["host"]
        taken[host] = taken.get(host, 0) + 1
        if host is None or taken[host] <= n:
            chosen.append(row)
    return chosen


def mixed(rows: list[dict[str, Any]], shares: dict[str, float]) -> list[dict[str, Any]]:
    of = {name: [row for row in rows if row["language"] == name] for name in shares}
    total = 0
    exact = {name: Fraction(str(share)) for name, share in shares.items()}
    while all(int((total + 1) * exact[name]) <= len(of[name]) for name in shares):
        total += 1
    return [
        row
        for name in shares
        for row in sorted(of[name], key=by_chance)[: int(total * exact[name])]
    ]


def by_length(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a quarter of 3 to 5 words and three of 6 or more."""
    ranges = [
        row | {"language": "long" if row["caption_words"] >= 6 else "short"}
        for row in rows
        if (row["caption_words"] or 0) >= 3
    ]
    return mixed(ranges, {"short": 0.25, "long": 0.75})


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(["ok", "ok", "ok", "ok", "dns", "gated"]),
            "width": st.sampled_from([10, 90, 90]),
            "host": st.sampled_from([None, "a", "b", "c"]),
            "language": st.sampled_from([None, "en", "zh", "de"]),
            "caption_words": st.sampled_from([None, 0, 2, 3, 5, 6, 100]),
            "sharpness": st.sampled_from([None, 0.25, 0.5, 0.75, math.nan]),
            "uid": st.integers(0, 9).map(lambda n: f"{n:032x}"),
        }
    ),
    min_size=1,
    max_size=24,
)
KINDS = st.sampled_from(
    ["cap by score", "cap by chance", "sample", "fraction", "mix", "cap, mix", "lengths"]
)


@settings(max_examples=repeated(14, 60), deadline=None)
@given(rows=ROWS, kind=KINDS, n=st.integers(1, 4), units=st.integers(1, 4))
def test_quotas_are_as_in_a_plain_evaluation_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory,
    put_units: PutUnits,
    rows: list[dict[str, Any]],
    kind: str,
    n: int,
    units: int,
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    put_units(store, rows, 4)
    numbered = [row | {"row": number} for number, row in enumerate(rows)]
    left = [row for row in numbered if row["outcome"] == "ok" and row["width"] >= 50]
    shares = {"en": 0.5, "zh": 0.25, "de": 0.25}
    by: dict[str, Any] = {"by": "sharpness"}
    cases: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
        "cap by score": ([{"at_most": {"per": "host", "n": n} | by}], capped(left, n, by_score)),
        "cap by chance": ([{"at_most": {"per": "host", "n": n}}], capped(left, n, by_chance)),
        "sample": ([{"sample": {"n": n}}], sorted(left, key=by_chance)[:n]),
        "fraction": (
            [{"sample": {"fraction": 0.3}}],
            sorted(left, key=by_chance)[: math.ceil(Fraction("0.3") * len(left))],
        ),
        "lengths": ([{"length_balance": {"shares": {3: 0.25, 6: 0.75}}}], by_length(left)),
        "mix": ([{"mix": {"by": "language", "shares": shares}}], mixed(left, shares)),
        "cap, mix": (
            [
                {"at_most": {"per": "host", "n": n} | by},
                {"mix": {"by": "language", "shares": shares}},
            ],
            mixed(capped(left, n, by_score), shares),
        ),
    }
    keep, expected = cases[kind]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotas, "BLOCKS_PER_PARTITION", 1)
        marker = select.run(recipe(*keep, WIDE), store, Serial(), "default", units)
    assert kept(store) == sorted(row["row"] for row in expected)
    assert marker.counts["kept"] == len(expected)
    assert sum(row["dropped"] for row in marker.extra["funnel"]) == len(rows) - len(expected)


POOL: list[dict[str, Any]] = [
    {"host": host, "sharpness": score, "width": width, "language": language}
    for host, score, width, language in (
        ("a", 0.9, 90, "en"),
        ("a", 0.8, 90, "en"),
        ("a", 0.95, 10, "en"),  # too narrow, so it counts for no cap
        ("b", 0.1, 90, "zh"),
        ("a", 0.7, 90, "zh"),
        ("b", None, 90, "en"),
        (None, 0.0, 90, "de"),
    )
]


@pytest.fixture
def store(tmp_path: Path, put_units: PutUnits) -> Store:
    store = Store.at(tmp_path / "dataset")
    put_units(store, POOL, 2)
    return store


CAP = {"at_most": {"per": "host", "n": 1, "by": "sharpness"}}


def test_the_best_of_each_host_stay(store: Store) -> None:
    marker = select.run(recipe(CAP, WIDE), store, Serial(), "default", 1)
    assert kept(store) == [0, 3, 6]
    assert [tuple(row.values())[1:] for row in marker.extra["funnel"]][-1] == (
        "at_most per host", 6, 3, 3, 0, 3,
    )  # fmt: skip


def test_another_seed_draws_other_pairs(tmp_path: Path, put_units: PutUnits) -> None:
    store = Store.at(tmp_path / "many")
    put_units(store, [{"width": 90}] * 40, 10)
    drawn = []
    for seed in (1, 2):
        content = {"input": {"path": "p"}, "keep": [{"sample": {"n": 10}}], "shard": {"seed": seed}}
        select.run(Recipe.model_validate(content), store, Serial(), "default")
        drawn.append(kept(store))
    assert [len(rows) for rows in drawn] == [10, 10]
    assert drawn[0] != drawn[1]


def test_on_ray_the_same_stay_and_what_was_needed_is_gone(store: Store, ray: Engine) -> None:
    select.run(recipe(CAP, {"sample": {"n": 2}}), store, Serial(), "serial", 1)
    marker = select.run(recipe(CAP, {"sample": {"n": 2}}), store, ray, "ray", 1)
    assert kept(store, "ray") == kept(store, "serial")
    assert {path for path, _, _ in store.list("select/ray")} == {
        *marker.files,
        "select/ray/done.json",
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, put_units: PutUnits) -> list[int]:
    """Return the rows that stay where nothing is killed."""
    store = Store.at(tmp_path_factory.mktemp("undisturbed") / "dataset")
    put_units(store, POOL, 2)
    select.run(recipe(CAP, WIDE), store, Serial(), "whole", 1)
    return kept(store, "whole")


@pytest.mark.parametrize("tasks", range(1, 9))
def test_killed_after_any_task_it_goes_on_and_ends_the_same(
    store: Store, undisturbed: list[int], dying: Callable[[int], Any], tasks: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        select.run(recipe(CAP, WIDE), store, dying(tasks), "killed", 1)
    select.run(recipe(CAP, WIDE), store, Serial(), "killed", 1)
    assert kept(store, "killed") == undisturbed
    assert not list(store.list("select/killed/order"))


def test_selecting_again_without_a_change_does_nothing(store: Store) -> None:
    first = select.run(recipe(CAP, WIDE), store, Serial(), "default", 1)
    before = list(store.list())
    assert select.run(recipe(CAP, WIDE), store, Serial(), "default", 1) == first
    assert list(store.list()) == before


@pytest.mark.parametrize(
    ("keep", "limit"),
    [
        ({"mix": {"by": "host", "shares": {"a": 0.5, "typo": 0.5}}}, ["typo", 0]),
        ({"mix": {"by": "row", "shares": {0: 0.4, 1: 0.6}}}, ["1", 1]),
    ],
)
def test_of_a_mix_the_value_that_limits_it_is_noted(
    store: Store, keep: dict[str, Any], limit: list[str | int]
) -> None:
    marker = select.run(recipe(keep), store, Serial(), "default", 1)
    assert marker.extra["scarce"] == {f"mix by {keep['mix']['by']}": limit}


def test_a_window_beside_a_cap_is_judged_in_one_block(store: Store) -> None:
    window = {"where": "row > min(row) OVER ()", "name": "not_first"}
    select.run(recipe(CAP, WIDE, window), store, Serial(), "default", 1)
    assert kept(store) == [1, 3, 6]


def test_diff_names_the_cap_and_sweep_counts_without_it(store: Store) -> None:
    select.run(recipe(WIDE, {"sharpness": {"min_sharpness": 0}}), store, Serial(), "all")
    made = recipe(CAP, WIDE, {"sharpness": {"min_sharpness": 0}})
    select.run(made, store, Serial(), "capped")
    (lost,) = diff.run(store, Serial(), ("all", "capped"), 1).lost
    assert (lost.rule, lost.pairs) == ("at_most per host", 2)
    assert read(store, "capped")[1].rules[-1].quota == Quota(SEED, 1, per="host", by="sharpness")
    assert sweep(store, Serial(), "capped", "sharpness", [0.5]).survivors == [[3]]


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ({"at_most": {"per": "hst", "n": 1}}, "there is no column `hst`; .*`host`"),
        ({"at_most": {"per": "host", "n": 1, "by": "text"}}, "`text` is text.*`at_most` ranks"),
        ({"mix": {"by": "lang", "shares": {"en": 1}}}, "there is no column `lang`"),
    ],
)
def test_columns_that_are_not_there_are_refused(
    store: Store, keep: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadOption, match=says):
        select.run(recipe(keep), store, Serial(), "default")
