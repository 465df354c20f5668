"""The rule that always holds: in select, in shards and in the report, listed or not."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import group, report, select, shard
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.vectors.folders import scores_folder
from pairsieve.schemas.columns import EMBEDDED, ROW, arrow_schema
from pairsieve.schemas.recipe import Recipe

PutGathered = Callable[[Store, list[dict[str, Any]]], None]
MODEL = {"model": "ViT-B-32", "pretrained": "openai"}
# Rows 0 and 1 are at or below 0.05, 2 and 3 above; 1 and 3 fail the rule on nsfw too.
SCORES = [(0.0, 0.0), (0.05, 0.5), (0.06, 0.06), (0.9, 0.9)]
CONCEPTS = [("cartoon", 0.25), ("photo", 0.1)]


def recipe(*keep: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "embed": MODEL, "keep": keep})


@pytest.fixture
def store(tmp_path: Path, put_gathered: PutGathered) -> Store:
    """Return a dataset of four embedded pairs with pictures; all are copies of one another."""
    dataset = Store.at(tmp_path)
    sink = io.BytesIO()
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(sink, "JPEG")
    dataset.write("gather/a.tar", sink.getvalue())
    stored = {
        "image_file": "gather/a.tar",
        "image_offset": 0,
        "image_bytes": len(sink.getvalue()),
    }
    put_gathered(
        dataset, [{"sha256": f"{row:064x}", "perceptual_hash": 5, **stored} for row in range(4)]
    )
    options = recipe().embed
    assert options
    rows = [
        {"row": row, "minor_safety": minor, "nsfw": nsfw, "concepts": CONCEPTS}
        for row, (minor, nsfw) in enumerate(SCORES)
    ]
    folder = f"embed/{scores_folder(options)}"
    with dataset.writer(f"{folder}/00000000.a.scores.parquet") as out:
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema((ROW, *EMBEDDED))), out)
    files = {f"{folder}/00000000.a.scores.parquet": out.entry()}
    commit(dataset, f"{folder}/00000000.json", Marker(4, files))
    return dataset


def first_failing(store: Store, curation: Recipe) -> list[str | None]:
    select.run(curation, store, Serial(), "default")
    with connect(store) as connection:
        attach(connection, store, selection="default")
        found = connection.execute("SELECT first_failing FROM ledger ORDER BY row").fetchall()
    return [rule for (rule,) in found]


def test_it_is_asked_without_being_listed(store: Store) -> None:
    assert first_failing(store, recipe()) == [None, None, "minor_safety", "minor_safety"]


def test_it_is_asked_before_the_listed_rules(store: Store) -> None:
    failing = first_failing(store, recipe({"nsfw": {"max_probability": 0.1}}))
    assert failing == [None, "nsfw", "minor_safety", "minor_safety"]


def test_listing_it_makes_it_stricter_and_asks_it_once(store: Store) -> None:
    strict = recipe({"nsfw": {}}, {"minor_safety": {"max_probability": 0.01}})
    assert first_failing(store, strict) == [None, "minor_safety", "minor_safety", "minor_safety"]
    marker = store.marker("select/default/done.json")
    assert marker
    names = [step["rule"] for step in marker.extra["funnel"]]
    assert names == ["outcome", "minor_safety", "nsfw", "gated"][: len(names)]


def test_what_is_not_measured_is_not_kept(tmp_path: Path, put_gathered: PutGathered) -> None:
    store = Store.at(tmp_path)
    put_gathered(store, [{}])
    assert first_failing(store, recipe()) == ["minor_safety"]


def test_a_recipe_without_a_model_does_not_ask_it(
    tmp_path: Path, put_gathered: PutGathered
) -> None:
    store = Store.at(tmp_path)
    put_gathered(store, [{}])
    without = Recipe.model_validate({"input": {"path": "p"}})
    assert first_failing(store, without) == [None]


def test_a_shard_holds_concepts_and_never_this_score(store: Store) -> None:
    select.run(recipe(), store, Serial(), "default")
    list(shard.run(recipe(), store, Serial(), "default"))
    with tarfile.open(store.location("shards/default/00000.tar")) as tar:
        samples = [json.load(tar.extractfile(one)) for one in tar if one.name.endswith("json")]  # type: ignore[arg-type]
    assert sorted(one["nsfw"] for one in samples) == [0, 0.5]
    assert all(one["concepts"] == {"cartoon": 0.25, "photo": 0.1} for one in samples)
    assert not any("minor_safety" in one for one in samples)


def test_the_report_shows_no_picture_of_what_it_drops(store: Store) -> None:
    keep = recipe({"where": "row <> 1", "name": "not one"})
    group.run(keep, store, Serial())
    select.run(keep, store, Serial(), "default")
    report.run(keep, store, Serial(), "default")
    page = store.read("report/default/report.html").decode()
    # Row 0 is kept, row 1 dropped by another rule: shown as samples and in their cluster.
    assert page.count("data:image/jpeg") == 4
    assert "minor_safety &lt;= 0.05" in page
    assert "<code>nsfw</code> by <bdi>the prompts of pairsieve</bdi>" in page
    for row in (2, 3):
        assert f"pair {row}</bdi>" not in page.partition("A sample of what is kept")[2]
