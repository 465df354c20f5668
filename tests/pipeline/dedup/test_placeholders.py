import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import group, select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import placeholders
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]
Put = Callable[[Store, list[Row]], None]
Evidence = tuple[int, int, float, float]
RECIPE = Recipe.model_validate(
    {"input": {"path": "p.parquet"}, "keep": [{"placeholder": {"min_hosts": 3}}]}
)


def shown(picture: int, host: str, text: str | None) -> Row:
    """Return a pair whose image is number `picture`, as that host shows it."""
    sha256 = f"{picture:064x}"
    return {"sha256": sha256, "url": f"http://{host}/a.jpg", "text": text, "perceptual_hash": None}


def counted(folder: Path, put: Put, rows: list[Row]) -> list[Evidence]:
    """Return hosts, captions and the unrelated share of every pair, in order."""
    store = Store.at(folder)
    put(store, rows)
    group.run(RECIPE, store, Serial())
    return told(store)


def told(store: Store) -> list[Evidence]:
    names = ", ".join(column.name for column in placeholders.COLUMNS)
    with connect(store) as connection:
        attach(connection, store)
        return connection.execute(f"SELECT {names} FROM ledger ORDER BY row").fetchall()


def test_hosts_captions_and_unrelated_pairs_are_counted(tmp_path: Path, put_gathered: Put) -> None:
    rows = [
        shown(1, "a.example", "Red bus in London"),
        shown(1, "A.example:80", "A cat!"),
        shown(1, "b.example", "red  BUS, in london"),  # the same words
        shown(1, "c.example", "the red bus"),  # shares two of three with the first
        shown(2, "d.example", "a dog"),
    ]
    # Pairs of the three captions: bus and cat, cat and bus, bus and bus; only the last is related.
    # One of the three hosts shows it under two captions.
    bus, dog = (3, 3, pytest.approx(2 / 3), pytest.approx(1 / 3)), (1, 1, 0, 0)
    assert counted(tmp_path, put_gathered, rows) == [bus, bus, bus, bus, dog]


@pytest.mark.parametrize(
    ("one", "other", "unrelated"),
    [
        ("a b c", "a x y z", 0),  # one of three: a third is enough
        ("a b c d", "a x y z", 1),  # one of four
        ("ein roter Bus", "バス 赤い", 1),
        ("a a a b", "a c", 0),  # a word counts once
        ("12 34", "34 56", 0),  # numbers are words
    ],
)
def test_captions_are_related_from_a_third_of_the_shorter_on(
    tmp_path: Path, put_gathered: Put, one: str, other: str, unrelated: int
) -> None:
    rows = [shown(1, "a.example", one), shown(1, "b.example", other)]
    assert counted(tmp_path, put_gathered, rows) == [(2, 2, unrelated, 0)] * 2


def test_no_caption_and_no_host_count_for_nothing(tmp_path: Path, put_gathered: Put) -> None:
    rows = [shown(1, "a.example", None), shown(1, "b.example", " - "), shown(1, "c.example", "cat")]
    rows[2]["url"] = "wds:shard.tar/key@0"
    assert counted(tmp_path, put_gathered, rows) == [(2, 1, 0, 0)] * 3


def test_hostile_captions_are_read_to_a_limit(tmp_path: Path, put_gathered: Put) -> None:
    texts = ["x" * 1_000_000, "'; DROP TABLE ledger; -- \u202e\0", "y " * 500_000, "<b>" * 1000]
    rows = [shown(1, f"{n}.example", text) for n, text in enumerate(texts)]
    assert counted(tmp_path, put_gathered, rows) == [(4, 4, 1, 0)] * 4


def test_order_and_number_of_copies_do_not_matter(tmp_path: Path, put_gathered: Put) -> None:
    chance = np.random.default_rng(0)
    words = [" ".join(chance.choice(list("abcdefghijkl"), 4)) for _ in range(60)]
    rows = [shown(1, f"{n % 9}.example", text) for n, text in enumerate(words)]
    first = counted(tmp_path / "one", put_gathered, rows)
    shuffled = [rows[n] for n in chance.permutation(60)]
    assert counted(tmp_path / "two", put_gathered, shuffled) == first
    assert counted(tmp_path / "three", put_gathered, rows * 3) == first * 3


def in_units(store: Store, rows: list[Row]) -> None:
    """Commit rows as units of 20 pairs."""
    for unit, start in enumerate(range(0, len(rows), 20)):
        part = [
            {
                "row": start + number,
                "uid": f"{start + number:032x}",
                "text": row["text"],
                "host": urlsplit(row["url"]).hostname,
                "sha256": row["sha256"],
                "retry_layer": 0,
                "outcome": "ok",
            }
            for number, row in enumerate(rows[start : start + 20])
        ]
        path = f"gather/{unit:08d}.000000000000.parquet"
        with store.writer(path) as sink:
            pq.write_table(pa.Table.from_pylist(part, arrow_schema(GATHERED)), sink)
        commit(store, f"gather/{unit:08d}.json", Marker(len(part), {path: sink.entry()}))


