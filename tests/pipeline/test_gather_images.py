"""Gather images that the input holds: in tars, in Parquet, with a URL beside them or without."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.check import check_input
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.unit import retry_layers
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe

Serve = Callable[[Path], str]
Row = dict[str, Any]


def picture(seed: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (40 + seed, 30), (seed * 40, 200, 100)).save(sink, "PNG")
    return sink.getvalue()


def gathered(recipe: Recipe, folder: Path) -> list[Row]:
    """Plan and gather; return the ledger rows."""
    store = Store.at(folder)
    planned = plan.run(recipe, store)
    check_input(recipe, planned)
    return parts(store, gather.run(recipe, store, planned, Serial()))


def parts(store: Store, done: Iterable[tuple[str, Marker]]) -> list[Row]:
    """Return the ledger rows of what is done."""
    rows: list[Row] = []
    for _, marker in done:
        with store.reader(marker.file(".parquet")) as source:
            rows += pq.read_table(source).to_pylist()
    return rows


def written(folder: Path, bodies: list[bytes | None], urls: list[str | None] | None = None) -> Path:
    """Write Parquet as Hugging Face does and return the folder it is in."""
    images = [{"bytes": body, "path": f"{n}.png"} for n, body in enumerate(bodies)]
    columns: Row = {"image": images, "text": [f"text {n}" for n in range(len(bodies))]}
    if urls:
        columns["url"] = urls
    (folder / "in").mkdir()
    pq.write_table(pa.table(columns), folder / "in/a.parquet", row_group_size=2)
    return folder / "in"


def recipe(path: Path, **sections: Any) -> Recipe:
    chosen = {"path": str(path), "image": "image", "unit_pairs": 3}
    return Recipe.model_validate({"input": chosen, **sections})


def fetch(base: str = "http://127.0.0.1:1") -> Row:
    return {
        "user_agent": "test (+mailto:test@example.org)",
        "per_host_per_s": 100_000,
        "allow_networks": ["127.0.0.0/8"],
        "ports": [int(base.rpartition(":")[2])],
        "retries": 0,
    }


def test_images_in_parquet_are_stored_and_damaged_ones_are_rows(tmp_path: Path) -> None:
    bodies = [picture(0), b"no picture", None, b"", picture(1), picture(2)[:-40]]
    rows = gathered(recipe(written(tmp_path, bodies)), tmp_path / "out")
    assert [row["outcome"] for row in rows] == [
        *("ok", "not_an_image", "absent", "empty", "ok", "bad_image"),
    ]
    assert rows[2]["detail"] == "no bytes in `image`, and no URL"
    assert [row["width"] for row in rows] == [40, None, None, None, 41, None]
    assert rows[0]["sha256"] == sha256(picture(0)).hexdigest()
    assert rows[0]["url"] == "parquet:a.parquet#0"
    assert [row["image.path"] for row in rows] == [f"{n}.png" for n in range(6)]
    assert "image" not in rows[0]


def test_what_has_a_url_and_no_bytes_is_fetched(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/there.png").write_bytes(picture(3))
    base = serve(tmp_path / "web")
    urls = [f"{base}/there.png", f"{base}/held.png", None, f"{base}/gone.png"]
    path = written(tmp_path, [None, picture(1), None, None], urls)
    rows = gathered(recipe(path, fetch=fetch(base)), tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok", "ok", "absent", "http_4xx"]
    assert [row["width"] for row in rows] == [43, 41, None, None]
    assert [row["http_status"] for row in rows] == [200, None, None, 404]


def test_what_was_not_fetched_is_retried_and_what_has_bytes_is_not(
    tmp_path: Path, serve: Serve
) -> None:
    (tmp_path / "web").mkdir()
    base = serve(tmp_path / "web")
    urls: list[str | None] = [f"{base}/{n}.png" for n in range(4)]
    bodies = [None, picture(1), None, b"no picture"]
    chosen = recipe(written(tmp_path, bodies, urls), fetch=fetch(base))
    rows = gathered(chosen, tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["http_4xx", "ok", "http_4xx", "not_an_image"]
    (tmp_path / "web/2.png").write_bytes(picture(2))
    store = Store.at(tmp_path / "out")
    planned = plan.run(chosen, store)
    begun = retry_layers.begin(store, planned, retry_layers.parse_outcomes("http_4xx"))
    assert begun
    done = list(gather.work(chosen, store, planned, Serial(), begun.todo))
    retried = sorted(parts(store, done), key=lambda row: row["row"])
    assert [(row["row"], row["outcome"]) for row in retried] == [(0, "http_4xx"), (2, "ok")]
    assert retried[1]["width"] == 42


def test_without_a_fetch_what_has_no_bytes_is_absent(tmp_path: Path) -> None:
    path = written(tmp_path, [picture(0), None], ["http://a/0", "http://a/1"])
    rows = gathered(recipe(path), tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok", "absent"]
    assert rows[1]["detail"] == "no bytes in `image`, and no `fetch` in the recipe"


def test_images_of_the_input_have_the_limits_of_fetched_ones(tmp_path: Path) -> None:
    bodies: list[bytes | None] = [picture(0), bytes(len(picture(0)) + 1)]
    limited = fetch() | {"max_bytes": len(picture(0))}
    path = written(tmp_path, bodies)
    rows = gathered(recipe(path, fetch=limited), tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok", "too_large"]
    small = recipe(path, image={"max_pixels": 1199})
    (row, _) = gathered(small, tmp_path / "small")
    assert row["outcome"] == "too_many_pixels"


def test_a_file_that_is_gone_stops_with_a_word(tmp_path: Path) -> None:
    path = written(tmp_path, [picture(0)])
    chosen, store = recipe(path), Store.at(tmp_path / "out")
    planned = plan.run(chosen, store)
    (path / "a.parquet").unlink()
    with pytest.raises(Stopped, match=r"a\.parquet: was there when the input was planned"):
        list(gather.run(chosen, store, planned, Serial()))


def test_images_in_a_compressed_tar_are_stored(tmp_path: Path) -> None:
    sink = io.BytesIO()
    bodies = [picture(0), b"no picture", bytes(5000), picture(1)]
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for n, body in enumerate(bodies):
            for suffix, data in (("png", body), ("txt", b"text %d" % n)):
                member = tarfile.TarInfo(f"{n}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.tar.gz").write_bytes(gzip.compress(sink.getvalue()))
    options = {"path": str(tmp_path / "in"), "unit_pairs": 3}
    limited = Recipe.model_validate({"input": options, "fetch": fetch() | {"max_bytes": 4000}})
    rows = gathered(limited, tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["ok", "not_an_image", "too_large", "ok"]
    assert [row["sha256"] for row in rows][::3] == [
        sha256(body).hexdigest() for body in (bodies[0], bodies[3])
    ]


def test_a_compressed_tar_that_is_another_by_now_stops_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in/a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for suffix, data in (("png", picture(0)), ("txt", b"text")):
            member = tarfile.TarInfo(f"a.{suffix}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    chosen, store = (
        Recipe.model_validate({"input": {"path": str(path)}}),
        Store.at(tmp_path / "out"),
    )
    planned = plan.run(chosen, store)
    path.write_bytes(gzip.compress(b"short"))
    with pytest.raises(Stopped, match=r"a\.tar\.gz: cannot be read: ends before an image"):
        list(gather.run(chosen, store, planned, Serial()))


def test_a_folder_of_pictures_is_gathered(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    for n, name in enumerate(("a.png", "b/c.png", "d.png")):
        (folder / name).write_bytes(picture(n))
        (folder / name).with_suffix(".txt").write_text(f"text {n}")
    (folder / "d.txt").unlink()
    (folder / "e.txt").write_text("no picture")
    options = {"path": str(folder), "unit_pairs": 3}
    rows = gathered(Recipe.model_validate({"input": options}), tmp_path / "out")
    assert [(row["file_name"], row["outcome"]) for row in rows] == [
        *(("a.png", "ok"), ("d.png", "no_text"), ("e.txt", "absent"), ("b/c.png", "ok")),
    ]
    assert rows[3]["sha256"] == sha256(picture(1)).hexdigest()
    assert rows[2]["detail"] == "no image beside e.txt"
