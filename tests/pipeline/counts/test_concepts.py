"""Concepts: what tasks match, count and draw is what a loop over pairs does."""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipeline.counts.test_pool_counts import grouped, put
from tests.repetition import repeated
from xxhash import xxh3_64_intdigest

from pairsieve.pipeline import group, report, select
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.schemas.columns import BALANCED
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

ENTRIES = ("a", "a photo", "dog", "photo", "zebra")
Row = dict[str, Any]
found = partial(grouped, columns=BALANCED)
HOSTILE = "a\0dog \u202e photo ' OR 1; --" + " x" * 500_000


def recipe(entries: Row, *keep: Row) -> Recipe:
    return Recipe.model_validate(
        {"input": {"path": "p"}, "group": {"entries": entries}, "keep": keep}
    )


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("lists") / "entries.txt"
    path.write_text("\n".join(ENTRIES))
    return str(path)


def filled(rows: list[tuple[Any, ...]]) -> list[Row]:
    pairs: dict[Any, int] = {}
    return [
        {
            "row": row,
            "uid": f"{pairs.setdefault((text, url), len(pairs)):032x}",
            "text": text,
            "retry_layer": 0,
            "outcome": outcome,
        }
        for row, (outcome, text, url) in enumerate(rows)
    ]


def matched(text: str | None) -> list[str]:
    padded = f" {text or ''} ".replace(",", " , ").replace(".", " . ").replace(";", " ; ")
    return [entry for entry in ENTRIES if f" {entry} " in padded]


def uniform(uid: str, entry: str, seed: int) -> float:
    def mixed(word: int) -> int:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word = (word ^ word >> shift) * factor % 2**64
        return word ^ word >> 31

    key = xxh3_64_intdigest(f"\0{entry}".encode(), seed)
    word = mixed(int(uid[:16], 16) ^ mixed((int(uid[16:], 16) + key) % 2**64))
    return (word >> 11) / 2**53


