"""How `group` chooses among copies: what verifies, who stays, which captions stay with it."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import group, select, shard
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.vectors.folders import model_folder, scores_folders
from pairsieve.schemas.columns import EMBEDDED, ROW, arrow_schema
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]
PutGathered = Callable[[Store, list[Row]], None]
MODEL = {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}
GREY = [0] * 3 + [100] * 72
RED = [0] * 3 + [200, 0, 0] * 24


def recipe(**options: Any) -> Recipe:
    sections = {"embed": MODEL} if "embedding" in options.get("verify", ()) else {}
    content = {"input": {"path": "pairs.parquet"}, "group": options, "keep": [{"duplicate": {}}]}
    return Recipe.model_validate(content | sections)


def image(sha256: str, perceptual_hash: int, **others: Any) -> Row:
    return {
        "sha256": sha256,
        "perceptual_hash": perceptual_hash,
        "dhash": 0,
        "colour": GREY,
    } | others


def grouped(store: Store, *names: str) -> list[Any]:
    """Return columns of the result, a tuple per row; of one column, its values."""
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    rows = pq.read_table(store.reader(marker.file(".parquet"))).to_pylist()
    return [
        row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "dataset")


def test_what_the_dhash_or_the_colours_keep_apart_is_not_joined_and_is_counted(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(
        store,
        [
            image("a", 0),
            image("b", 1, dhash=0xFFF),  # 12 bits
            image("c", 2, dhash=0x1FFF),  # 13
            image("d", 4, colour=RED),
            image("e", 8, dhash=2**64 - 1, colour=RED),
        ],
    )
    counts = group.run(recipe(max_dhash=12), store, Serial()).counts
    assert grouped(store, "cluster") == [0, 0, 2, 3, 4]
    assert counts["kept_apart_by_dhash"] == 3  # also d, from c
    assert counts["kept_apart_by_colour"] == 2
    counts = group.run(recipe(verify="none"), store, Serial()).counts
    assert grouped(store, "cluster") == [0] * 5
    assert counts["kept_apart_by_dhash"] == counts["kept_apart_by_colour"] == 0
    group.run(recipe(verify=["dhash"], max_dhash=12), store, Serial())
    assert grouped(store, "cluster") == [0, 0, 2, 0, 4]
    group.run(recipe(max_dhash=13), store, Serial())
    assert grouped(store, "cluster") == [0, 0, 0, 3, 4]


def test_the_distances_to_the_keeper_are_told_signal_by_signal(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [image("a", 0), image("b", 3, dhash=7), image("c", 2**64 - 1)])
    group.run(recipe(), store, Serial())
    names = ("duplicate_distance", "duplicate_dhash", "duplicate_colour", "duplicate_orientation")
    assert grouped(store, *names) == [(None,) * 4, (2, 3, 0.0, None), (None,) * 4]


SCENE = np.random.default_rng(0).integers(40, 180, 75).tolist()  # no two cells alike


def test_framed_and_cropped_copies_are_found_unless_the_recipe_says_no(
    store: Store, put_gathered: PutGathered
) -> None:
    original = image("a", 0, colour=SCENE, centre_hash=0xFFFF)
    framed = image("b", 2**32 - 1, dhash=2**64 - 1, trimmed_hashes=[1, 0], trimmed_colour=SCENE)
    put_gathered(store, [original, framed, image("c", 0xFFFF, colour=SCENE)])
    group.run(recipe(), store, Serial())
    assert grouped(store, "cluster", "duplicate_edit", "duplicate_distance") == [
        (0, None, None), (0, "borders", 1), (0, "crops", 0),
    ]  # fmt: skip
    group.run(recipe(edits=["crops"]), store, Serial())
    assert grouped(store, "cluster") == [0, 1, 0]
    group.run(recipe(edits="none"), store, Serial())
    assert grouped(store, "cluster") == [0, 1, 2]


def test_a_picture_stays_before_its_framed_copy_however_large_that_is(
    store: Store, put_gathered: PutGathered
) -> None:
    framed = image("a", 2**32 - 1, trimmed_hashes=[1, 0], trimmed_colour=SCENE, width=900)
    put_gathered(store, [framed, image("b", 0, colour=SCENE, width=800)])
    group.run(recipe(), store, Serial())
    assert [of is None for of in grouped(store, "duplicate_of")] == [False, True]


def test_files_are_together_though_their_signals_would_keep_them_apart(
    store: Store, put_gathered: PutGathered
) -> None:
    put_gathered(store, [image("a", 0), image("a", 2**64 - 1, dhash=2**64 - 1, colour=RED)])
    group.run(recipe(), store, Serial())
    assert grouped(store, "cluster") == [0, 0]
    assert grouped(store, "duplicate_dhash") == [None, 64]


def test_chains_are_joined_when_asked(store: Store, put_gathered: PutGathered) -> None:
    chain = [image("a", 0), image("b", 0xF), image("c", 0xFF), image("d", 0xFFF, colour=RED)]
    put_gathered(store, chain)
    group.run(recipe(), store, Serial())
    assert grouped(store, "cluster") == [0, 0, 2, 3]
    group.run(recipe(clusters="chain"), store, Serial())
    assert grouped(store, "cluster", "duplicate_distance") == [
        (0, None), (0, 4), (0, 8), (3, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prefer", "kept"),
    [
        (["pixels"], 1),
        (["-pixels"], 0),  # of the two with the fewest, the smaller uid
        (["caption_words", "uid"], 2),
        (["-fetch_bytes"], 3),
        (["sharpness", "pixels"], 1),  # nobody was measured
        (["uid"], 0),
    ],
)
def test_the_recipe_says_who_stays(
    store: Store, put_gathered: PutGathered, prefer: list[str], kept: int
) -> None:
    rows = [
        image("a", 0, width=100, height=100, caption_words=5, fetch_bytes=40),
        image("b", 1, width=101, height=100, caption_words=4, fetch_bytes=30),
        image("c", 2, width=100, height=100, caption_words=9, fetch_bytes=20),
        image("d", 3, width=100, height=101, caption_words=1, fetch_bytes=10),
    ]
    put_gathered(store, rows)
    group.run(recipe(prefer=prefer), store, Serial())
    assert [row for row, of in enumerate(grouped(store, "duplicate_of")) if of is None] == [kept]


def test_the_keeper_has_the_captions_of_its_copies_once_each_and_its_own_first(
    store: Store, put_gathered: PutGathered
) -> None:
    rows = [
        image("a", 0, text="small", width=10),
        image("b", 1, text="large", width=900),
        image("c", 2, text="middle", width=500),
        image("d", 3, text="small", width=400),
        image("e", 2**64 - 1, text="alone"),
    ]
    put_gathered(store, rows)
    group.run(recipe(captions="all_as_list"), store, Serial())
    assert grouped(store, "captions") == [None, ["large", "middle", "small"], None, None, ["alone"]]
    group.run(recipe(), store, Serial())
    assert grouped(store, "captions") == [None] * 5


def test_captions_rank_by_the_similarity_of_their_own_pairs(
    store: Store, put_gathered: PutGathered
) -> None:
    texts = ["copy", "keeper", "twice", "twice", "unscored", "late", "early"]
    rows = [image(str(n), 0, text=text, width=9) for n, text in enumerate(texts)]
    rows[1]["width"] = 10
    rows[5]["uid"] = f"{9:032x}"
    put_gathered(store, rows)
    asked = Recipe.model_validate(
        {"input": {"path": "p"}, "embed": MODEL, "group": {"captions": "all_as_list"}}
    )
    scores = [0.2, 0.3, 0.1, 0.4, None, 0.3, 0.3]
    table = [{"row": row, "clip_similarity": score} for row, score in enumerate(scores)]
    folder = f"embed/{scores_folders(asked)['']}"
    path = f"{folder}/00000000.x.scores.parquet"
    with store.writer(path) as sink:
        pq.write_table(pa.Table.from_pylist(table, arrow_schema((ROW, *EMBEDDED))), sink)
    commit(store, f"{folder}/00000000.json", Marker(7, {path: sink.entry()}))
    group.run(asked, store, Serial())
    captions, ranked = grouped(store, "captions", "captions_ranked")[1]
    assert captions == ["keeper", "twice", "early", "late", "copy", "unscored"]
    order = ["twice", "keeper", "early", "late", "copy", "unscored"]
    assert [captions[n] for n in ranked] == order


def test_no_more_than_a_hundred_captions_are_kept(store: Store, put_gathered: PutGathered) -> None:
    put_gathered(store, [image("a", 0, text=f"{n:03}") for n in range(130)])
    group.run(recipe(captions="all_as_list"), store, Serial())
    assert grouped(store, "captions")[0] == [f"{n:03}" for n in range(100)]


def test_the_captions_are_in_the_json_of_the_shard(store: Store, put_gathered: PutGathered) -> None:
    store.write("gather/images.tar", b"bytes")
    place = {"image_file": "gather/images.tar", "image_offset": 0, "image_bytes": 5}
    rows = [image("a", 0, text=text, **place) for text in ("one", "two")]
    put_gathered(store, rows)
    asked = recipe(captions="all_as_list")
    group.run(asked, store, Serial())
    select.run(asked, store, Serial(), "default")
    list(shard.run(asked, store, Serial(), "default"))
    with store.reader("shards/default/00000.tar") as file, tarfile.open(fileobj=file) as tar:
        candidates = {
            Path(member.name).suffix: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
        }
    assert candidates[".txt"] == b"one"
    assert json.loads(candidates[".json"])["captions"] == ["one", "two"]
    assert "colour" not in json.loads(candidates[".json"])


def test_turned_copies_are_found_and_only_those_asked_for(
    store: Store, put_gathered: PutGathered
) -> None:
    far = [2**63 - 1, 5]
    rows = [
        image("a", 0, orientation_hashes=far),
        image("b", 0xFFFF << 40, orientation_hashes=[1, 0]),  # mirrored, 1 bit from the first
        image("c", 0xFFFF << 20, orientation_hashes=far),
    ]
    put_gathered(store, rows)
    group.run(recipe(), store, Serial())
    assert grouped(store, "cluster") == [0, 1, 2]
    asked = recipe(orientations=["mirrored"], verify=["dhash"])
    group.run(asked, store, Serial())
    assert grouped(store, "cluster", "duplicate_orientation", "duplicate_distance") == [
        (0, None, None), (0, "mirrored", 1), (2, None, None),
    ]  # fmt: skip


def test_vectors_verify_when_asked(store: Store, put_gathered: PutGathered) -> None:
    put_gathered(store, [image("a", 0), image("b", 1), image("c", 2), image("d", 3)])
    asked = recipe(verify=["embedding"])
    assert asked.embed is not None
    vectors = [[1.0, 0.0], [0.96, 0.28], [0.6, 0.8]]  # the last pair has none
    kind = pa.list_(pa.float16(), 2)
    table = pa.table({"row": [0, 1, 2], "image_embedding": pa.array(vectors, kind)})
    path = f"embed/{model_folder(asked.embed)}/00000000.x.vectors.parquet"
    scores = path.replace("vectors", "scores")
    for name, content in ((path, table), (scores, arrow_schema((ROW, *EMBEDDED)).empty_table())):
        with store.writer(name) as sink:
            pq.write_table(content, sink)
    marker = Marker(3, {path: {}, scores: {}})
    commit(store, f"embed/{model_folder(asked.embed)}/00000000.json", marker)
    counts = group.run(asked, store, Serial()).counts
    assert grouped(store, "cluster") == [0, 0, 2, 0]
    assert counts["kept_apart_by_embedding"] == 1


def test_order_and_units_of_the_rows_do_not_change_who_stays(
    tmp_path: Path, put_gathered: PutGathered
) -> None:
    rows = [
        image(
            f"f{n % 23}", (n * 7 % 11) << 3 | n % 3, dhash=(n % 4) * 0x7F, width=100 + n % 5,
            uid=f"{n:032x}",
        )
        for n in range(90)
    ]  # fmt: skip
    answers = []
    for number, order in enumerate(
        (range(90), range(89, -1, -1), [n * 37 % 90 for n in range(90)])
    ):
        store = Store.at(tmp_path / str(number))
        put_gathered(store, [rows[n] for n in order])
        group.run(recipe(), store, Serial())
        uids = [rows[n]["uid"] for n in order]
        answers.append(dict(zip(uids, grouped(store, "duplicate_of"), strict=True)))
    assert answers[0] == answers[1] == answers[2]
    assert 1 < list(answers[0].values()).count(None) < 60
