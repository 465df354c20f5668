"""Whatever happens to a committed file is found, and made again from what is left."""

import io
import itertools
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.input_tar import gradient, put_samples
from tests.pipeline.until_shards import walk
from tests.repetition import LONG, repeated

from pairsieve.pipeline import report, verify
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.integrity.checksums import Finding
from pairsieve.pipeline.integrity.repair import again, repair
from pairsieve.pipeline.status import status
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

# Without a marker: `report` writes them at any time.
UNMADE = ("index.html", "report/default/stats.duckdb", "report/default/report.html")


def recipe_in(folder: Path) -> Recipe:
    """Write an input that holds images; return a recipe with shards of two and units of four."""
    samples = {n: (gradient(50 * n, (60, 50)), f"a picture {n}") for n in range(7)}
    put_samples(folder / "in.tar", samples)
    content: dict[str, Any] = {
        "input": {"path": str(folder / "in.tar"), "unit_pairs": 4},
        "embed": {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"},
        "keep": [{"caption_words": {"min_words": 2}}],
        "shard": {"samples": 2},
    }
    return Recipe.model_validate(content)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    folder = tmp_path_factory.mktemp("made")
    recipe = recipe_in(folder)
    store = Store.at(folder / "out")
    walk(recipe, store)
    report.run(recipe, store, Serial(), "default")
    return recipe, folder / "out"


@pytest.fixture
def dataset(made: tuple[Recipe, Path], tmp_path: Path) -> tuple[Recipe, Store]:
    """A copy of the finished dataset, to be damaged."""
    shutil.copytree(made[1], tmp_path / "out")
    return made[0], Store.at(tmp_path / "out")


def findings(store: Store, engine: Engine | None = None, **options: Any) -> list[Finding]:
    checked = verify.run(store, engine or Serial(), **options)
    return [finding for one in checked for finding in one.findings]


def paths(store: Store) -> list[str]:
    return [path for path, _, _ in store.list()]


def contents(store: Store) -> dict[str, bytes]:
    return {path: store.read(path) for path in paths(store) if path.startswith("shards/")}


def flip(store: Store, path: str, index: int = -1, bits: int = 1) -> None:
    body = bytearray(store.read(path))
    body[index] ^= bits
    store.write(path, bytes(body))


def one(store: Store, start: str, end: str) -> str:
    return next(path for path in paths(store) if path.startswith(start) and path.endswith(end))


@pytest.mark.parametrize("kind", ["serial", "ray"])
def test_a_sound_dataset_is_sound_on_both_engines(
    made: tuple[Recipe, Path], kind: str, request: pytest.FixtureRequest
) -> None:
    engine = Serial() if kind == "serial" else request.getfixturevalue("ray")
    store = Store.at(made[1])
    checked = list(verify.run(store, engine, decode=True))
    shards = list(verify.run(store, engine, "default"))
    assert [one.findings for one in checked + shards if one.findings] == []
    markers = [path for path in paths(store) if role(path) is not None and path not in UNMADE]
    assert sum(one.files for one in checked) >= len(markers) - 1  # `superseded` has no marker
    assert sum(one.bytes for one in shards) == sum(
        len(body) for path, body in contents(store).items() if path.endswith(".tar")
    )


@settings(max_examples=repeated(60, 300), deadline=None, derandomize=True)
@given(data=st.data())
def test_any_flipped_byte_of_a_committed_file_is_found(
    made: tuple[Recipe, Path], data: st.DataObject
) -> None:
    store = Store.at(made[1])
    committed = [path for path in paths(store) if role(path) and path not in UNMADE]
    path = data.draw(st.sampled_from(committed))
    before = store.read(path)
    index = data.draw(st.integers(0, len(before) - 1))
    flip(store, path, index, data.draw(st.integers(1, 255)))
    try:
        found = findings(store)
    finally:
        store.write(path, before)
    assert path in {finding.path for finding in found}


DONE = "shards/default/done.json"
KINDS = (
    ("gather/00000000.", ".tar"),
    ("gather/00000001.", ".parquet"),
    ("gather/00000000", ".json"),
    ("embed/pairsieve-tiny--demo/00000000.", ".vectors.parquet"),
    ("embed/pairsieve-tiny--demo/scores", ".scores.parquet"),
    ("embed/pairsieve-tiny--demo/scores", ".json"),
    ("group/", ".parquet"),
    ("group/done", ".json"),
    ("select/default/", ".parquet"),
    ("select/default/done", ".json"),
    ("shards/default/00001", ".tar"),
    ("shards/default/manifest", ".parquet"),
    ("shards/default/sizes", ".json"),
    ("shards/default/done", ".json"),
)


# Of most kinds one way to change it beside its loss: bytes and size are compared alike of all.
DAMAGE = [
    (damage, *kind)
    for number, kind in enumerate(KINDS)
    for damage in ("gone", "flipped", "cut")
    if LONG or damage == ("flipped", "cut")[number % 2] or damage == "gone" or kind[1] == ".tar"
]


@pytest.mark.parametrize(("damage", "start", "end"), DAMAGE)
def test_damage_is_found_and_made_again(
    dataset: tuple[Recipe, Store], start: str, end: str, damage: str
) -> None:
    recipe, store = dataset
    path, before = one(store, start, end), contents(store)
    if damage == "flipped":
        flip(store, path, len(store.read(path)) // 2)
    elif damage == "cut":
        store.write(path, store.read(path)[:-1])
    else:
        store.delete([path])
    found = findings(store)
    if damage == "gone" and end == ".json" and not path.endswith("sizes.json"):
        assert found == []  # without its marker nothing is committed
    else:
        assert found[0].path == path
        assert "again once its marker is deleted" in again(found[0]) or "anew" in again(found[0])
    assert all(list(repair(store, found)))
    assert findings(store) == []
    walk(recipe, store)
    assert findings(store) == []
    assert status(store, "default").complaints == []
    after = contents(store)
    same = [name for name in before if name.endswith((".tar", "sizes.json"))]
    assert [name for name in same if after[name] != before[name]] == []


def test_only_damaged_shards_are_packed_anew(dataset: tuple[Recipe, Store]) -> None:
    recipe, store = dataset
    assert store.local
    tars = sorted(store.local.glob("shards/default/*.tar"))
    assert len(tars) == 4
    flip(store, "shards/default/00002.tar", 700)
    inodes = {tar.name: tar.stat().st_ino for tar in tars}
    (told,) = repair(store, findings(store))
    assert told.endswith("packs 1 shards anew and keeps 3")
    walk(recipe, store)
    changed = [tar.name for tar in tars if tar.stat().st_ino != inodes[tar.name]]
    assert changed == ["00002.tar"]
    assert findings(store, shards="default") == []


@pytest.mark.parametrize("steps", range(4))
def test_a_repair_that_is_killed_is_ended_by_the_next(
    dataset: tuple[Recipe, Store], steps: int
) -> None:
    recipe, store = dataset
    before = contents(store)
    flip(store, one(store, "gather/00000000.", ".tar"), 600)
    flip(store, "shards/default/00001.tar", 600)
    for _ in itertools.islice(repair(store, findings(store)), steps):
        continue
    list(repair(store, findings(store)))
    walk(recipe, store)
    assert findings(store) == []
    after = contents(store)
    assert all(after[path] == before[path] for path in before if path.endswith(".tar"))


def recommit(store: Store, marker: str, path: str, body: bytes) -> None:
    """Write a file anew with other bytes, which its marker names."""
    store.write(path, body)
    committed = store.marker(marker)
    assert committed
    committed.files[path] = {"bytes": len(body), "sha256": sha256(body).hexdigest()}
    store.write(marker, committed.dumps())


def rewritten(store: Store, path: str, change: Callable[[list[Any]], None]) -> None:
    """Write a tar anew, its members changed, and commit it with that checksum."""
    with tarfile.open(fileobj=io.BytesIO(store.read(path))) as tar:
        members = [(m, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
    change(members)
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for member, body in members:
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    recommit(store, DONE, path, sink.getvalue())


def extra(members: list[Any]) -> None:
    more = [(tarfile.TarInfo(f"{'f' * 32}.{m.name.partition('.')[2]}"), b) for m, b in members[:3]]
    members += more


def text_changed(members: list[Any]) -> None:
    members[2] = members[2][0], b"another text"


def no_json(members: list[Any]) -> None:
    del members[1]


def no_image(members: list[Any]) -> None:
    members[0] = members[0][0], members[0][1][:200]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (extra, "sample f{32}: .*(uid|not in the manifest)"),
        (text_changed, "its text is another one than in its JSON"),
        (no_json, "it has the files jpg, txt, not an image, txt and json"),
        (no_image, "cannot be read back"),
        (lambda members: members.clear(), "the manifest lists it, and it is not there"),
        (lambda members: members.reverse(), "has the files|another order"),
    ],
)
def test_a_shard_whose_checksum_is_right_is_opened(
    dataset: tuple[Recipe, Store], change: Callable[[list[Any]], None], wrong: str
) -> None:
    recipe, store = dataset
    before = contents(store)
    path = "shards/default/00001.tar"
    rewritten(store, path, change)
    found = findings(store, shards="default")
    assert {finding.path for finding in found} == {path}
    assert any(re.search(wrong, finding.wrong) for finding in found), found
    list(repair(store, found))
    walk(recipe, store)
    assert contents(store)[path] == before[path]
    assert findings(store) == []


def test_wrong_sizes_are_found_though_their_checksum_is_right(
    dataset: tuple[Recipe, Store],
) -> None:
    _, store = dataset
    path = "shards/default/sizes.json"
    data = json.dumps({"00000.tar": 3, "00001.tar": 2, "00003.tar": 1, "9.tar": 1}).encode()
    recommit(store, DONE, path, data)
    assert [finding.wrong for finding in findings(store)] == [
        "it lists 9.tar, which is no shard",
        "it does not list 00002.tar",
        "it says 3 samples in 00000.tar, the manifest has 2",
    ]


def test_what_the_ledger_does_not_keep_is_found(dataset: tuple[Recipe, Store]) -> None:
    _, store = dataset
    path = one(store, "select/default/", ".parquet")
    table = pq.read_table(io.BytesIO(store.read(path)))
    kept = [index > 0 for index in range(table.num_rows)]
    column = table.schema.get_field_index("keep")
    sink = io.BytesIO()
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array(kept)), sink)
    recommit(store, "select/default/done.json", path, sink.getvalue())
    found = findings(store, shards="default")
    assert len(found) == 1
    assert found[0].wrong.endswith("is in the shards, and the ledger does not keep it")


