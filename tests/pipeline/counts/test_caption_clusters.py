"""Near-duplicate captions: what tasks on blocks find is what comparing all with all does."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.counts.test_pool_counts import filled, grouped, put

from pairsieve.pipeline import group
from pairsieve.pipeline.counts.caption_ngrams import words
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.schemas.columns import CLUSTERED
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]
found = partial(grouped, columns=CLUSTERED)
WORDS = ["red", "blue", "dog", "cat", "house", "on", "the", "hill", "in", "snow"]
HOSTILE = ["a\0dog \u202e' OR 1; --", "<b>=1+1</b>", "x " * 500_000, "!!!", "...", "دنیا سلام"]


def recipe(min_jaccard: float) -> Recipe:
    return Recipe.model_validate(
        {"input": {"path": "p"}, "group": {"caption_cluster": {"min_jaccard": min_jaccard}}}
    )


def grams(text: str) -> set[Any]:
    listed = words(text)
    return {*listed, *zip(listed, listed[1:], strict=False)} or {text.lower()}


def expected(rows: list[Row], min_jaccard: float) -> list[Row]:
    """Compare each caption with each; follow the chains."""
    sets = {row["row"]: grams(row["text"]) for row in rows if (row["text"] or "").strip()}
    clusters = {row: row for row in sets}
    for one, mine in sets.items():
        for other, theirs in sets.items():
            if len(mine & theirs) >= min_jaccard * len(mine | theirs):
                old, new = sorted((clusters[one], clusters[other]), reverse=True)
                clusters = {r: new if c == old else c for r, c in clusters.items()}
    pairs: dict[int, set[str]] = {}
    for row in rows:
        pairs.setdefault(clusters.get(row["row"], -1), set()).add(row["uid"])
    return [
        {
            "row": row["row"],
            "caption_cluster": clusters.get(row["row"]),
            "caption_cluster_pairs": len(pairs[clusters[row["row"]]])
            if row["row"] in clusters
            else None,
        }
        for row in rows
        if row["outcome"] == "ok"
    ]


def many(count: int = 40) -> list[Row]:
    """Return rows in which captions are alike, the same, hostile, and missing."""
    rng = random.Random(0)
    texts: list[str | None] = [None, "", *HOSTILE]
    while len(texts) < count:
        base = rng.choices(WORDS, k=8)
        texts += [" ".join(base), " ".join([*base, rng.choice(WORDS)]), "一只 " + "".join(base)]
        texts.append(texts[rng.randrange(len(texts))])
    rng.shuffle(texts)
    outcomes = ["ok", "ok", "dns"]
    return filled([(rng.choice(outcomes), 0, text, (0, n % 9)) for n, text in enumerate(texts)])


@pytest.mark.parametrize(("units", "partitions", "min_jaccard"), [(1, 3, 0.5), (100, 1, 0.9)])
def test_clusters_are_those_of_comparing_all_with_all(
    tmp_path: Path, units: int, partitions: int, min_jaccard: float
) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    group.run(recipe(min_jaccard), store, Serial(), partitions=partitions, units=units)
    assert found(store) == expected(many(), min_jaccard)


def test_a_pool_without_captions_has_no_clusters(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, filled([("ok", 0, text, (0, 0)) for text in (None, "", " ", None, None)]))
    group.run(recipe(0.7), store, Serial(), units=1)
    assert {tuple(row.values())[1:] for row in found(store)} == {(None, None)}


def test_ray_finds_the_same(tmp_path: Path, ray: Engine) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(16))
    group.run(recipe(0.7), store, ray, partitions=2, units=2)
    assert found(store) == expected(many(16), 0.7)


def test_what_was_killed_while_it_compared_goes_on(
    tmp_path: Path, dying: Callable[[int], Engine]
) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(16))
    with pytest.raises(KeyboardInterrupt):
        group.run(recipe(0.7), store, dying(50), partitions=2, units=2)
    assert list(tmp_path.glob("dataset/group/near/*/captionmates/*.json"))
    group.run(recipe(0.7), store, Serial(), partitions=2, units=2)
    assert found(store) == expected(many(16), 0.7)
