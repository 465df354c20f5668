from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import group
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER, attempt
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.vectors.folders import scores_folder
from pairsieve.schemas.columns import EMBEDDED, GATHERED, GROUPED, ROW, Column, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

MODEL = {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}
OF_COPIES = ("row", "repeated", "duplicate_of", "duplicate_distance", "cluster")
Row = dict[str, Any]
NOTHING = dict.fromkeys(
    (
        "pairs", "repeated", "exact", "near", "clusters", "kept_apart_by_dhash",
        "kept_apart_by_colour", "kept_apart_by_embedding", "semantic", "known", "evaluation",
        "alignment", "placeholders",
    ),
    0,
)  # fmt: skip


def recipe(*keep: Row, **sections: Row) -> Recipe:
    return Recipe.model_validate({"input": {"path": "pairs.parquet"}, "keep": keep, **sections})


def image(uid: str, sha256: str, perceptual_hash: int | None, side: int = 100) -> Row:
    return {
        "uid": uid,
        "outcome": "ok",
        "sha256": sha256,
        "perceptual_hash": perceptual_hash,
        "width": side,
        "height": 100,
    }


def write(store: Store, name: str, rows: Sequence[Row], columns: tuple[Column, ...]) -> None:
    """Commit one file of a task slice as `gather` and `embed` do."""
    folder, suffix = name.split("|")
    path = f"{folder}.{attempt()}{suffix}"
    table = pa.Table.from_pylist(list(rows), arrow_schema(columns))
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    commit(store, f"{folder}.json", Marker(len(rows), {path: sink.entry()}))


def gathered(tmp_path: Path, *units: Sequence[Row]) -> Store:
    """Return a dataset with these units; rows are numbered through."""
    store, row = Store.at(tmp_path / "dataset"), 0
    for number, unit in enumerate(units):
        numbered = [
            {"row": row + place, "retry_layer": 0, **pair} for place, pair in enumerate(unit)
        ]
        write(store, f"gather/{number:08}|.parquet", numbered, GATHERED)
        row += len(unit)
    return store


def embedded(store: Store, similarities: Sequence[float | None], embedding: str) -> None:
    rows = [
        {"row": row, "clip_similarity": similarity} for row, similarity in enumerate(similarities)
    ]
    write(store, f"embed/{embedding}/00000000|.scores.parquet", rows, (ROW, *EMBEDDED))


def grouped(store: Store) -> list[tuple[Any, ...]]:
    """Return (row, repeated, duplicate_of, duplicate_distance, cluster) as committed."""
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    table = pq.read_table(store.reader(marker.file(".parquet")))
    assert table.schema.equals(arrow_schema((ROW, *GROUPED)))
    return [tuple(row[name] for name in OF_COPIES) for row in table.to_pylist()]


def kept(store: Store) -> list[str]:
    with connect(store) as connection:
        attach(connection, store)
        found = connection.execute(
            "SELECT uid FROM ledger WHERE outcome = 'ok' AND duplicate_of IS NULL AND NOT repeated "
            "ORDER BY row"
        ).fetchall()
    return [uid for (uid,) in found]


def test_equal_files_and_near_hashes_become_one_cluster(tmp_path: Path) -> None:
    store = gathered(
        tmp_path,
        [image("a", "f1", 0b0), image("b", "f2", 0b1111), image("c", "f1", 0b0)],
        [image("d", "f3", 0xFF00), image("e", "f4", 0b11111)],
    )
    marker = group.run(recipe(), store, Serial())
    assert grouped(store) == [
        (0, False, None, None, 0),
        (1, False, "a", 4, 0),
        (2, False, "a", 0, 0),
        (3, False, None, None, 3),
        (4, False, None, None, 4),  # 1 bit from b, but 5 from a, which stays
    ]
    assert marker.counts == NOTHING | {"pairs": 5, "exact": 1, "near": 1, "clusters": 1}
    assert marker.rows == 5


@pytest.mark.parametrize("partitions", [None, 2])
def test_equal_files_are_one_cluster_whatever_their_hashes(
    tmp_path: Path, partitions: int | None
) -> None:
    rows = [
        image("a", "f1", 0),
        image("b", "f2", 1),
        image("c", "f2", 2**64 - 1),
        image("d", "f2", None),
        image("e", "f3", None),
        image("f", "f4", None),
    ]
    store = gathered(tmp_path, rows)
    group.run(recipe(), store, Serial(), partitions)
    assert grouped(store) == [
        (0, False, None, None, 0),
        (1, False, "a", 1, 0),
        (2, False, "a", 64, 0),  # goes where b goes, the better of the two
        (3, False, "a", None, 0),
        (4, False, None, None, 4),
        (5, False, None, None, 5),
    ]


def test_files_without_a_checksum_are_not_taken_for_equal(tmp_path: Path) -> None:
    rows = [image("a", "", 0) | {"sha256": None}, image("b", "", 0xFFFF) | {"sha256": None}]
    store = gathered(tmp_path, rows)
    group.run(recipe(), store, Serial())
    assert kept(store) == ["a", "b"]


def test_pairs_without_an_image_are_left_out(tmp_path: Path) -> None:
    failed = {"uid": "x", "outcome": "http_4xx"}
    store = gathered(tmp_path, [failed, image("a", "f1", 0), failed])
    group.run(recipe(), store, Serial())
    assert grouped(store) == [(1, False, None, None, 1)]


def test_most_pixels_win(tmp_path: Path) -> None:
    store = gathered(tmp_path, [image("a", "f1", 0, 100), image("b", "f2", 1, 101)])
    group.run(recipe(), store, Serial())
    assert grouped(store) == [(0, False, "b", 1, 0), (1, False, None, None, 0)]


