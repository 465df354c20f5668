"""A dataset of eight pairs is written by hand, so that every figure of its card can be counted."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from pairsieve.pipeline import card, forget, select, shard
from pairsieve.pipeline.cards import merkle
from pairsieve.pipeline.cards.signature import Signer
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import CARD_CROISSANT, card_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.about import About
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

HOSTILE = "<script>alert(1)</script>|[x](https://evil.example)\u202e"
HOSTS = ("big.example", "big.example", "small.example", "third.example")
RECIPE: dict[str, Any] = {
    "input": {"path": "p"},
    "fetch": {"user_agent": "lab/1.0 (+https://lab.example/bot)", "per_host_per_s": 3},
    "opt_outs": {"obey": ["xmp"]},
    "keep": [{"where": "row <> 3", "name": "not_three"}],
}


def _pair(row: int, body: bytes, offset: int) -> dict[str, Any]:
    outcome = {4: "robots", 5: "opt_out", 6: "http_4xx"}.get(row, "ok")
    common: dict[str, Any] = {
        "url": f"https://{HOSTS[row % 4]}/{row}.jpg",
        "outcome": outcome,
        "language": "de" if row == 2 else "en",
        "fetched_at": datetime(2026, 3, 1 + row, tzinfo=UTC),
    }
    if outcome != "ok":
        return common | {"width": None, "height": None}
    return common | {
        "fetch_bytes": 1000 * (row + 1),
        "image_kind": "jpeg",
        "image_file": "gather/i.tar",
        "image_offset": offset,
        "image_bytes": len(body),
        "opt_outs": ["tdmrep"] if row == 1 else None,
        "xmp_licence": HOSTILE if row == 0 else None,
        "digital_source_type": "trainedAlgorithmicMedia" if row == 2 else None,
    }


def _put_plan(store: Store, pairs: int) -> None:
    measuring = {"input": {"unit_pairs": pairs}, "image": {"format": "jpg"}}
    plan = Plan(
        store.url,
        pairs,
        True,
        False,
        "parquet",
        measuring,
        [],
        [],
        [[(0, 0, pairs)]],
        pa.schema([]),
        {},
    )
    store.create("plan.json", plan.dumps())


@pytest.fixture
def store(tmp_path: Path, put_gathered: Callable[[Store, list[dict[str, Any]]], None]) -> Store:
    """Return a dataset with a selection of four of its eight pairs: rows 0, 1, 2 and 7."""
    store = Store.at(tmp_path / "dataset")
    bodies = []
    for row in range(8):
        sink = io.BytesIO()
        Image.new("RGB", (row + 8, 9), (row, 0, 0)).save(sink, "JPEG")
        bodies.append(sink.getvalue())
    store.write("gather/i.tar", b"".join(bodies))
    starts = [sum(map(len, bodies[:row])) for row in range(8)]
    put_gathered(store, [_pair(*each) for each in zip(range(8), bodies, starts, strict=True)])
    _put_plan(store, 8)
    select.run(Recipe.model_validate(RECIPE), store, Serial(), "default")
    return store


def _packed(store: Store, **options: Any) -> Store:
    recipe = Recipe.model_validate(RECIPE | {"shard": options})
    list(shard.run(recipe, store, Serial(), "default"))
    return store


def _read(store: Store, file: str) -> str:
    return store.read(card_file("default", file)).decode()


def _cells(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in text.splitlines()]


def test_the_card_has_the_figures_of_the_ledger_and_the_metadata_of_the_hub(store: Store) -> None:
    card.run(_packed(store), Serial(), "default", About(licence="CC-BY-4.0", title="Eight"))
    _, front, body = _read(store, "README.md").split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["license"] == "cc-by-4.0"
    assert metadata["language"] == ["en", "de"]
    assert metadata["size_categories"] == ["n<1K"]
    assert metadata["configs"][0]["data_files"] == [{"split": "train", "path": "*.tar"}]
    assert "4 pairs of an image and a text, kept of 8" in body
    cells = _cells(body)
    assert ["en", "3", "75.0%"] in cells
    assert ["`not_three`", "5", "1", "4"] in cells
    assert ["Contact", "unknown (not said by `--about`)"] in cells


def test_text_from_outside_is_no_markup(store: Store) -> None:
    card.run(store, Serial(), "default", About(title=HOSTILE, collection=HOSTILE))
    for file in ("README.md", "training-content.md", "quality.md"):
        body = _read(store, file).split("---\n", 2)[-1]
        assert "\\<script\\>" in body
        assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(|\u202e|https://evil", body)


def test_the_summary_says_what_was_crawled_how_and_from_where(store: Store) -> None:
    card.run(store, Serial(), "default", recipe=Recipe.model_validate(RECIPE))
    text = _read(store, "training-content.md")
    cells = _cells(text)
    assert ["Period of collection", "2026-03-01 to 2026-03-08 (UTC)"] in cells
    # Kept: big.example has rows 0 and 1 (1000 + 2000 bytes), the others rows 2 and 7.
    assert ["third.example", "1", "25.0%", "8,000", "57.1%"] in cells
    assert "lab/1.0" in text.replace("\\", "")
    assert "one host sees at most 3 requests per second" in text
    assert "that the recipe obeys: `xmp`." in text
    assert ["The host's robots.txt does not allow it", "1"] in cells
    assert "an opt-out of this form is declared: `tdmrep` 1." in text
    assert "made by AI: `trainedAlgorithmicMedia` 1." in text
    assert "were not compared with a blocklist" in text


def test_what_no_recipe_says_is_said_to_be_unknown(store: Store) -> None:
    card.run(store, Serial(), "default")
    text = _read(store, "training-content.md")
    assert ["Crawler", "unknown (no recipe was given)"] in _cells(text)
    assert "Forms of opt-out that were obeyed: unknown (no recipe was given)." in text
    assert yaml.safe_load(_read(store, "README.md").split("---\n")[1])["license"] == "unknown"


def test_a_tenth_of_the_hosts_is_listed_those_with_most_bytes_first(store: Store) -> None:
    card.run(store, Serial(), "default")
    rows = list(csv.DictReader(io.StringIO(_read(store, "domains.csv"))))
    assert [(row["host"], row["kept"], row["kept_bytes"]) for row in rows] == [
        ("third.example", "1", "8000")  # of three hosts
    ]


def test_blocks_of_one_unit_give_the_same_bytes(
    store: Store,
) -> None:
    files = ("README.md", "training-content.md", "quality.md", "domains.csv")
    card.run(store, Serial(), "default")
    first = [_read(store, file) for file in files]
    card.run(store, Serial(), "default", units=1)
    assert [_read(store, file) for file in files] == first
    assert not [path for path in store.paths() if "/blocks/" in path and "report" in path]


def test_quality_has_terms_of_iso_5259_and_says_what_is_not_measured(store: Store) -> None:
    card.run(_packed(store), Serial(), "default")
    cells = _cells(_read(store, "quality.md"))
    assert ["Completeness", "input pairs that have an image", "62.5%"] in cells
    assert ["Consistency", "samples in shards", "4 of 4 kept pairs"] in cells
    assert ["Similarity", "copies", "no rule drops copies"] in cells
    assert "Not measured: accuracy" in _read(store, "quality.md")


def test_takedowns_are_in_the_register_and_in_the_card_without_who_and_why(store: Store) -> None:
    named = keys({"url": ["https://small.example/2.jpg"]}, [])
    forget.run(store, Serial(), named, "asked by Ada")
    card.run(store, Serial(), "default")
    (row,) = csv.DictReader(io.StringIO(_read(store, "takedowns.csv")))
    assert (row["number"], row["named"], row["pairs"], row["images"]) == ("1", "url", "1", "1")
    assert row["reason"] == "asked by Ada"
    public = _read(store, "README.md") + _read(store, "training-content.md")
    assert ["1", row["when"][:10], "url", "1"] in _cells(public)
    assert "Ada" not in public
    assert row["who"] not in public
    assert "small.example" not in public


def test_without_shards_there_is_no_croissant_and_an_old_one_goes(store: Store) -> None:
    store.write(card_file("default", CARD_CROISSANT), b"{}")
    written = card.run(store, Serial(), "default")
    assert not store.exists(card_file("default", CARD_CROISSANT))
    assert not [path for path in written if path.endswith(CARD_CROISSANT)]
    with pytest.raises(BadOption, match="there is no selection `defalt`.*did you mean `default`"):
        card.run(store, Serial(), "defalt")


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_croissant_is_valid_and_its_records_are_the_samples(
    store: Store, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlcroissant
    from etils import epath
    from mlcroissant._src.operation_graph.operations import extract

    # It keeps what it unpacks by the name of the tar.
    monkeypatch.setattr(extract, "EXTRACT_PATH", epath.Path(tmp_path / "unpacked"))
    about = About(title="Eight (8)", licence="https://creativecommons.org/licenses/by/4.0/")
    card.run(_packed(store, layout=layout), Serial(), "default", about)
    beside = Path(store.url) / "shards/default/croissant.json"
    beside.write_text(_read(store, CARD_CROISSANT))
    dataset = mlcroissant.Dataset(str(beside))
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.ctx.conforms_to.value == json.loads(beside.read_text())["conformsTo"]
    listed = {record["manifest/uid"].decode() for record in dataset.records("manifest")}
    assert listed == {f"{row:032x}" for row in (0, 1, 2, 7)}
    texts = "texts" if layout == "webdataset" else "pairs"
    found = {record[f"{texts}/text"] for record in dataset.records(texts)}
    assert found == {f"pair {row}".encode() for row in (0, 1, 2, 7)}


def test_the_root_is_over_what_the_manifest_says_and_a_shard_is_proved(store: Store) -> None:
    card.run(_packed(store, samples=2), Serial(), "default")
    root = _read(store, "root.txt").splitlines()[-1]
    listed = pq.read_table(Path(store.url) / "shards/default/manifest.parquet")
    of_manifest = dict(
        zip(listed["shard"].to_pylist(), listed["shard_sha256"].to_pylist(), strict=True)
    )
    assert merkle.root(dict(sorted(of_manifest.items()))) == root
    shard_file = Path(store.url) / "shards/default/00001.tar"
    assert card.prove(store, "default", "00001.tar").root(merkle.sha256_of(shard_file)) == root
    assert root in _read(store, "README.md")


def test_a_signature_stays_while_the_shards_are_the_same(store: Store, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    card.run(_packed(store, samples=2), Serial(), "default", signer=Signer(key))
    signature = _read(store, "root.txt.sig")
    card.run(store, Serial(), "default")
    assert _read(store, "root.txt.sig") == signature
    card.run(_packed(store, samples=3), Serial(), "default")
    assert not store.exists(card_file("default", "root.txt.sig"))


def test_a_selection_of_fewer_pairs_than_are_gathered_is_refused(store: Store) -> None:
    marker = store.marker("gather/00000000.json")
    assert marker
    path = "gather/00000001.000000000000.parquet"
    with store.writer(path) as sink:
        pq.write_table(pq.read_table(io.BytesIO(store.read(marker.file(".parquet")))), sink)
    store.write("gather/00000001.json", Marker(8, {path: sink.entry()}, marker.counts).dumps())
    with pytest.raises(BadOption, match="judged 8 pairs, and 16 are gathered by now"):
        card.run(store, Serial(), "default")


def test_parts_are_splits_of_the_card_and_all_listed_in_croissant(store: Store) -> None:
    import mlcroissant

    card.run(_packed(store, split={"val": 0.5}), Serial(), "default")
    front = yaml.safe_load(_read(store, "README.md").split("---\n")[1])
    assert [one["split"] for one in front["configs"][0]["data_files"]] == ["train", "val"]
    beside = Path(store.url) / "shards/default/croissant.json"
    beside.write_text(_read(store, CARD_CROISSANT))
    dataset = mlcroissant.Dataset(str(beside))
    parts = [dataset.records(f"{part}-manifest") for part in ("train", "val")]
    assert sum(len(list(records)) for records in parts) == 4