def expected(rows: list[Row], seed: int = 0) -> list[Row]:
    images = {row["uid"]: row for row in rows if row["outcome"] == "ok"}
    pairs = Counter(entry for row in images.values() for entry in matched(row["text"]))
    told = []
    for row in (row for row in rows if row["outcome"] == "ok"):
        entries = matched(row["text"])
        rarest = min(entries, key=lambda entry: (pairs[entry], entry), default=None)
        rank = min((uniform(row["uid"], e, seed) * pairs[e] for e in entries), default=None)
        below = rank is not None and sum(n for n in pairs.values() if n < rank) / pairs.total()
        told.append(
            {
                "row": row["row"],
                "concept_matches": len(entries),
                "concept_entry": rarest,
                "concept_pairs": None if rarest is None else pairs[rarest],
                "concept_rank": rank,
                "concept_tail": None if rank is None else below,
            }
        )
    return told


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "ok", "dns"]),
        st.sampled_from([None, "", "a dog", "a photo of a dog, big", "photo;zebra", "Dog", "none"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=repeated(4, 10), deadline=None)
@given(rows=ROWS, units=st.sampled_from([1, 2, 100]), partitions=st.sampled_from([1, 3]))
def test_matches_counts_and_draws_are_those_of_a_loop(
    tmp_path_factory: pytest.TempPathFactory,
    listed: str,
    rows: list[Any],
    units: int,
    partitions: int,
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    put(store, filled(rows))
    asked = recipe({"path": listed, "seed": 7})
    group.run(asked, store, Serial(), partitions=partitions, units=units)
    assert found(store) == expected(filled(rows), seed=7)


def many() -> list[Row]:
    texts = ["a dog", "a photo", HOSTILE, None, "zebra", "a photo of a zebra"]
    return filled([("ok", texts[row % 6], row % 4) for row in range(24)])


def test_ray_finds_the_same(tmp_path: Path, ray: Engine, listed: str) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    group.run(recipe({"path": listed}), store, ray, partitions=2, units=2)
    assert found(store) == expected(many())


@pytest.mark.parametrize(
    ("entries", "tasks", "round"), [("path", 40, "matches"), ("", 44, "words")]
)
def test_what_was_killed_while_it_matched_goes_on(
    tmp_path: Path,
    dying: Callable[[int], Engine],
    listed: str,
    entries: str,
    tasks: int,
    round: str,
) -> None:
    asked = recipe({"path": listed} if entries else {"min_pairs": 2})
    whole, store = (Store.at(tmp_path / name) for name in ("whole", "killed"))
    for each in (whole, store):
        put(each, many())
    group.run(asked, whole, Serial(), partitions=2, units=2)
    with pytest.raises(KeyboardInterrupt):
        group.run(asked, store, dying(tasks), partitions=2, units=2)
    assert list(tmp_path.glob(f"killed/group/near/*/{round}/*.json"))
    group.run(asked, store, Serial(), partitions=2, units=2)
    assert found(store) == found(whole)


def test_the_words_of_the_pool_and_its_pairs_of_words_are_entries(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    rows = [
        ("ok", "red dog", 0),
        ("ok", "the red dog", 0),
        ("ok", "red dog!", 1),
        ("ok", "dog, red", 2),
        ("ok", "red, dog  red", 2),
    ]
    put(store, filled([*rows, ("dns", "the cat", 3), ("ok", "red dog", 0)]))
    for units, partitions in ((1, 1), (1, 3), (100, 2)):
        group.run(recipe({"min_pairs": 3}), store, Serial(), partitions=partitions, units=units)
        told = [
            (row["concept_matches"], row["concept_entry"], row["concept_pairs"])
            for row in found(store)
        ]
        assert told == [
            (3, "red dog", 3),
            (3, "red dog", 3),
            (3, "red dog", 3),
            (2, "dog", 5),
            (2, "dog", 5),
            (3, "red dog", 3),
        ]
        store.delete(name for name, _, _ in list(store.list("group")))


def test_the_commonest_entries_are_chosen(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, filled([("ok", text, 0) for text in ("b a", "b c", "b c d")]))
    group.run(recipe({"min_pairs": 1, "max_entries": 2}), store, Serial())
    assert [row["concept_entry"] for row in found(store)] == ["b", "b c", "b c"]


def test_each_entry_keeps_about_t_pairs_and_a_smaller_t_fewer_of_the_same(tmp_path: Path) -> None:
    store, count = Store.at(tmp_path / "dataset"), 400
    texts = ["head" if row % 10 else "head tail" for row in range(count)]
    uids = np.random.default_rng(0).integers(0, 2**63, (count, 2)).tolist()
    rows = filled([("ok", text, row) for row, text in enumerate(texts)])
    put(
        store,
        [
            row | {"uid": f"{one:016x}{other:016x}"}
            for row, (one, other) in zip(rows, uids, strict=True)
        ],
    )
    (tmp_path / "list.txt").write_text("head\ntail\n")
    asked = recipe({"path": str(tmp_path / "list.txt")})
    group.run(asked, store, Serial(), units=100)
    ranks = np.array([row["concept_rank"] for row in found(store)])
    tail = np.array([text == "head tail" for text in texts])
    kept = ranks < 80  # of head each with 0.2, of tail all
    assert kept[tail].all()
    assert abs(int(kept[~tail].sum()) - 72) < 4 * (360 * 0.2 * 0.8) ** 0.5
    assert not np.any((ranks < 8) & ~kept)
    assert (
        abs(int((ranks < 8)[tail].sum()) - 40 * (1 - 0.8 * 0.98)) < 4 * (40 * 0.216 * 0.784) ** 0.5
    )


def test_a_rule_needs_what_group_has_matched(tmp_path: Path, listed: str) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    balanced = recipe({"path": listed}, {"concept_balance": {"max_pairs": 1}})
    group.run(recipe({"path": listed, "seed": 1}), store, Serial())
    with pytest.raises(BadOption, match="concept_rank.*`group` has not measured as this recipe"):
        select.run(balanced, store, Serial(), "s")
    group.run(balanced, store, Serial())
    select.run(balanced, store, Serial(), "s")
    marker = store.marker(select_marker("s"))
    assert marker is not None
    funnel = {row["rule"]: row for row in marker.extra["funnel"]}
    assert funnel["concept_balance"]["dropped"] > 0


def test_the_report_tells_head_and_tail(tmp_path: Path, listed: str) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, filled([("ok", "a dog" if row else "a zebra", row) for row in range(24)]))
    balanced = recipe({"path": listed}, {"concept_balance": {"max_pairs": 2}})
    group.run(balanced, store, Serial())
    select.run(balanced, store, Serial(), "s")
    _, page = report.run(balanced, store, Serial(), "s")
    cells = re.findall(
        r"<td[^>]*>([^<]*)</td>", Path(page).read_text().partition("Head and tail")[2]
    )
    kept = [row["concept_rank"] < 2 for row in found(store)]
    assert kept[0]
    assert cells[:4] == ["1 to 9", "1", "4.2 %", "1"]
    assert cells[5:9] == ["10 to 99", "23", "95.8 %", str(sum(kept[1:]))]
