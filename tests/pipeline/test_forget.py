"""After `forget` no byte of what was taken out is in the dataset, wherever it was killed."""

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.input_tar import put_samples
from tests.pipeline.killed_store import Dying, Killed

from pairsieve.pipeline import forget, select, shard, verify
from pairsieve.pipeline.dataset.paths import (
    FORGET_BEGUN,
    GATHER_FOLDER,
    PLAN_FILE,
    attempt,
    select_marker,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.learning import label_files
from pairsieve.pipeline.learning.label_files import Label
from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.run import run
from pairsieve.pipeline.status import status
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Blocklist, Recipe
from pairsieve.schemas.recipe_shard import Shard

PAIRS = 9
FoundIn = Callable[[Store, dict[str, bytes]], list[tuple[str, str]]]
WORDS = ("amber", "birch", "cobalt", "dahlia", "elder", "fjord", "garnet", "hazel", "indigo")


def picture(number: int) -> bytes:
    """Return a PNG of its own; numbers 1 and 2 show the same."""
    sink = io.BytesIO()
    turned = Image.linear_gradient("L").rotate(37 * (1 if number == 2 else number))
    turned.resize((64, 50)).convert("RGB").save(sink, "PNG", compress_level=number)
    return sink.getvalue()


def text(number: int) -> str:
    return f"a picture of {WORDS[number]} things"


def recipe_in(folder: Path, more: dict[str, Any] | None = None) -> Recipe:
    """Write an input that holds images; return a recipe with shards of two, units of three."""
    samples = {number: (picture(number), text(number)) for number in range(PAIRS)}
    put_samples(folder / "in.tar", samples)
    content: dict[str, Any] = {
        "input": {"path": str(folder / "in.tar"), "unit_pairs": 3},
        "embed": {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"},
        "group": {"captions": "all_as_list"},
        "keep": [{"caption_words": {"min_words": 2}}, {"duplicate": {}}],
        "shard": {"samples": 2},
    }
    return Recipe.model_validate(content | (more or {}))


def walk(recipe: Recipe, store: Store) -> None:
    run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    folder = tmp_path_factory.mktemp("made")
    recipe = recipe_in(folder)
    walk(recipe, Store.at(folder / "out"))
    return recipe, folder / "out"


@pytest.fixture
def dataset(made: tuple[Recipe, Path], tmp_path: Path) -> tuple[Recipe, Store]:
    """A copy of the finished dataset."""
    shutil.copytree(made[1], tmp_path / "out")
    return made[0], Store.at(tmp_path / "out")


def ledger(store: Store) -> dict[int, dict[str, Any]]:
    """Return the gathered rows."""
    rows: dict[int, dict[str, Any]] = {}
    for marker in store.markers(GATHER_FOLDER).values():
        with store.reader(marker.file(".parquet")) as source:
            rows |= {row["row"]: row for row in pq.read_table(source).to_pylist()}
    return rows


def traces(row: dict[str, Any], stored: bytes) -> dict[str, bytes]:
    """Return what is of one pair alone."""
    return {
        "text": row["text"].encode(),
        "word": row["text"].split()[3].encode(),
        "url": row["url"].encode(),
        "sha256": row["sha256"].encode(),
        "image": stored[-80:-8],
        "perceptual_hash": row["perceptual_hash"].to_bytes(8, "little"),
    }


def stored(store: Store, row: dict[str, Any]) -> bytes:
    start, size = row["image_offset"], row["image_bytes"]
    return store.read(row["image_file"])[start : start + size]


def findings(store: Store) -> list[str]:
    return [
        f"{finding.path}: {finding.wrong}"
        for checked in verify.run(store, Serial())
        for finding in checked.findings
    ]


def shards(store: Store) -> dict[str, str]:
    return {
        path: sha256(store.read(path)).hexdigest()
        for path, _, _ in store.list("shards")
        if path.endswith(".tar")
    }


def samples(store: Store) -> dict[str, dict[str, Any]]:
    """Return the JSON of every sample by its uid."""
    found = {}
    for path in shards(store):
        with tarfile.open(fileobj=io.BytesIO(store.read(path))) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file
                    found[member.name[:-5]] = json.load(file)
    return found


def forgotten(store: Store, engine: Serial | None = None, **named: str) -> list[forget.Taken]:
    wanted = keys({kind: [value] for kind, value in named.items()}, ())
    return forget.run(store, engine or Serial(), wanted, "asked by its owner", units=2)


def check_clean(store: Store) -> None:
    assert findings(store) == []
    assert status(store, "default").complaints == []


def test_no_byte_of_the_removed_is_left_and_all_else_is_as_it_was(
    found_in: FoundIn,
    dataset: tuple[Recipe, Store],
) -> None:
    recipe, store = dataset
    old_shards, old_samples, planned = shards(store), samples(store), store.read(PLAN_FILE)
    row = ledger(store)[7]
    sought = traces(row, stored(store, row))
    for pair in (row, ledger(store)[6]):
        label_files.add(store, attempt(), Label(pair["row"], pair["uid"], True, "2026"))
    assert {name for name, _ in found_in(store, sought)} == set(sought)
    (taken,) = forgotten(store, uid=row["uid"])
    assert (taken.pairs, taken.images) == (1, 1)
    assert found_in(store, sought) == []
    assert list(label_files.read_all(store)) == [6]
    check_clean(store)
    after = ledger(store)[7]
    assert (after["uid"], after["outcome"]) == (row["uid"], "forgotten")
    assert after["detail"] == "asked by its owner"
    new = shards(store)
    changed = [path for path in new if new[path] != old_shards[path]]
    assert new.keys() == old_shards.keys()
    assert len(changed) == 1 == sum((taken.shards or {}).values())
    assert store.read(PLAN_FILE) != planned  # which names what is staged
    del old_samples[row["uid"]]
    assert samples(store) == old_samples
    walk(recipe, store)
    assert shards(store) == new
    assert found_in(store, sought) == []


def test_killed_at_every_change_it_goes_on_to_the_same_end(
    found_in: FoundIn, dataset: tuple[Recipe, Store], tmp_path: Path
) -> None:
    _, store = dataset
    row = ledger(store)[4]
    sought = traces(row, stored(store, row))
    dying, changes, refused = Dying(store.url), 0, 0
    for spared in range(100):
        Dying.left[0] = spared
        try:
            forgotten(dying, uid=row["uid"])
            break
        except Killed:
            changes += 1
        if store.exists(FORGET_BEGUN):
            refused += 1
            with pytest.raises(Stopped, match="a `forget` was stopped"):
                forget.dry_run(store, Serial(), keys({"uid": [row["uid"]]}, ()))
    assert min(changes, refused) > 8
    assert found_in(store, sought) == []
    check_clean(store)
    (record,) = [path for path in store.paths() if re.fullmatch(r"forgotten/\d+\.json", path)]
    kept = {record, *store.marker(record).files}  # type: ignore[union-attr]
    assert {path for path in store.paths() if path.startswith("forgotten/")} == kept


def test_a_text_among_the_captions_of_the_keeper_leaves_too(
    found_in: FoundIn, dataset: tuple[Recipe, Store]
) -> None:
    _, store = dataset
    (keeper,) = [one for one in samples(store).values() if len(one.get("captions", ())) == 2]
    copy = next(r for r in ledger(store).values() if r["text"] == keeper["captions"][1])
    word = {"word": copy["text"].split()[3].encode()}
    assert found_in(store, word)
    forgotten(store, uid=copy["uid"])
    assert found_in(store, word) == []
    assert samples(store)[keeper["uid"]] == keeper | {"captions": keeper["captions"][:1]}
    check_clean(store)


def test_the_copies_of_a_forgotten_keeper_stay_dropped(dataset: tuple[Recipe, Store]) -> None:
    recipe, store = dataset
    before = samples(store)
    (keeper,) = [one for one in before.values() if len(one.get("captions", ())) == 2]
    forgotten(store, uid=keeper["uid"])
    walk(recipe, store)
    assert samples(store).keys() == before.keys() - {keeper["uid"]}


def test_a_hash_names_its_pairs_and_a_second_forget_has_a_record_of_its_own(
    dataset: tuple[Recipe, Store],
) -> None:
    _, store = dataset
    rows = ledger(store)
    (first,) = forgotten(store, sha256=rows[0]["sha256"])
    (second,) = forgotten(store, phash=f"{rows[5]['perceptual_hash']:016x}")
    assert (first.pairs, second.pairs) == (1, 1)
    assert [first.record, second.record] == ["forgotten/0001.json", "forgotten/0002.json"]
    record = store.marker("forgotten/0002.json")
    assert record
    assert record.extra["reason"] == "asked by its owner"
    assert {"who", "when"} <= record.extra.keys()
    (changed,) = record.extra["shards"]["default"]
    after = shards(store)[f"shards/default/{changed['shard']}"]
    assert changed["before"] != changed["after"] == after
    assert forgotten(store, uid=rows[5]["uid"])[0].pairs == 0
    check_clean(store)


def test_a_dry_run_changes_nothing(dataset: tuple[Recipe, Store]) -> None:
    _, store = dataset
    before = {path: store.read(path) for path in store.paths()}
    wanted = keys({"uid": [ledger(store)[3]["uid"]]}, ())
    assert forget.dry_run(store, Serial(), wanted).pairs == 1
    assert {path: store.read(path) for path in store.paths()} == before


def test_a_slice_that_is_gathered_anew_leaves_the_pair_out(
    found_in: FoundIn, dataset: tuple[Recipe, Store]
) -> None:
    recipe, store = dataset
    row = ledger(store)[4]
    sought = traces(row, stored(store, row))
    forgotten(store, uid=row["uid"])
    store.delete([f"{GATHER_FOLDER}/00000001.json"])
    walk(recipe, store)
    again = ledger(store)[4]
    assert (again["uid"], again["outcome"]) == (row["uid"], "forgotten")
    del sought["url"]  # the address of the row in the tar, of which the staged one was emptied
    assert found_in(store, sought) == []


def test_nothing_to_forget_is_refused(dataset: tuple[Recipe, Store]) -> None:
    with pytest.raises(BadOption, match="say what"):
        forget.run(dataset[1], Serial(), [])


def test_on_an_object_store(
    found_in: FoundIn, dataset: tuple[Recipe, Store], s3: str, tmp_path: Path
) -> None:
    _, local = dataset
    store = Store.at(f"{s3}/{tmp_path.name}")
    for path in local.paths():
        store.write(path, local.read(path))
    row = ledger(store)[7]
    sought = traces(row, stored(store, row))
    forgotten(store, uid=row["uid"])
    assert found_in(store, sought) == []
    check_clean(store)


def test_the_funnel_is_that_of_a_selection_made_anew(dataset: tuple[Recipe, Store]) -> None:
    recipe, store = dataset
    rows = ledger(store)
    dropped = next(r for r in rows.values() if r["uid"] not in samples(store))
    for row in (dropped, rows[6]):
        forgotten(store, uid=row["uid"])
    there = store.marker(select_marker("default"))
    store.delete([select_marker("default")])
    again = select.run(recipe, store, Serial(), "default")
    assert there
    assert (there.counts, there.extra["funnel"]) == (again.counts, again.extra["funnel"])
    assert there.extra["fingerprint"] == again.extra["fingerprint"]


RICH: dict[str, Any] = {
    "group": {"captions": "all_as_list", "entries": {"min_pairs": 1}},
    "alignment": {"neg_clip_loss": {"batch": 4}},
    "shard": {"samples": 2, "text": "cleaned", "captions": "all", "split": {"val": 0.4}}
    | {"index": ["wids", "energon"]},
}


class Hoarder(Store):
    """A store in which all stays that is only needed while something is made."""

    def delete(self, paths: Any) -> None:
        super().delete([path for path in paths if path.startswith("leases/")])


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A dataset with parts of shards, captions of their own, indexes, counts and all rounds."""
    folder = tmp_path_factory.mktemp("rich")
    recipe = recipe_in(folder, RICH)
    store = Hoarder(Store.at(folder / "out").url)
    walk(recipe, store)
    options = {**RICH["shard"], "layout": "parquet", "index": [], "vectors": "npy"}
    parquet = recipe.model_copy(update={"shard": Shard.model_validate(options)})
    select.run(parquet, store, Serial(), "parquet")
    list(shard.run(parquet, store, Serial(), "parquet"))
    (folder / "list.txt").write_text(f"sha256 {ledger(store)[7]['sha256']}\n")
    listed = Blocklist(files=(str(folder / "list.txt"),))
    select.run(recipe.model_copy(update={"blocklist": listed}), store, Serial(), "listed")
    return recipe, folder / "out"


@pytest.mark.parametrize("number", [2, 7])
def test_nothing_is_left_in_any_place(
    found_in: FoundIn, rich: tuple[Recipe, Path], tmp_path: Path, number: int
) -> None:
    shutil.copytree(rich[1], tmp_path / "out")
    recipe, store = rich[0], Store.at(tmp_path / "out")
    before, rows = shards(store), ledger(store)
    row = rows.pop(number)
    others = {value for r in rows.values() for value in traces(r, stored(store, r)).values()}
    own = traces(row, stored(store, row)).items()
    sought = {name: value for name, value in own if value not in others}
    places = {path.partition("/")[0] for _, path in found_in(store, sought)}
    assert places >= {"plan", "gather", "shards"}
    (taken,) = forgotten(store, uid=row["uid"])
    assert found_in(store, sought) == []
    check_clean(store)
    after = shards(store)
    changed = {path for path in before if after.get(path) != before[path]}
    assert len(changed) == (taken.shards or {})["default"]
    assert (taken.shards or {})["parquet"] == 1
    walk(recipe, store)
    assert (found_in(store, sought), shards(store)) == ([], after)
    assert {"shards/default/.nv-meta/.info.json"} <= set(store.paths())
    check_clean(store)
