"""The whole pipeline with other storage, other input, and hostile text."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.run import run
from pairsieve.pipeline.status import status
from pairsieve.schemas.recipe import Recipe

HOSTILE = [
    "a NUL \0 inside",
    "<script>alert(1)</script> & <b>bold</b>",
    "'; DROP TABLE ledger; --",
    "right to \u202eleft\u202c and zero\u200bwidth",
    "../../../../etc/passwd",
    "a lone \ud800 surrogate",
    "a megabyte " + "x" * 10**6,
]
ESCAPED = [text.replace("\ud800", "\\ud800") for text in HOSTILE]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """The base URL of a server with eight different pictures, `0.png` to `7.png`."""
    folder = tmp_path_factory.mktemp("web")
    for number in range(8):
        random = np.random.default_rng(number)
        coarse = random.integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((160, 120)).save(folder / f"{number}.png")
    return serve(folder)


def walked(path: str, dataset: Store, web: str | None, **sections: Any) -> Recipe:
    """Walk the whole pipeline in this process."""
    if web:
        sections["fetch"] = {
            "user_agent": "test (a@b.example)",
            "per_host_per_s": 100_000,
            "allow_networks": ["127.0.0.0/8"],
            "ports": [int(web.rpartition(":")[2])],
        }
    shard = {"samples": 3}
    recipe = Recipe.model_validate({"input": {"path": path}, "shard": shard} | sections)
    run(recipe, dataset, Serial(), "default", lambda verb, marker, new=True: None)
    return recipe


def tars(dataset: Store) -> list[bytes]:
    """The shards, in order."""
    names = [name for name, _, _ in dataset.list("shards/default") if name.endswith(".tar")]
    return [dataset.read(name) for name in names]


def texts(dataset: Store) -> set[str]:
    """The texts in the shards."""
    found = set()
    for body in tars(dataset):
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if member.name.endswith(".txt") and content:
                    found.add(content.read().decode())
    return found


def lines(web: str, captions: list[str]) -> bytes:
    """A JSONL input with one pair per caption."""
    pairs = [{"url": f"{web}/{n}.png", "text": text} for n, text in enumerate(captions)]
    return "\n".join(map(json.dumps, pairs)).encode()


def test_input_and_dataset_on_s3_give_the_bytes_of_the_local_disk(
    s3: str, web: str, tmp_path: Path
) -> None:
    captions = [f"picture number {number}" for number in range(8)]
    Store.at(f"{s3}/in").write("pairs.jsonl", lines(web, captions))
    remote, local = Store.at(f"{s3}/dataset"), Store.at(tmp_path / "dataset")
    walked(f"{s3}/in/pairs.jsonl", remote, web)
    (tmp_path / "pairs.jsonl").write_bytes(lines(web, captions))
    walked(str(tmp_path / "pairs.jsonl"), local, web)
    assert len(tars(remote)) == 3
    assert tars(remote) == tars(local)
    assert status(remote, "default").complaints == []
    (tmp_path / "stats.duckdb").write_bytes(remote.read("report/default/stats.duckdb"))
    with duckdb.connect(str(tmp_path / "stats.duckdb"), read_only=True) as statistics:
        assert statistics.execute("SELECT * FROM outcomes").fetchall() == [("ok", 8)]


def test_shards_are_an_input_and_nothing_is_fetched(web: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(lines(web, [f"picture {n}" for n in range(8)]))
    first, second = Store.at(tmp_path / "first"), Store.at(tmp_path / "second")
    walked(str(tmp_path / "pairs.jsonl"), first, web)
    walked(str(tmp_path / "first/shards/default"), second, None)
    found = status(second, "default")
    assert (found.outcomes, found.kept, found.complaints) == ({"ok": 8}, 8, [])
    assert texts(second) == texts(first) == {f"picture {n}" for n in range(8)}


def test_hostile_text_goes_through_unchanged_or_escaped(web: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(lines(web, HOSTILE))
    dataset = Store.at(tmp_path / "dataset")
    walked(str(tmp_path / "pairs.jsonl"), dataset, web)
    assert texts(dataset) == set(ESCAPED)
    with duckdb.connect(
        str(tmp_path / "dataset/report/default/stats.duckdb"), read_only=True
    ) as statistics:
        rows = statistics.execute("SELECT text FROM ledger ORDER BY row").fetchall()
    assert [text for (text,) in rows] == ESCAPED
    page = dataset.read("report/default/report.html").decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\0" not in page
    names = [path.name for path in tmp_path.rglob("*")]
    assert not any("passwd" in name or "script" in name for name in names)


def test_a_changed_threshold_needs_neither_network_nor_pixels(web: str, tmp_path: Path) -> None:
    from pairsieve.pipeline import select

    (tmp_path / "pairs.jsonl").write_bytes(lines(web, [f"picture {n}" for n in range(8)]))
    dataset = Store.at(tmp_path / "dataset")
    recipe = walked(str(tmp_path / "pairs.jsonl"), dataset, web)
    images = next(name for name, _, _ in dataset.list("gather") if name.endswith(".tar"))
    dataset.delete([images])
    strict = recipe.model_dump(mode="json") | {"keep": [{"where": "row >= 6"}], "fetch": None}
    counts = select.run(Recipe.model_validate(strict), dataset, Serial(), "strict").counts
    assert counts == {"pairs": 8, "failed": 0, "dropped": 6, "kept": 2}
