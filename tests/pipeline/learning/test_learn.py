"""Learning from marked pairs of a dataset, and the head as a score of a recipe."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pairsieve.jobs.cli import app
from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import model_record
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.learning import labels, learn
from pairsieve.pipeline.vectors import pair_head, scorers
from pairsieve.pipeline.vectors.model_record import ModelRecord
from pairsieve.pipeline.vectors.scorers import StoredImages
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_scores import Scorer

WIDTH, COUNT = 16, 160
RECORD = ModelRecord("m", "p", WIDTH, 100.0, 0.0, "weights", "settings")
KEY = "embed.concepts.good"


def uid(row: int) -> str:
    return f"{row * 7919 % 1000:032x}"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return pairs of which every third is bad: its text says what its image does, but badly.

    The defect is a direction of the text vector; the cosine to the image is as high as of others.
    """
    store = Store.at(tmp_path_factory.mktemp("learn") / "dataset")
    rng = np.random.default_rng(4)
    images, texts = rng.normal(size=(2, COUNT, WIDTH))
    images[:, 0] = 0
    texts = 0.6 * images + 0.5 * texts
    texts[:, 0] = np.where(bad(np.arange(COUNT)), 1, -1) + 0.5 * rng.normal(size=COUNT)
    store.create(model_record("m--p"), checked_json.dumps(RECORD.to_json()))
    rows = [
        {"row": row, "uid": uid(row), "retry_layer": 0, "outcome": "ok", "sharpness": row / COUNT}
        for row in range(COUNT)
    ]
    gathered = pa.Table.from_pylist(rows, arrow_schema(GATHERED))
    made = {"row": pa.array(range(COUNT - 2))}  # the last two have no vectors
    for name, part in (("image_embedding", images), ("text_embedding", texts)):
        part = part[: COUNT - 2] / np.linalg.norm(part[: COUNT - 2], axis=1)[:, None]
        flat = pa.array(part.astype(np.float16).reshape(-1))
        kind = pa.list_(pa.float16(), WIDTH)
        made[name] = pa.FixedSizeListArray.from_arrays(flat, type=kind)
    for place, suffix, table in (
        ("gather/00000000", ".parquet", gathered),
        ("embed/m--p/00000000", ".vectors.parquet", pa.table(made)),
    ):
        path = f"{place}.000000000000{suffix}"
        with store.writer(path) as sink:
            pq.write_table(table, sink, row_group_size=32)
        counts = {"ok": COUNT} if suffix == ".parquet" else {"embedded": COUNT - 2}
        commit(store, f"{place}.json", Marker(table.num_rows, {path: sink.entry()}, counts))
    return store


