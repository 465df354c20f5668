"""Copies in blocks: what tasks find of blocks and partitions is what the definition says."""

import binascii
import shutil
from collections.abc import Callable
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import gc, group
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.keys import words
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.schemas.columns import GATHERED, GROUPED, PLACEHOLDER_HOSTS, ROW, arrow_schema
from pairsieve.schemas.recipe import Recipe

UNIT = 4  # rows
PutPlan = Callable[[Store], None]
Row = dict[str, Any]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "ok", "dns"]),
        st.one_of(st.none(), st.integers(0, 9)),  # file
        st.sampled_from([None, 0, 1, 0b11, 0b1111, 0xFF, 0xFFFF, 2**63, 2**64 - 1]),  # pHash
        st.sampled_from([0, 0, 0xFFFFFF]),  # dhash
        st.integers(0, 12),  # uid
        st.integers(1, 3),  # width
        st.sampled_from([None, None, 0b111, 0xFF, 2**62]),  # centre hash
        st.sampled_from([None, None, (1, 0), (0xFF, 0xFFFFFF), (2**64 - 1, 0)]),  # inside borders
    ),
    min_size=1,
    max_size=30,
)


def recipe(**options: Any) -> Recipe:
    content = {"input": {"path": "p"}, "group": {"verify": ["dhash"], **options}}
    return Recipe.model_validate(content | {"keep": [{"duplicate": {}}]})


def filled(rows: list[tuple[Any, ...]]) -> list[Row]:
    return [
        {
            "row": row,
            "uid": f"{uid:032x}",
            "text": f"text {uid % 3}",
            "retry_layer": 0,
            "outcome": outcome,
            "sha256": None if file is None else f"{file:064x}",
            "perceptual_hash": phash,
            "dhash": dhash,
            "width": width,
            "height": 1,
            "centre_hash": centre,
            "trimmed_hashes": inside,
        }
        for row, (outcome, file, phash, dhash, uid, width, centre, inside) in enumerate(rows)
    ]


def put(store: Store, rows: list[Row], retried: bool = False) -> list[Row]:
    """Commit units of `UNIT` rows, the first of each fetched again if `retried`; return the latest.

    What is fetched again becomes an image, the file of which has no copy.
    """
    latest = list(rows)
    for unit, start in enumerate(range(0, len(rows), UNIT)):
        layers = [(f"{unit:08d}", rows[start : start + UNIT])]
        if retried:
            again = {"retry_layer": 1, "outcome": "ok", "sha256": f"{2**200 + start:064x}"}
            latest[start] = rows[start] | again
            layers.append((f"{unit:08d}.r1", [latest[start]]))
        for name, part in layers:
            path = f"gather/{name}.000000000000.parquet"
            with store.writer(path) as sink:
                pq.write_table(pa.Table.from_pylist(part, arrow_schema(GATHERED)), sink)
            marker = Marker(len(part), {path: sink.entry()}, {})
            commit(store, f"gather/{name}.json", marker)
    return latest


def expected(rows: list[Row], distance: int = 4, max_dhash: int = 12) -> list[tuple[Any, ...]]:
    """Return row, repeated, duplicate_of, cluster and captions of every image, as defined."""
    images = [row for row in rows if row["outcome"] == "ok"]
    uids: set[str] = set()
    for each in images:
        each["again"] = each["uid"] in uids
        uids.add(each["uid"])
    preferred = ("again", "bordered", "narrow", "uid", "row")
    for each in images:
        each |= {"bordered": each["trimmed_hashes"] is not None, "narrow": -each["width"]}
    images.sort(key=lambda each: [each[name] for name in preferred])
    best: dict[Any, Row] = {}  # of each file and of each look, the preferred image
    for each in images:
        component = reached(each, images, distance)
        file = best.setdefault(each["sha256"] or each["row"], each)
        signals = ("perceptual_hash", "dhash", "centre_hash", "trimmed_hashes")
        look = (component, *(file[name] for name in signals))
        each["node"] = best.setdefault(look, file)["row"]
        each["component"] = component
    keepers: dict[int, Row] = {}
    for each in images:
        if each["node"] == each["row"]:
            stay = [other for other in images if keepers.get(other["row"]) is other]
            near = (other for other in stay if are_similar(other, each, distance, max_dhash))
            keepers[each["row"]] = next(near, each)
    clusters: dict[int, list[Row]] = {}
    for each in images:
        clusters.setdefault(keepers[each["node"]]["row"], []).append(each)
    return sorted(told for first, members in clusters.items() for told in told_of(first, members))


def told_of(first: int, members: list[Row]) -> list[tuple[Any, ...]]:
    keeper = next(each for each in members if each["row"] == first)
    smallest = min(each["row"] for each in members)
    texts = list(dict.fromkeys(each["text"] for each in members))
    found = []
    for each in members:
        points = each is not keeper and not keeper["again"]
        captions = [each["text"]] if keeper["again"] else texts if each is keeper else None
        uid = keeper["uid"] if points else None
        found.append((each["row"], each["again"], uid, smallest, captions))
    return found


def bits(one: int | None, other: int | None) -> int:
    """Return in how many bits two hashes differ; 99 if one is missing."""
    return 99 if one is None or other is None else (int(one) ^ int(other)).bit_count()


def views(image: Row) -> dict[str, tuple[int | None, int | None]]:
    """Return pHash and dhash of the whole, of what is inside its borders, and of its middle."""
    return {
        "whole": (image["perceptual_hash"], image["dhash"]),
        "inside": image["trimmed_hashes"] or (None, None),
        "middle": (image["centre_hash"], image["dhash"]),
    }