def test_a_tar_beside_the_shards_is_found_and_left(dataset: tuple[Recipe, Store]) -> None:
    _, store = dataset
    store.write("shards/default/mine.tar", b"mine")
    (found,) = findings(store)
    assert found.wrong == "it lies among the shards, and no marker names it"
    assert [told.split(";")[0] for told in repair(store, [found])] == [
        "shards/default/mine.tar: left as it is"
    ]
    assert store.read("shards/default/mine.tar") == b"mine"


def test_what_nothing_makes_again_is_left(dataset: tuple[Recipe, Store]) -> None:
    _, store = dataset
    flip(store, "plan.json", 100)
    flip(store, "embed/pairsieve-tiny--demo.json", 100)
    before = {path: store.read(path) for path in paths(store)}
    found = findings(store)
    assert {finding.path for finding in found} == {"plan.json", "embed/pairsieve-tiny--demo.json"}
    assert {again(finding) for finding in found} == {"nothing makes it again: put a copy back"}
    list(repair(store, found))
    assert before == {path: store.read(path) for path in paths(store)}


def test_a_marker_is_made_again_from_its_files(dataset: tuple[Recipe, Store]) -> None:
    _, store = dataset
    path = "gather/00000000.json"
    before = store.read(path)
    flip(store, path, before.index(b'"rows"') + 1)
    (told,) = repair(store, findings(store))
    assert told == f"{path}: written anew from the files beside it, which are as they were"
    made_again, known = (json.loads(marker) for marker in (store.read(path), before))
    for marker in (made_again, known):
        del marker["checksum"]
        marker["extra"].pop("cpu_s", None)  # what was spent is not known any more
    assert made_again == known


