"""Counts over the pool: what tasks count of blocks and partitions is what a loop over rows does."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import group
from pairsieve.pipeline.counts.caption_keys import caption_keys, host_keys
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.schemas.columns import COUNTED, GATHERED, Column, arrow_schema
from pairsieve.schemas.recipe import Recipe

RECIPE = Recipe.model_validate({"input": {"path": "p"}})
UNIT = 4  # rows
Row = dict[str, Any]
HOSTILE = "a\0b\u202ec\ufffe=1+1\"';--<b>" + "x" * 1_000_000
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "ok", "dns"]),
        st.one_of(st.none(), st.integers(0, 3)),  # file
        st.sampled_from(
            [None, "", " ", "Image", "image", " ＩＭＡＧＥ\n", "a b", "a\tb", "é", "e\u0301"]
        ),
        st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 2))),  # host and path
    ),
    min_size=1,
    max_size=24,
)


def filled(rows: list[tuple[Any, ...]]) -> list[Row]:
    pairs: dict[Any, int] = {}
    return [
        {
            "row": row,
            "uid": f"{pairs.setdefault((text, url), len(pairs)) << 64:032x}",
            "text": text,
            "retry_layer": 0,
            "outcome": outcome,
            "sha256": None if file is None else f"{file << 192:064x}",
            "host": None if url is None else f"host{url[0]}",
            "url_hash": None if url is None else url[0] << 62 | url[1],
        }
        for row, (outcome, file, text, url) in enumerate(rows)
    ]


def put(store: Store, rows: list[Row]) -> None:
    for unit, start in enumerate(range(0, len(rows), UNIT)):
        part = rows[start : start + UNIT]
        path = f"gather/{unit:08d}.000000000000.parquet"
        with store.writer(path) as sink:
            pq.write_table(pa.Table.from_pylist(part, arrow_schema(GATHERED)), sink)
        commit(store, f"gather/{unit:08d}.json", Marker(len(part), {path: sink.entry()}))


def grouped(store: Store, columns: tuple[Column, ...]) -> list[Row]:
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    files = [pq.read_table(store.location(name)) for name in sorted(marker.files)]
    names = ["row", *(column.name for column in columns)]
    found: list[Row] = pa.concat_tables(files).select(names).sort_by("row").to_pylist()
    return found


counted = partial(grouped, columns=COUNTED)


def form(text: str | None) -> str:
    folded = normalize("NFKC", normalize("NFKC", text or "").casefold())
    return " ".join(folded.lower().split())


def expected(rows: list[Row]) -> list[Row]:
    """Return the counts of every image, one row after the other."""
    pairs: dict[Any, set[str]] = defaultdict(set)
    captions: dict[Any, set[str]] = defaultdict(set)
    for row in rows:
        text, image = form(row["text"]), row["outcome"] == "ok" and row["sha256"]
        for key in (("text", text), ("url", row["url_hash"]), ("host", row["host"])):
            pairs[key].add(row["uid"])
        for key in (("host", row["host"]), ("image", image)):
            captions[key] |= {text} - {""}
    return [
        {
            "row": row["row"],
            "caption_count": len(pairs["text", form(row["text"])]) if form(row["text"]) else None,
            "url_count": None if row["host"] is None else len(pairs["url", row["url_hash"]]),
            "host_count": None if row["host"] is None else len(pairs["host", row["host"]]),
            "captions_of_host": (row["host"] and len(captions["host", row["host"]])) or None,
            "captions_of_image": (
                len(captions["image", row["sha256"]])
                if row["sha256"] and form(row["text"])
                else None
            ),
        }
        for row in rows
        if row["outcome"] == "ok"
    ]


@settings(max_examples=repeated(4, 12), deadline=None)
@given(rows=ROWS, units=st.sampled_from([1, 2, 100]), partitions=st.sampled_from([1, 3]))
def test_counts_are_those_of_a_loop(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], units: int, partitions: int
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    put(store, filled(rows))
    group.run(RECIPE, store, Serial(), partitions=partitions, units=units)
    assert counted(store) == expected(filled(rows))


def many() -> list[Row]:
    """Return 24 rows of six blocks in which captions, hosts and files recur."""
    urls = [(row % 3, row % 5) for row in range(24)]
    texts = ["Image", "image", HOSTILE, "\u05d0\u202e\u05d1", None, "a b"]
    return filled([("ok", row % 4, texts[row % 6], url) for row, url in enumerate(urls)])


def test_hostile_captions_are_counted_like_any(tmp_path: Path) -> None:
    store, rows = Store.at(tmp_path / "dataset"), many()
    put(store, rows)
    group.run(RECIPE, store, Serial(), partitions=2, units=2)
    assert counted(store) == expected(rows)
    assert counted(store)[2]["caption_count"] == 4


def test_ray_counts_the_same(tmp_path: Path, ray: Engine) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    group.run(RECIPE, store, ray, partitions=2, units=2)
    assert counted(store) == expected(many())


@pytest.mark.parametrize("tasks", [36, 42, 47])
def test_what_was_killed_while_it_counted_goes_on(
    tmp_path: Path, dying: Callable[[int], Engine], tasks: int
) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, many())
    with pytest.raises(KeyboardInterrupt):
        group.run(RECIPE, store, dying(tasks), partitions=2, units=1)
    assert list((tmp_path / "dataset").rglob("pool*/*.json"))
    group.run(RECIPE, store, Serial(), partitions=2, units=1)
    assert counted(store) == expected(many())


def test_captions_are_one_in_nfkc_without_case_and_spaces() -> None:
    texts = ["A b", "\u3000a\u00a0B\n", "\uff21 b", "ab", "STRASSE", "Stra\u00dfe", "", "  ", None]
    keys, known = caption_keys(pa.chunked_array([pa.array(texts)]))
    assert known.tolist() == [True] * 6 + [False] * 3
    assert len({tuple(key) for key in keys[:3].tolist()}) == 1
    assert len({tuple(key) for key in keys[3:6].tolist()}) == 2


def test_a_host_that_is_missing_has_no_key() -> None:
    keys = host_keys(pa.chunked_array([pa.array(["a", None, "b", "a"])])).tolist()
    assert keys[1] == 0
    assert keys[0] == keys[3] != keys[2]
