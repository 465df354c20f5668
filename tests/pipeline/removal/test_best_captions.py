"""`shard: {text: best}`: the caption that ranks first, and the next one once it is forgotten."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.input_tar import put_samples

from pairsieve.pipeline import forget, select, shard, verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.run import run
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_shard import Shard

FoundIn = Callable[[Store, dict[str, bytes]], list[tuple[str, str]]]
TEXTS = ("a red circle", "a blue amber square", "write to birch@example.org", "something else")
SHARD: dict[str, Any] = {"text": "best", "captions": "all", "personal_data": "mask"}


def picture(number: int) -> bytes:
    """Return a PNG of its own; but the last they show the same."""
    sink = io.BytesIO()
    turned = Image.linear_gradient("L").rotate(0 if number < 3 else 100).resize((64, 50))
    turned.convert("RGB").save(sink, "PNG", compress_level=number)
    return sink.getvalue()


@pytest.fixture
def made(tmp_path: Path) -> tuple[Store, list[tuple[str, str]]]:
    """A dataset in tars and in Parquet; and uid and text of the three copies, the best first.

    The keeper is the one with the least similarity.
    """
    samples = {number: (picture(number), text) for number, text in enumerate(TEXTS)}
    put_samples(tmp_path / "in.tar", samples)
    content = {
        "input": {"path": str(tmp_path / "in.tar")},
        "embed": {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"},
        "group": {"captions": "all_as_list", "prefer": ["-clip_similarity", "uid"]},
        "keep": [{"duplicate": {}}],
    }
    store, recipe = Store.at(tmp_path / "out"), Recipe.model_validate(content | {"shard": SHARD})
    run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)
    options = Shard.model_validate(SHARD | {"layout": "parquet"})
    parquet = recipe.model_copy(update={"shard": options})
    select.run(parquet, store, Serial(), "parquet")
    list(shard.run(parquet, store, Serial(), "parquet"))
    with connect(store) as connection:
        attach(connection, store, scores_folders(recipe))
        query = "SELECT uid, text FROM ledger ORDER BY clip_similarity DESC"
        ranked = [row for row in connection.sql(query).fetchall() if row[1] != TEXTS[3]]
    return store, ranked


def in_tar(store: Store, uid: str) -> list[str]:
    """Return the texts of a sample, that of `.txt` first."""
    with tarfile.open(fileobj=io.BytesIO(store.read("shards/default/00000.tar"))) as tar:
        names = sorted(name for name in tar.getnames() if name.startswith(uid) and "txt" in name)
        files = [file for name in [names[-1], *names[:-1]] if (file := tar.extractfile(name))]
        return [file.read().decode() for file in files]


def in_parquet(store: Store, uid: str) -> list[str]:
    table = pq.read_table(io.BytesIO(store.read("shards/parquet/00000.parquet")))
    row = next(row for row in table.to_pylist() if row["uid"] == uid)
    return [row["text"], *row["captions"]]


def masked(texts: list[str]) -> list[str]:
    return [text.replace("birch@example.org", "[email]") for text in texts]


def test_the_best_is_the_text_and_the_next_one_when_it_is_forgotten(
    made: tuple[Store, list[tuple[str, str]]], found_in: FoundIn
) -> None:
    store, ((best, text), (_, second), (keeper, own)) = made
    expected = masked([text, own, second])
    assert in_tar(store, keeper) == in_parquet(store, keeper) == expected
    sought = {form: form.encode() for form in (text, *masked([text]))}
    assert "shards" in {path.partition("/")[0] for _, path in found_in(store, sought)}
    forget.run(store, Serial(), keys({"uid": [best]}, ()), "asked by its owner")
    assert found_in(store, sought) == []
    assert in_tar(store, keeper) == in_parquet(store, keeper) == masked([second, own])
    assert [found for one in verify.run(store, Serial()) for found in one.findings] == []