def are_similar(one: Row, other: Row, distance: int, max_dhash: int) -> bool:
    pairs = [(first, second) for first in views(one) for second in views(other)]
    compared = [pair for pair in pairs if "middle" not in pair or "whole" in pair]
    for first, second in compared:
        (own, own_dhash), (others, others_dhash) = views(one)[first], views(other)[second]
        if bits(own, others) <= distance and bits(own_dhash, others_dhash) <= max_dhash:
            return True
    return False


def reached(image: Row, images: list[Row], distance: int) -> int:
    """Return the smallest row that a chain of equal files and near pHashes leads to."""
    found, pending = {image["row"]}, [image]
    while pending:
        one = pending.pop()
        for other in images:
            equal = one["sha256"] is not None and one["sha256"] == other["sha256"]
            hashes = [[view[0] for view in views(each).values()] for each in (one, other)]
            near = any(bits(own, others) <= distance for own, others in product(*hashes))
            if other["row"] not in found and (equal or near):
                found.add(other["row"])
                pending.append(other)
    return int(min(found))


def told(store: Store) -> list[tuple[Any, ...]]:
    with connect(store) as connection:
        attach(connection, store)
        return connection.execute(
            "SELECT row, repeated, duplicate_of, cluster, captions FROM ledger "
            "WHERE outcome = 'ok' ORDER BY row"
        ).fetchall()


def files(store: Store) -> list[bytes]:
    """Return the bytes of the result, file by file."""
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    return [store.read(name) for name in sorted(marker.files)]


@settings(max_examples=repeated(8, 40), deadline=None)
@given(
    rows=ROWS,
    units=st.integers(1, 7),
    partitions=st.one_of(st.none(), st.integers(1, 5)),
    retried=st.booleans(),
)
def test_any_blocks_and_partitions_find_the_copies_that_the_definition_has(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    units: int,
    partitions: int | None,
    retried: bool,
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    latest = put(store, filled(rows), retried)
    asked = recipe(captions="all_as_list", prefer=["pixels", "uid"])
    marker = group.run(asked, store, Serial(), partitions, units=units)
    assert told(store) == expected(latest)
    assert marker.rows == marker.counts["pairs"] == len(told(store))
    assert len(marker.files) == -(-len(rows) // (units * UNIT))


def many(count: int = 60) -> list[Row]:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**63, 8).tolist()
    columns = (rng.integers(0, count, count), rng.integers(0, 8, count), rng.integers(0, 4, count))
    return filled(
        [
            ("ok", int(file) // 2, hashes[hash_] ^ int(bit), 0, int(file), 1 + int(bit), None, None)
            for file, hash_, bit in zip(*columns, strict=True)
        ]
    )


def test_ray_writes_the_same_bytes(tmp_path: Path, ray: Engine) -> None:
    serial, distributed = (Store.at(tmp_path / name) for name in ("serial", "ray"))
    for store, engine in ((serial, Serial()), (distributed, ray)):
        put(store, many())
        group.run(recipe(), store, engine, 3, units=4)
    assert files(serial) == files(distributed)
    assert len(files(serial)) == 4


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, put_plan: PutPlan) -> tuple[Path, Store]:
    """Return a dataset without copies found, and the same with them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    put(Store.at(folder / "dataset"), many())
    put_plan(Store.at(folder / "dataset"))
    whole = Store.at(shutil.copytree(folder / "dataset", folder / "whole"))
    group.run(recipe(), whole, Serial(), 3, units=4)
    return folder / "dataset", whole


@pytest.mark.parametrize("tasks", [3, 14, 40])
def test_what_was_killed_ends_in_the_same_bytes(
    tmp_path: Path, undisturbed: tuple[Path, Store], dying: Callable[[int], Engine], tasks: int
) -> None:
    dataset, whole = undisturbed
    store = Store.at(shutil.copytree(dataset, tmp_path / "killed"))
    marker = whole.marker(GROUP_MARKER)
    assert marker
    with pytest.raises(KeyboardInterrupt):
        group.run(recipe(), store, dying(tasks), 3, units=4)
    assert store.marker(GROUP_MARKER) is None
    assert gc.run(store, 0) == []
    assert group.run(recipe(), store, Serial(), 3, units=4).counts == marker.counts
    assert files(store) == files(whole)
    assert len(list(store.list("group"))) == 5


def test_steps_find_the_same_in_any_blocks(tmp_path: Path) -> None:
    asked = Recipe.model_validate(
        {"input": {"path": "p"}, "keep": [{"placeholder": {}}, {"duplicate": {}}]}
    )
    found = []
    for units in (2, 100):
        store = Store.at(tmp_path / str(units))
        put(store, [row | {"host": f"h{row['row'] % 5}"} for row in many()])
        group.run(asked, store, Serial(), units=units)
        with connect(store) as connection:
            attach(connection, store)
            names = ", ".join(column.name for column in (ROW, *GROUPED))
            query = f"SELECT {names} FROM grouped ORDER BY row"
            found.append(connection.execute(query).fetchall())
    assert found[0] == found[1]
    place = [column.name for column in (ROW, *GROUPED)].index(PLACEHOLDER_HOSTS.name)
    assert len({row[place] for row in found[0]}) > 1


def test_hex_digits_are_read_as_numbers_and_other_texts_by_their_digest() -> None:
    texts = ["0" * 31 + "f", "f" * 16 + "0" * 16]
    assert words(pa.chunked_array([texts]), 2).tolist() == [[0, 15], [2**64 - 1, 0]]
    found = words(pa.chunked_array([["F" * 32, texts[1], "x"]]), 2)
    assert found[1].tolist() == [2**64 - 1, 0]
    for place, text in ((0, "F" * 32), (2, "x")):
        digest = blake2b(text.encode(), digest_size=16).digest()
        assert binascii.hexlify(found[place].astype(">u8").tobytes()) == digest.hex().encode()
