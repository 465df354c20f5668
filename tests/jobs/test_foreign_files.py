"""Somebody's files and links, anywhere in and beside a dataset, survive every command."""

import os
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.input_tar import gradient, put_samples
from tests.jobs.conftest import command
from tests.repetition import repeated

from pairsieve.pipeline.dataset.roles import is_foreign

RECIPE = """
input: {{path: {tar}, unit_pairs: 2}}
embed: {{model: pairsieve-tiny, pretrained: demo, precision: fp32}}
shard: {{samples: 2}}
"""
# Where a dataset has files, with the folders of what is made while others look, and an export.
FOLDERS = (
    "", "plan", "gather", "gather/layers", "embed", "embed/{model}", "embed/{model}/{scores}",
    "group", "group/near", "group/near/0123456789abcdef/join0", "group/evaluation", "blocklist",
    "select", "select/default", "select/default/blocks", "select/default/blocks/0123456789abcdef",
    "select/mine", "shards", "shards/default", "shards/default/parts", "shards/default/order",
    "shards/default/order/0123456789abcdef", "blocklist/blocks",
    "search", "search/{model}", "tmp", "scratch.01234567", "mine/deep",
)  # fmt: skip
NAMES = (
    "notes.txt", "done.json.bak", "plan.json~", "report.html.old", "notes.json", "a.parquet",
    "holiday.tar", "00000.tar.part", "img_emb.npy", "x.0123456789ab.parquet", "export.json.1",
    "00000000.0123456789ab.tar.bak", "parts.json.orig", ".hidden", "draft#1", "sizes.json.new",
    "p\u00e4r.txt", "a b.md", "manifest.parquet.bak", "stats.duckdb.wal.bak",
)  # fmt: skip
EXPORT = ("img_emb", "metadata", "")
COMMANDS = (
    "plan r.yaml --dataset data",
    "gather r.yaml --dataset data --engine serial",
    "embed r.yaml --dataset data --engine serial",
    "group r.yaml --dataset data --engine serial",
    "select r.yaml --dataset data",
    "shard r.yaml --dataset data --engine serial",
    "report r.yaml --dataset data",
    "run r.yaml --dataset data --engine serial",
    "select r.yaml --dataset data --name mine",
    "shard r.yaml --dataset data --name mine --engine serial",
    "check r.yaml --dataset data",
    "status data",
    "list data",
    "search data words --page page.html",
    "export data out",
    "hashes data --out hashes.parquet",
    "verify data --repair --engine serial",
    "gc data --min-age-h 0",
    "init r.yaml",
)
MAY_REFUSE = ("init r.yaml", "export data out")  # where something lies already


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recipe, a finished dataset and an export."""
    folder = tmp_path_factory.mktemp("finished")
    path = tmp_path_factory.mktemp("input") / "in.tar"
    samples = {number: (gradient(40 * number, (60, 50)), "a picture") for number in range(3)}
    put_samples(path, samples)
    (folder / "r.yaml").write_text(RECIPE.format(tar=path))
    for words in ("run r.yaml --dataset data --engine serial", "export data out"):
        assert said(folder, words) == 0
    return folder


def said(folder: Path, words: str) -> int:
    """Run a command in a folder, in this process; return its exit code."""
    with chdir(folder):
        return command(*words.split(" "), "--quiet").returncode


def undone(dataset: Path) -> None:
    """Take back what was decided, and one task of what was measured, so that all is made again."""
    shutil.rmtree(dataset / "shards/default", ignore_errors=True)
    for marker in ("group/done.json", "select/default/done.json", "gather/00000001.json"):
        (dataset / marker).unlink()


def seen(path: Path) -> object:
    """Return all that there is to see of a file, link or folder."""
    if path.is_symlink():
        return "link", os.readlink(path)
    if path.is_dir():
        return {child.name: seen(child) for child in path.iterdir()}
    return path.read_bytes() if path.exists() else None


Strewn = tuple[str, str, str]  # folder, name, kind


@st.composite
def strewn(draw: Callable[..., str]) -> Strewn:
    return (
        draw(st.sampled_from(FOLDERS + tuple(f"../out/{name}" for name in EXPORT) + ("..",))),
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(["file", "file", "link to a file", "link to a folder", "dangling"])),
    )


def strew(folder: Path, dataset: Path, things: list[Strewn]) -> list[Path]:
    """Put somebody's files and links there; return them, and what the links lead to."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("00000.tar", "done.json", "00000000.0123456789ab.tar", "mine.txt"):
        (elsewhere / name).write_text(f"mine {name}")
    model = next(path.name for path in (dataset / "embed").iterdir() if path.is_dir())
    scores = next(path.name for path in (dataset / "embed" / model).iterdir() if path.is_dir())
    put = [elsewhere]
    for below, name, kind in things:
        path = dataset / below.format(model=model, scores=scores) / name
        inside = os.path.relpath(path, dataset)
        if os.path.lexists(path) or not (inside.startswith("..") or is_foreign(inside)):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            path.write_bytes(f"somebody's {path}".encode())
        else:
            to = {"link to a file": "mine.txt", "link to a folder": ""}.get(kind, "nothing")
            path.symlink_to(elsewhere / to)
        put.append(path)
    return put


@settings(
    max_examples=repeated(1, 6),
    phases=[Phase.generate],  # an example takes seconds, and shrinking it minutes
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(things=st.lists(strewn(), min_size=20, max_size=30))
def test_somebodys_files_survive_every_command(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, things: list[Strewn]
) -> None:
    folder = tmp_path_factory.mktemp("strewn") / "work"
    shutil.copytree(finished, folder)
    dataset = folder / "data"
    undone(dataset)
    put = strew(folder, dataset, things)
    before = {path: seen(path) for path in put}
    for words in COMMANDS:
        code = said(folder, words)
        # `verify` tells of a tar that lies among the shards and that no marker names.
        told = words.startswith("verify") and any(path.suffix == ".tar" for path in put)
        assert code == 0 or (code == 2 and words in MAY_REFUSE) or (code == 1 and told), words
        gone = [path for path in put if seen(path) != before[path]]
        assert gone == [], words
    assert said(folder, "status data") == 0
    shutil.rmtree(folder)


@pytest.fixture
def linked(finished: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a copy of the dataset, and a folder that a link in it leads to."""
    shutil.copytree(finished, tmp_path / "work")
    undone(tmp_path / "work/data")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("00000.tar", "00001.tar", "done.json", "sizes.json", "notes.txt"):
        (elsewhere / name).write_text(f"mine {name}")
    return tmp_path / "work", elsewhere


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("shards/default", "shard r.yaml --dataset data --engine serial"),
        ("shards", "shard r.yaml --dataset data --engine serial"),
        ("select/mine", "select r.yaml --dataset data --name mine"),
        ("search", "search data words"),
        ("report/default/stats.duckdb", "report r.yaml --dataset data"),
        ("report/default/report.html", "report r.yaml --dataset data"),
    ],
)
def test_nothing_is_written_behind_a_link(linked: tuple[Path, Path], link: str, words: str) -> None:
    folder, elsewhere = linked
    for earlier in ("gather", "embed", "group"):
        said(folder, f"{earlier} r.yaml --dataset data --engine serial")
    said(folder, "select r.yaml --dataset data")
    path = folder / "data" / link
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere / ("notes.txt" if path.suffix else ""))
    before = seen(elsewhere), seen(path)
    for _ in range(2):
        said(folder, words)
        assert (seen(elsewhere), seen(path)) == before
    said(folder, "gc data --min-age-h 0")
    said(folder, "verify data --repair --engine serial")
    assert (seen(elsewhere), seen(path)) == before