@pytest.mark.parametrize(("units", "partitions"), [(1, 3), (2, 1), (4, 2)])
def test_blocks_and_partitions_do_not_matter(
    tmp_path: Path, put_gathered: Put, units: int, partitions: int
) -> None:
    chance = np.random.default_rng(1)
    words = [" ".join(chance.choice(list("abcdefgh"), 3)) for _ in range(70)]
    rows = [
        shown(int(chance.integers(20)), f"{n % 7}.example", text) for n, text in enumerate(words)
    ]
    expected = counted(tmp_path / "one", put_gathered, rows)
    store = Store.at(tmp_path / "blocks")
    in_units(store, rows)
    marker = group.run(RECIPE, store, Serial(), partitions=partitions, units=units)
    assert told(store) == expected
    assert marker.counts["placeholders"] == sum(hosts > 1 for hosts, *_ in expected) > 20


def test_every_pair_with_a_placeholder_is_dropped(tmp_path: Path, put_gathered: Put) -> None:
    texts = ["red bus", "grey cat", "house for sale", "our new office", "summer hats"]
    store = Store.at(tmp_path)
    put_gathered(
        store,
        [
            *(shown(1, f"{n}.example", text) for n, text in enumerate(texts)),
            *(shown(2, f"{n}.example", f"{text} number {n}") for n, text in enumerate(["hat"] * 5)),
        ],
    )
    group.run(RECIPE, store, Serial())
    marker = select.run(RECIPE, store, Serial(), "default")
    assert marker.counts["kept"] == 5
    assert marker.extra["funnel"][-1]["rule"] == "placeholder"


@pytest.mark.parametrize(("times", "flat", "kept"), [(1, 0.1, 10), (2, 0.1, 0), (1, 0.9, 0)])
def test_a_portrait_of_a_stock_stays_unless_its_hosts_repeat_it_or_it_is_empty(
    tmp_path: Path, put_gathered: Put, times: int, flat: float, kept: int
) -> None:
    texts = ["red bus", "grey cat", "house for sale", "our new office", "summer hats", "dry leaves"]
    others = ["blue sky", "tall man", "old wine", "my team", "weird fish", "cheap flights"]
    store = Store.at(tmp_path)
    rows = [
        shown(picture, f"{n}.example", text) | {"low_information": flat}
        for picture in range(10)
        for captions in (texts, others)[:times]
        for n, text in enumerate(captions)
    ]
    put_gathered(store, rows)
    group.run(RECIPE, store, Serial())
    asked = Recipe.model_validate(
        {
            "input": {"path": "p.parquet"},
            "keep": [{"placeholder": {"min_hosts": 3}}, {"duplicate": {}}],
        }
    )
    group.run(asked, store, Serial())
    assert select.run(asked, store, Serial(), "default").counts["kept"] == kept


def test_without_a_rule_nothing_is_counted(tmp_path: Path, put_gathered: Put) -> None:
    store = Store.at(tmp_path)
    put_gathered(store, [shown(1, "a.example", "cat")] * 2)
    group.run(Recipe.model_validate({"input": {"path": "p"}}), store, Serial())
    with connect(store) as connection:
        attach(connection, store)
        found = connection.execute("SELECT count(placeholder_hosts) FROM ledger").fetchone()
    assert found == (0,)


def test_placeholders_are_told_from_products_on_real_captions(
    tmp_path: Path, put_gathered: Put, real: Path
) -> None:
    """A product: one caption, in which each shop adds or leaves out words. A placeholder: any."""
    with (real / "cc3m_validation.tsv").open() as file:
        captions = [row[0] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    chance = np.random.default_rng(0)
    rows, kinds = [], []
    for picture in range(100):
        placeholder = picture % 2 == 0
        own = str(chance.choice([c for c in captions[:500] if len(c.split()) > 5])).split()
        for host in range(8):
            if placeholder:
                text = str(chance.choice(captions))
            else:
                text = " ".join([*chance.permutation(own)[: -(-2 * len(own) // 3)], f"shop {host}"])
            rows.append(shown(picture, f"{host}.example", text))
            kinds.append(placeholder)
    evidence = counted(tmp_path, put_gathered, rows)
    shares = {kind: [e[2] for e, k in zip(evidence, kinds, strict=True) if k is kind] for kind in
              (True, False)}  # fmt: skip
    assert min(shares[True]) >= 0.8
    assert max(shares[False]) <= 0.2
