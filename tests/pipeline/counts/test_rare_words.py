"""Rare words: what tasks count of blocks and partitions is what a loop over captions does."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.counts.test_pool_counts import HOSTILE, filled, grouped, put

from pairsieve.pipeline import group, select
from pairsieve.pipeline.counts.caption_ngrams import words
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.schemas.columns import RARE
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]
found = partial(grouped, columns=RARE)
WORDS = [*"aaaabbbc", "dog", "Dog"]


def recipe(**options: int) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "keep": [{"rare_words": options}]})


def grams(text: str | None) -> list[Any]:
    listed = words(text or "")
    return [*listed, *zip(listed, listed[1:], strict=False)]


def expected(rows: list[Row]) -> list[Row]:
    pairs = {row["uid"]: row["text"] for row in rows}
    counts = Counter(gram for text in pairs.values() for gram in grams(text))
    told = []
    for row in (row for row in rows if row["outcome"] == "ok"):
        least = min((counts[gram] for gram in grams(row["text"])), default=None)
        rank = least and sum(1 for times in counts.values() if times >= least)
        told.append({"row": row["row"], "rarest_word_times": least, "rarest_word_rank": rank})
    return told


def many(count: int = 40) -> list[Row]:
    rng = random.Random(1)
    texts: list[str | None] = [None, "", "!!!", HOSTILE, "红狗", "دنیا <b>"]
    while len(texts) < count:
        texts.append(" ".join(rng.choices(WORDS, k=rng.randrange(5))))
    rng.shuffle(texts)
    outcomes = ["ok", "dns"]
    return filled([(rng.choice(outcomes), 0, text, (0, n % 2)) for n, text in enumerate(texts)])


@pytest.mark.parametrize(("units", "partitions"), [(1, 3), (100, 1)])
def test_the_rarest_is_that_of_a_loop(tmp_path: Path, units: int, partitions: int) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    group.run(recipe(), store, Serial(), partitions=partitions, units=units)
    assert found(store) == expected(many())


def test_counts_are_those_of_a_hand(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    texts = ["red dog", "Red dog!", "red cat", "dog"]
    put(store, filled([("ok", 0, text, (0, n)) for n, text in enumerate(texts)]))
    group.run(recipe(), store, Serial())
    # red 3, dog 3, red dog 2, cat 1, red cat 1
    assert [tuple(row.values())[1:] for row in found(store)] == [(2, 3), (2, 3), (1, 5), (3, 2)]


def test_a_pool_without_words_has_no_rarest(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, filled([("ok", 0, text, (0, 0)) for text in (None, "", "!")]))
    group.run(recipe(), store, Serial())
    assert {tuple(row.values())[1:] for row in found(store)} == {(None, None)}


def test_ray_finds_the_same(tmp_path: Path, ray: Engine) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(20))
    group.run(recipe(), store, ray, partitions=2, units=2)
    assert found(store) == expected(many(20))


def test_what_was_killed_while_it_added_goes_on(
    tmp_path: Path, dying: Callable[[int], Engine]
) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(20))
    with pytest.raises(KeyboardInterrupt):
        group.run(recipe(), store, dying(38), partitions=2, units=2)
    assert list(tmp_path.glob("dataset/group/near/*/ngrams/*.json"))
    group.run(recipe(), store, Serial(), partitions=2, units=2)
    assert found(store) == expected(many(20))


def test_nobody_counts_where_no_rule_reads_it(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(8))
    plain = Recipe.model_validate({"input": {"path": "p"}})
    group.run(plain, store, Serial())
    assert {tuple(row.values())[1:] for row in found(store)} == {(None, None)}
    with pytest.raises(BadOption, match="rarest_word_rank, which `group` has not measured"):
        select.run(recipe(), store, Serial(), "s")
    group.run(recipe(), store, Serial())
    select.run(recipe(min_times=2), store, Serial(), "s")
    marker = store.marker(select_marker("s"))
    assert marker is not None
    assert marker.extra["funnel"][-1]["rule"] == "rare_words"
