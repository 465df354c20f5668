"""Boiler-plate: what tasks on blocks find of hosts is what a loop over their captions does."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.pipeline.counts.test_pool_counts import HOSTILE, filled, grouped, put

from pairsieve.filters.affixes import affixes
from pairsieve.filters.cleaning import cleaned
from pairsieve.pipeline import group, select
from pairsieve.pipeline.dataset.paths import GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.shards.captions import Captions
from pairsieve.schemas.columns import BOILERPLATE
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]
OF_AFFIXES = 8  # tasks: three rounds and the columns, of two blocks and two partitions
found = partial(grouped, columns=BOILERPLATE)


def recipe(text: Any = "original", **options: Any) -> Recipe:
    asked = {"input": {"path": "p"}, "group": {"boilerplate": options}, "shard": {"text": text}}
    return Recipe.model_validate(asked)


def expected(rows: list[Row], share: float, least: int) -> list[Row]:
    captions: dict[Any, dict[str, tuple[str, str]]] = {}
    for row in rows:
        text = row["text"] or ""
        if row["host"] and text.strip():
            key = " ".join(text.split()).casefold()
            captions.setdefault(row["host"], {})[key] = affixes(cleaned(text))
    made = []
    for row in (row for row in rows if row["outcome"] == "ok"):
        told: list[Any] = [None, None]
        counts = []
        of_host = captions.get(row["host"], {})
        for side, affix in enumerate(affixes(cleaned(row["text"] or ""))):
            many = Counter(each[side].casefold() for each in of_host.values())[affix.casefold()]
            if affix and len(of_host) >= least and many >= share * len(of_host):
                told[side] = affix
                counts.append(many)
        names = ("boilerplate_prefix", "boilerplate_suffix", "boilerplate_captions")
        made.append(
            {"row": row["row"], **dict(zip(names, (*told, max(counts, default=None)), strict=True))}
        )
    return made


def many(count: int = 60) -> list[Row]:
    rng = random.Random(3)
    endings = [" | The Shop", " | the shop", "", " &#124; The Shop", " - Other"]
    texts: list[str | None] = [None, "", HOSTILE, "| The Shop", "a | b", "a | b"]
    while len(texts) < count:
        texts.append(
            rng.choice(["Photo: ", ""]) + f"thing {rng.randrange(40)}" + rng.choice(endings)
        )
    rng.shuffle(texts)
    return filled(
        [(rng.choice(["ok", "dns"]), 0, text, (n % 3, n % 9)) for n, text in enumerate(texts)]
        + [("ok", 0, "thing | The Shop", None)]
    )


@pytest.mark.parametrize(("units", "partitions"), [(1, 3), (100, 1)])
def test_boiler_plate_is_that_of_a_loop(tmp_path: Path, units: int, partitions: int) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    asked = recipe(min_share=0.4, min_captions=5)
    group.run(asked, store, Serial(), partitions=partitions, units=units)
    told = found(store)
    assert told == expected(many(), 0.4, 5)
    assert {row["boilerplate_suffix"] for row in told} >= {" | The Shop", " | the shop", None}


def test_ray_finds_the_same(tmp_path: Path, ray: Engine) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(20))
    group.run(recipe(min_share=0.4, min_captions=2), store, ray, partitions=2, units=3)
    assert found(store) == expected(many(20), 0.4, 2)


def test_killed_after_any_of_its_tasks_it_ends_the_same(
    tmp_path: Path, dying: Callable[[int], Any]
) -> None:
    asked = recipe(min_share=0.4, min_captions=2)
    put(whole := Store.at(tmp_path / "whole"), many(20))
    put(store := Store.at(tmp_path / "killed"), many(20))
    group.run(asked, whole, engine := dying(1000), partitions=2, units=3)
    tasks, committed = 1000 - engine.left - OF_AFFIXES, []
    while store.marker(GROUP_MARKER) is None:
        with suppress(KeyboardInterrupt):
            group.run(asked, store, dying(tasks), partitions=2, units=3)
        committed.append(len(list(tmp_path.glob("killed/group/near/*/affix*/*.json"))))
        tasks = 1
    assert {0, 1, 2, 3, 4, 5, 6} <= set(committed)
    assert found(store) == found(whole) == expected(many(20), 0.4, 2)


def test_a_pool_without_captions_or_hosts_has_none(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, filled([("ok", 0, None, (0, 0)), ("ok", 0, "a | b", None), ("ok", 0, "", (0, 0))]))
    group.run(recipe(min_captions=2), store, Serial())
    assert {tuple(row.values())[1:] for row in found(store)} == {(None, None, None)}


def test_a_host_with_few_captions_has_none(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    rows = [("ok", 0, f"thing {n % 19} | Shop", (0, n)) for n in range(24)]
    put(store, filled(rows))
    group.run(recipe(), store, Serial())
    assert {row["boilerplate_suffix"] for row in found(store)} == {None}
    put(other := Store.at(tmp_path / "other"), filled([*rows, ("dns", 0, "one more", (0, 24))]))
    group.run(recipe(), other, Serial())
    assert {tuple(row.values())[1:] for row in found(other)} == {(None, " | Shop", 19)}


SAMPLES = pa.table(
    {
        "uid": ["0", "1", "2"],
        "text": ["a  dog | Shop", "a cat | Shop", "a.b@example.org | Shop"],
        "boilerplate_prefix": pa.nulls(3, pa.string()),
        "boilerplate_suffix": [" | Shop", None, " | Shop"],
    }
)


def test_cleaned_captions_lack_it_and_others_keep_it() -> None:
    def written(text: Any, **shard: Any) -> list[bytes]:
        asked = recipe(text)
        shaped = asked.model_copy(update={"shard": asked.shard.model_copy(update=shard)})
        return Captions.of(shaped).trained_on(SAMPLES).to_pylist()  # type: ignore[no-any-return]

    assert written("original") == [text.encode() for text in SAMPLES["text"].to_pylist()]
    assert written("cleaned") == [b"a dog", b"a cat | Shop", b"a.b@example.org"]
    assert written({"cleaned": 1.0}) == written("cleaned")
    assert written("cleaned", personal_data="mask")[2] == b"[email]"


def test_the_own_caption_is_not_written_again_with_it() -> None:
    asked = recipe("cleaned")
    shard = asked.shard.model_copy(update={"captions": "all"})
    captions = Captions.of(asked.model_copy(update={"shard": shard}))
    samples = SAMPLES.slice(0, 1).append_column(
        "captions", pa.array([["a  dog | Shop", "one more"]])
    )
    assert captions.files(samples).to_pylist() == [[("1.txt", b"one more")]]


def test_cleaned_captions_need_what_group_has_looked_for(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many(8))
    group.run(recipe(min_share=0.9), store, Serial())
    with pytest.raises(BadOption, match="shard.text: cleaned captions lack their boiler-plate"):
        select.run(recipe("cleaned"), store, Serial(), "s")
    group.run(recipe("cleaned"), store, Serial())
    select.run(recipe("cleaned"), store, Serial(), "s")