def test_pixels_are_counted_beyond_32_bits(tmp_path: Path) -> None:
    wide, small = image("b", "f2", 1), image("a", "f1", 0)
    wide |= {"width": 70_000, "height": 70_000}
    store = gathered(tmp_path, [small, wide])
    group.run(recipe(), store, Serial())
    assert kept(store) == ["b"]


def test_then_the_higher_similarity_wins_and_a_missing_one_loses(tmp_path: Path) -> None:
    rows = [image(uid, "f1", 0) for uid in "abcd"]
    asked = recipe(embed=MODEL)
    assert asked.embed is not None
    store = gathered(tmp_path, rows)
    embedded(store, [None, -0.1, 0.3, 0.2], scores_folder(asked.embed))
    group.run(asked, store, Serial())
    assert kept(store) == ["c"]
    (tmp_path / "again").mkdir()
    store = gathered(tmp_path / "again", rows)
    embedded(store, [None, -0.1, None, None], scores_folder(asked.embed))
    group.run(asked, store, Serial())
    assert kept(store) == ["b"]


def test_pixels_count_more_than_similarity(tmp_path: Path) -> None:
    asked = recipe(embed=MODEL)
    assert asked.embed is not None
    store = gathered(tmp_path, [image("a", "f1", 0, 100), image("b", "f2", 0, 101)])
    embedded(store, [0.9, 0.1], scores_folder(asked.embed))
    group.run(asked, store, Serial())
    assert kept(store) == ["b"]


def test_then_the_smaller_uid_wins(tmp_path: Path) -> None:
    store = gathered(tmp_path, [image("c", "f1", 0), image("a", "f1", 0), image("b", "f1", 0)])
    group.run(recipe(), store, Serial())
    assert kept(store) == ["a"]


def test_a_pair_of_several_units_is_kept_in_its_first_row_with_an_image(tmp_path: Path) -> None:
    failed = {"uid": "a", "outcome": "timeout_total"}
    store = gathered(tmp_path, [failed], [image("a", "f1", 0)], [image("a", "f1", 0)])
    marker = group.run(recipe(), store, Serial())
    assert grouped(store) == [(1, False, None, None, 1), (2, True, "a", 0, 1)]
    assert marker.counts == NOTHING | {"pairs": 2, "repeated": 1, "clusters": 1}


def test_a_repeated_pair_is_no_keeper_even_with_more_pixels(tmp_path: Path) -> None:
    first, again = image("a", "f1", 0, 100), image("a", "f2", 1, 900)
    store = gathered(tmp_path, [first], [again, image("b", "f3", 2, 100)])
    group.run(recipe(), store, Serial())
    assert grouped(store) == [
        (0, False, None, None, 0),
        (1, True, "a", 1, 0),
        (2, False, "a", 1, 0),
    ]


def test_a_cluster_of_repeated_pairs_alone_points_nowhere(tmp_path: Path) -> None:
    first, changed = image("a", "f1", 0), image("a", "f2", 0xFFFF)
    store = gathered(tmp_path, [first], [changed], [changed])
    group.run(recipe(), store, Serial())
    assert grouped(store) == [
        (0, False, None, None, 0),
        (1, True, None, None, 1),
        (2, True, None, None, 1),
    ]


def test_the_recipe_sets_the_distance(tmp_path: Path) -> None:
    store = gathered(tmp_path, [image("a", "f1", 0), image("b", "f2", 0b11)])
    group.run(recipe({"duplicate": {"max_distance": 1}}), store, Serial())
    assert kept(store) == ["a", "b"]
    group.run(recipe({"duplicate": {"max_distance": 2}}), store, Serial())
    assert kept(store) == ["a"]


def test_two_distances_are_refused(tmp_path: Path) -> None:
    rules = ({"duplicate": {"max_distance": 1}}, {"duplicate": {}, "name": "second"})
    with pytest.raises(BadOption, match="max_distance 1 and 4; choose one"):
        group.run(recipe(*rules), gathered(tmp_path), Serial())


def test_run_again_does_nothing(tmp_path: Path) -> None:
    store = gathered(tmp_path, [image("a", "f1", 0)])
    first = group.run(recipe(), store, Serial())
    assert group.run(recipe({"aspect_ratio": {}}), store, Serial()) == first  # the same file


def test_another_distance_or_unit_replaces_the_result(tmp_path: Path) -> None:
    store = gathered(tmp_path, [image("a", "f1", 0)])
    group.run(recipe(), store, Serial())
    group.run(recipe({"duplicate": {"max_distance": 5}}), store, Serial())
    write(
        store,
        "gather/00000001|.parquet",
        [{"row": 1, "retry_layer": 0, **image("b", "f1", 0)}],
        GATHERED,
    )
    marker = group.run(recipe({"duplicate": {"max_distance": 5}}), store, Serial())
    assert marker.counts["pairs"] == 2
    assert [path for path, _, _ in store.list("group")] == sorted([GROUP_MARKER, *marker.files])


def test_a_dataset_without_any_image_has_an_empty_result(tmp_path: Path) -> None:
    store = gathered(tmp_path, [{"uid": "a", "outcome": "dns"}])
    marker = group.run(recipe(), store, Serial())
    assert grouped(store) == []
    assert set(marker.counts.values()) == {0}


def test_the_result_does_not_depend_on_how_units_are_cut(tmp_path: Path) -> None:
    rows = [image(f"{n:02}", f"f{n % 7}", (n % 5) * 0x0F0F, 100 + n % 3) for n in range(40)]
    whole = gathered(tmp_path / "whole", rows)
    cut = gathered(tmp_path / "cut", rows[:1], rows[1:30], rows[30:])
    for store in (whole, cut):
        group.run(recipe(), store, Serial())
    assert grouped(whole) == grouped(cut)