def test_damage_on_s3_is_found(dataset: tuple[Recipe, Store], s3: str) -> None:
    _, local = dataset
    remote = Store.at(f"{s3}/verified")
    for path in paths(local):
        remote.write(path, local.read(path))
    assert findings(remote) == []
    tar = one(remote, "gather/00000001.", ".tar")
    flip(remote, tar, 600)
    remote.delete(["shards/default/00000.tar"])
    assert [(found.path, found.wrong[:9]) for found in findings(remote)] == [
        (tar, "its bytes"),
        ("shards/default/00000.tar", "it is gon"),
    ]


def test_shards_that_are_not_there_are_refused(made: tuple[Recipe, Path], tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="--shards: no selection `defalt` has shards.*default"):
        findings(Store.at(made[1]), shards="defalt")
    with pytest.raises(BadOption, match="no dataset here yet"):
        findings(Store.at(tmp_path / "none"))


def test_reading_changes_nothing(dataset: tuple[Recipe, Store]) -> None:
    _, store = dataset
    assert store.local
    before = {path: path.stat().st_mtime_ns for path in store.local.rglob("*")}
    findings(store, decode=True)
    assert before == {path: path.stat().st_mtime_ns for path in store.local.rglob("*")}
    assert Role.MARKER in {role(path) for path in paths(store)}
