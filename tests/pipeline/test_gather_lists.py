"""What the blocklist and expected hashes keep out while a unit is gathered."""

import io
import tarfile
from collections.abc import Callable
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagehash
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

Gathered = Callable[..., list[dict[str, Any]]]


def _png(seed: int) -> bytes:
    import numpy as np

    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(coarse).resize((160, 120)).save(sink, "PNG")
    return sink.getvalue()


ONE, TWO = _png(1), _png(2)
PHASH = str(imagehash.phash(Image.open(io.BytesIO(TWO)).convert("L")))


@pytest.fixture
def gathered(tmp_path: Path, site: "Site") -> Gathered:
    """Return a function that gathers pairs of (path, other columns) and gives the ledger rows."""
    site.behaviours |= {"one": site.whole(ONE), "two": site.whole(TWO)}

    def work(
        pairs: list[tuple[str, dict[str, Any]]], never: str = "", **options: Any
    ) -> list[dict[str, Any]]:
        rows = [
            {"url": site.url(path), "text": f"pair {row}"} | others
            for row, (path, others) in enumerate(pairs)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
        sections: dict[str, Any] = {
            "input": {"path": str(tmp_path / "pairs.parquet")} | options,
            "fetch": {
                "user_agent": "test (+mailto:test@example.org)",
                "robots": "ignore",
                "per_host_per_s": 10_000,
                "host_failures": 10_000,
                "allow_networks": ["127.0.0.0/8"],
                "ports": [site.port],
                "retries": 0,
            },
            "opt_outs": {"obey": "none"},
        }
        if never:
            (tmp_path / "never.txt").write_text(never)
            sections["blocklist"] = {"files": [str(tmp_path / "never.txt")]}
        recipe = Recipe.model_validate(sections)
        store = Store.at(tmp_path / "dataset")
        for _ in gather.run(recipe, store, plan.run(recipe, store), Serial()):
            continue
        return ledger(store)

    return work


def ledger(store: Store) -> list[dict[str, Any]]:
    (marker,) = store.markers("gather").values()
    with store.reader(marker.file(".parquet")) as source:
        return list(pq.read_table(source).to_pylist())


def stored(folder: Path) -> list[str]:
    """Return the names of the stored images."""
    (marker,) = Store.at(folder / "dataset").markers("gather").values()
    with tarfile.open(folder / "dataset" / marker.file(".tar")) as tar:
        return tar.getnames()


def test_a_listed_url_or_host_is_never_asked_for(site: "Site", gathered: Gathered) -> None:
    never = f"url {site.url('one')}\nhost localhost\n"
    elsewhere = {"url": f"http://img.localhost:{site.port}/two"}
    rows = gathered([("one", {}), ("two", {}), ("two", elsewhere)], never)
    assert [(row["outcome"], row["detail"]) for row in rows] == [
        ("blocklist", "url in line 1 of never.txt"),
        ("ok", None),
        ("blocklist", "host in line 2 of never.txt"),
    ]
    assert site.paths() == ["/two"]


def test_a_redirect_to_a_listed_url_is_not_followed(site: "Site", gathered: Gathered) -> None:
    site.behaviours["away"] = site.whole(b"", "302 Found", "Location: /one")
    (row,) = gathered([("away", {})], f"url {site.url('one')}")
    assert (row["outcome"], row["http_status"]) == ("blocklist", 302)
    assert row["detail"] == "redirect: url in line 1 of never.txt"
    assert row["final_url"] == site.url("away")
    assert site.paths() == ["/away"]


def test_listed_bytes_and_pictures_are_never_stored(tmp_path: Path, gathered: Gathered) -> None:
    never = f"sha256 {sha256(ONE).hexdigest()}\nphash {PHASH}\n"
    rows = gathered([("one", {}), ("two", {})], never)
    assert [(row["outcome"], row["detail"]) for row in rows] == [
        ("blocklist", "sha256 in line 1 of never.txt"),
        ("blocklist", "phash in line 2 of never.txt, 0 bits away"),
    ]
    assert [row["sha256"] for row in rows] == [sha256(body).hexdigest() for body in (ONE, TWO)]
    assert [row["image_file"] for row in rows] == [None, None]
    assert stored(tmp_path) == []


def test_what_is_not_listed_is_stored(tmp_path: Path, gathered: Gathered) -> None:
    rows = gathered([("one", {}), ("two", {})], f"sha256 {'0' * 64}\nphash {PHASH} 0\n")
    assert [row["outcome"] for row in rows] == ["ok", "blocklist"]
    assert stored(tmp_path) == ["000000.jpg"]


def test_images_that_the_input_holds_are_checked_too(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for key, body in (("a", ONE), ("b", TWO), ("c", _png(3))):
            url = f'{{"url": "http://{key}.example/x"}}'.encode()
            for suffix, data in (("png", body), ("txt", key.encode()), ("json", url)):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    (tmp_path / "never.txt").write_text(f"host a.example\nphash {PHASH}\n")
    recipe = Recipe.model_validate(
        {
            "input": {"path": str(tmp_path / "00000.tar")},
            "blocklist": {"files": [str(tmp_path / "never.txt")]},
        }
    )
    store = Store.at(tmp_path / "dataset")
    for _ in gather.run(recipe, store, plan.run(recipe, store), Serial()):
        continue
    assert [row["outcome"] for row in ledger(store)] == ["blocklist", "blocklist", "ok"]
    assert stored(tmp_path) == ["000002.jpg"]


def test_a_bad_line_is_refused_before_anything_is_fetched(site: "Site", gathered: Gathered) -> None:
    with pytest.raises(BadOption, match=r"never.txt, line 1: after `sha256` comes 64 hex digits"):
        gathered([("one", {})], "sha256 1")
    assert site.paths() == []


def test_rows_of_one_url_are_judged_by_their_own_hash(site: "Site", gathered: Gathered) -> None:
    right, wrong = sha256(ONE).hexdigest(), "0" * 64
    rows = gathered(
        [
            ("one", {"sum": wrong}),
            ("one", {"sum": f" {right.upper()} "}),
            ("one", {"sum": ""}),
            ("one", {"sum": None}),
        ],
        sha256="sum",
    )
    assert [row["outcome"] for row in rows] == ["hash_mismatch", "ok", "ok", "ok"]
    assert rows[0]["detail"] == f"expected sha256 {wrong}, found {right}"
    assert rows[0]["sha256"] == right
    assert [row["sum"] for row in rows][:2] == [wrong, f" {right.upper()} "]
    assert site.paths() == ["/one"]


def test_md5_is_checked_beside_sha256(gathered: Gathered) -> None:
    sums = {"md5": md5(TWO).digest(), "sha256": sha256(TWO).hexdigest()}
    rows = gathered(
        [("two", sums), ("two", sums | {"md5": bytes(16)}), ("two", sums | {"md5": None})],
        md5="md5",
        sha256="sha256",
    )
    assert [row["outcome"] for row in rows] == ["ok", "hash_mismatch", "ok"]
    assert rows[1]["detail"] == f"expected md5 {'0' * 32}, found {md5(TWO).hexdigest()}"
    assert rows[0]["input_sha256"] == sums["sha256"]


def test_what_is_no_hash_is_a_mismatch_and_nothing_is_fetched(
    site: "Site", gathered: Gathered
) -> None:
    (row,) = gathered([("one", {"sum": "12 monkeys"})], sha256="sum")
    assert row["outcome"] == "hash_mismatch"
    assert row["detail"] == "expected sha256 is not 64 hex digits: 12 monkeys"
    assert site.paths() == []


def test_a_column_of_hashes_must_be_there_and_hold_text(gathered: Gathered) -> None:
    with pytest.raises(BadOption, match=r"input.sha256: .* has no column `sums`; .* mean `sum`"):
        gathered([("one", {"sum": "0"})], sha256="sums")
    with pytest.raises(BadOption, match=r"input.md5: column `sum` is int64, not text"):
        gathered([("one", {"sum": 7})], md5="sum")
