"""The map of a dataset, its colours, and the file of it for embedding-atlas."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.jobs.conftest import command
from tests.pipeline.explore.dataset import Finished

from pairsieve.pipeline.explore import vector_map
from pairsieve.pipeline.explore.database import opened
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.projection import project


def test_a_map_of_some_draws_them_by_hash(embedded: Finished) -> None:
    folder = reader.choose_folder(embedded.store, None)
    every, some = project(embedded.store, folder), project(embedded.store, folder, 50)
    assert (len(every.rows), every.of) == (540, 540)
    assert (len(some.rows), some.of) == (50, 540)
    assert set(some.rows) < set(every.rows)
    assert (np.diff(some.rows) > 0).all()


def test_colours_are_what_the_ledger_has(embedded: Finished) -> None:
    rows = np.array([0, 39, 7, 1])
    with opened(embedded.store, "default") as database:
        assert {"verdict", "language", "sharpness", "keep"} <= set(vector_map.columns(database))
        assert "text" not in vector_map.columns(database)
        assert vector_map.values(database, rows, "language") == ["en", "en", "th", "th"]
        assert vector_map.values(database, rows, "width") == [150, None, 157, 151]
        assert vector_map.values(database, rows, "verdict")[1] == "http_4xx"


def test_rare_texts_have_one_colour() -> None:
    told = [f"v{place // 2}" for place in range(2, 40)] + [None]
    few = vector_map._few(told)
    assert len(set(few)) == vector_map.MOST_VALUES + 1
    assert few[-1] == vector_map.OTHER


def test_the_file_for_embedding_atlas_has_places_verdicts_and_pictures(
    embedded: Finished, tmp_path: Path
) -> None:
    words = ["export", embedded.store.url, str(tmp_path / "map.parquet")]
    words += ["--to", "embedding-atlas", "--points", "60"]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("60 of 540 pairs")
    rows = pq.read_table(tmp_path / "map.parquet").to_pylist()
    assert len({(row["x"], row["y"]) for row in rows}) > 50
    picture = Image.open(io.BytesIO(rows[0]["image"]["bytes"]))
    assert picture.size == (48, 32)
    assert not {"image_file", "minor_safety", "aesthetic"} & rows[0].keys()
    assert "exists already" in command(*words).stderr
    kept = command(*words, "--name", "default", "--force")
    verdicts = pq.read_table(tmp_path / "map.parquet")["verdict"].to_pylist()
    assert set(verdicts) == {"kept"}
    assert kept.stdout.startswith(f"{len(verdicts)} of 540 pairs")


@pytest.mark.parametrize(
    ("out", "said"), [("map.csv", "one Parquet file"), ("folder", "one Parquet file")]
)
def test_what_is_no_parquet_is_refused(embedded: Finished, out: str, said: str) -> None:
    done = command("export", embedded.store.url, out, "--to", "embedding-atlas")
    assert (done.returncode, said in done.stderr) == (2, True)