def bad(rows: Any) -> Any:
    return rows % 3 == 0


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the labels of the first 100 pairs, of one without vectors and of an unknown one."""
    path = tmp_path_factory.mktemp("labels") / "labels.parquet"
    rows = [*range(100), COUNT - 1]
    made = [{"uid": uid(row), "label": not bad(row)} for row in rows]
    pq.write_table(pa.Table.from_pylist([*made, {"uid": "f" * 32, "label": True}]), path)
    return path


def vectors(store: Store) -> tuple[Any, Any]:
    table = pq.read_table(store.reader("embed/m--p/00000000.000000000000.vectors.parquet"))
    images, texts = (
        np.stack(table[name].to_numpy()).astype(np.float32)
        for name in ("image_embedding", "text_embedding")
    )
    return images, texts


def test_a_hundred_labels_find_a_defect_that_the_cosine_does_not_show(
    dataset: Store, marked: Path
) -> None:
    head = learn.run(dataset, marked, "good")
    said = head.record["evaluation"]
    assert head.record["data"]["pairs"] == 100
    assert head.record["data"]["without_vectors"] == 2
    assert said["auc"] > 0.85 > 0.7 > said["auc_of_clip_similarity"]
    images, texts = vectors(dataset)
    new = np.arange(100, COUNT - 2)  # pairs that nobody marked
    logits = head.outputs(images[new], texts[new], np.zeros((len(new), 0)))[:, 0]
    right = (logits > 0) == ~bad(new)
    assert right.mean() > 0.8
    precision = said["precision"]
    assert precision[1] < precision[0] < precision[2]
    assert sum(one["pairs"] for one in said["calibration"]) == 100
    scores = 1 / (1 + np.exp(-head.outputs(images, texts, np.zeros((COUNT - 2, 0)))[:, 0]))
    assert head.record["scores"]["pairs"] == COUNT - 2
    assert head.usual == pytest.approx(np.quantile(scores, [0.05, 0.95]), abs=1e-6)


def test_the_same_labels_make_the_same_file_whatever_their_order(
    dataset: Store, marked: Path, tmp_path: Path
) -> None:
    table = pq.read_table(marked)
    csv.write_csv(table.take(pa.array(range(table.num_rows - 1, -1, -1))), tmp_path / "l.csv")
    one, other = (learn.run(dataset, path, "good") for path in (marked, tmp_path / "l.csv"))
    assert one.network.weights.tobytes() == other.network.weights.tobytes()
    for name in ("a", "b"):
        pair_head.save(tmp_path / f"{name}.safetensors", one)
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_a_head_is_a_score_of_a_recipe_and_a_null_column_counts_as_its_mean(
    dataset: Store, marked: Path, tmp_path: Path
) -> None:
    path = tmp_path / "good.safetensors"
    head = learn.run(dataset, marked, "good", ["sharpness"])
    pair_head.save(path, head)
    images, texts = vectors(dataset)
    model = cast("Any", SimpleNamespace(dimensions=WIDTH, weights_sha256="weights"))
    loaded = scorers.load(KEY, Scorer(head=str(path)), model)
    assert [column.name for column in loaded.reads] == ["sharpness"]
    values = [None, *(row / COUNT for row in range(1, COUNT - 2))]
    gathered = pa.table({"sharpness": pa.array(values, pa.float32())})
    stored = StoredImages(lambda: iter(()), np.zeros(0, np.intp), texts, gathered)
    found = loaded.values(images, stored)
    filled = np.array([head.means[0], *values[1:]], np.float32).astype(float)[:, None]
    made = pair_head.features(images, texts, filled)
    assert found == pytest.approx(
        1 / (1 + np.exp(-(made @ head.network.weights + head.network.bias))), abs=1e-6
    )
    other = cast("Any", SimpleNamespace(dimensions=WIDTH, weights_sha256="other"))
    with pytest.raises(BadOption, match="learnt on vectors of m .p. with other weights"):
        scorers.load(KEY, Scorer(head=str(path)), other)
    narrow = cast("Any", SimpleNamespace(dimensions=8, weights_sha256="weights"))
    with pytest.raises(BadOption, match="vectors of length 16"):
        scorers.load(KEY, Scorer(head=str(path)), narrow)


def test_labels_that_cannot_be_used_are_refused(dataset: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    for content, says in (
        ("uid,label\na,perhaps\n", "row 0: 'perhaps' is no yes or no"),
        ("uid,label\na,1\na,0\n", "a is marked both good and bad"),
        ("uid\na\n", "columns `uid` and `label`"),
        ("uid,label\na,1\n", "of 1 marked pairs 0 have vectors here"),
    ):
        path.write_text(content)
        with pytest.raises(BadOption, match=says):
            learn.run(dataset, path, "good")
    with pytest.raises(BadOption, match="did you mean `sharpness`"):
        labels.check_columns(["sharpnes"])


def test_the_command_writes_the_head_and_says_how_well_it_does(
    dataset: Store, marked: Path, tmp_path: Path
) -> None:
    out = tmp_path / "good.safetensors"
    told = ["learn", str(dataset.local), "--labels", str(marked), "--out", str(out)]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert "100 marked pairs, 66 of them good; 2 have no vectors here" in done.stdout
    assert "concepts: {good: {head:" in done.stdout
    said = json.loads(pair_head._metadata(out)[pair_head.KEY])
    assert said["model"]["weights_sha256"] == "weights"
    assert CliRunner().invoke(app, told).exit_code != 0  # the file is there
    plot = tmp_path / "plot.svg"
    again = [*told, "--force", "--hidden", "2", "--columns", "sharpness", "--plot", str(plot)]
    more = CliRunner().invoke(app, again)
    assert ", of a logistic regression 0." in more.stdout, more.output
    assert "Of 158 pairs here 5 % score below" in more.stdout
    said = json.loads(pair_head._metadata(out)[pair_head.KEY])
    assert said["hidden"] == 2
    assert plot.read_text().count("<circle") == len(said["evaluation"]["calibration"])
    refused = CliRunner().invoke(app, [*told, "--force", "--hidden", "0"])
    assert str(refused.exception) == "--hidden: 0: a hidden layer has 1 to 256 units"
