"""`evaluate` on the command line: what it prints, what it leaves, and what `diff` makes of it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from pairsieve.jobs.cli import app
from pairsieve.jobs.evaluation import drawn_sets
from pairsieve.pipeline import evaluate, plan
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.evaluation import results
from pairsieve.schemas import evaluation_sets
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_file import load

TINY = ("--model", "pairsieve-tiny", "--checkpoint", "demo", "--device", "cpu")


def command(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return drawn sets, one picture of which is broken."""
    folder = tmp_path_factory.mktemp("sets")
    file = drawn_sets.write(folder, of_class=2, scenes=24)
    (folder / "kinds/00/broken.jpg").write_bytes(b"\xff\xd8 no")
    return file


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a dataset of four pairs with the selections `all` and `few`."""
    folder = tmp_path_factory.mktemp("dataset")
    pairs = {"url": [f"http://a/{n}" for n in range(4)], "text": ["a"] * 4}
    pq.write_table(pa.table(pairs), folder / "p.parquet")
    agent = 'fetch: {user_agent: "me/1 (+https://me.example/x)"}'
    for name, most in (("all", 99), ("few", 1)):
        rule = f"keep: [where: row < {most}]"
        (folder / f"{name}.yaml").write_text(f"input: {{path: p.parquet}}\n{agent}\n{rule}")
    store = Store.at(folder / "dataset")
    plan.run(load(folder / "all.yaml"), store)
    rows = [
        {"row": n, "uid": f"{n:032x}", "url": f"http://a/{n}", "text": "a"}
        | {"retry_layer": 0, "outcome": "ok", "width": 640, "height": 480}
        for n in range(4)
    ]
    path = "gather/00000000.000000000000.parquet"
    with store.writer(path) as sink:
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema(GATHERED)), sink)
    commit(store, "gather/00000000.json", Marker(4, {path: sink.entry()}, {"ok": 4}))
    for name in ("all", "few"):
        recipe = str(folder / f"{name}.yaml")
        done = command("select", recipe, "--dataset", str(folder / "dataset"), "--name", name)
        assert done.exit_code == 0, done.output
    return str(folder / "dataset")


@pytest.fixture(scope="module")
def evaluated(dataset: str, sets: Path) -> str:
    """Return the dataset once the demo's model was evaluated as if trained on `all`."""
    beside = ("--dataset", dataset, "--name", "all")
    done = command("evaluate", *TINY, "--sets", str(sets), *beside)
    assert done.exit_code == 0, done.output
    assert "kinds: pictures that cannot be decoded and are left out: 1." in done.output
    return dataset


def rows(dataset: str, name: str) -> list[dict[str, Any]]:
    return results.read(Store.at(dataset), name)


def test_the_demos_model_knows_what_it_was_drawn_from(evaluated: str) -> None:
    value = {(row["set"], row["measure"]): row["value"] for row in rows(evaluated, "all")}
    assert value["kinds", "top_1"] > 0.7
    assert value["colours", "top_1"] > 0.7
    assert value["scenes", "text_to_image_r1"] > 0.7
    assert value["scenes", "image_to_text_r10"] == 1


def test_results_say_of_what_they_are(evaluated: str) -> None:
    (kinds, *_) = [row for row in rows(evaluated, "all") if row["set"] == "kinds"]
    assert (kinds["model"], kinds["checkpoint"]) == ("pairsieve-tiny", "demo")
    assert (kinds["images"], kinds["unreadable"], kinds["trials"]) == (20, 1, 20)
    assert kinds["low"] < kinds["value"] <= kinds["high"]
    (path,) = (path for path, _, _ in Store.at(evaluated).list("evaluate"))
    assert role(path) is Role.FIXED


def test_the_same_again_gives_the_same_bytes_and_other_sets_stay(
    evaluated: str, sets: Path, tmp_path: Path
) -> None:
    (file,) = Path(evaluated).glob("evaluate/all/*.parquet")
    before = file.read_bytes()
    (tmp_path / "one.yaml").write_text(f"scenes: {{retrieval: {sets.parent}/scenes}}")
    beside = ("--dataset", evaluated, "--name", "all", "--json")
    done = command("evaluate", *TINY, "--sets", str(tmp_path / "one.yaml"), *beside)
    assert {row["set"] for row in json.loads(done.output)} == {"scenes"}
    assert file.read_bytes() == before


def test_diff_shows_the_figures_of_both_selections(evaluated: str) -> None:
    store = Store.at(evaluated)
    marker = store.marker("select/few/done.json")
    assert marker
    worse = [
        row | {"value": row["value"] / 2, "selection": marker.extra["fingerprint"]}
        for row in rows(evaluated, "all")
    ]
    for weights in ("a" * 64, "b" * 64):
        results.add(store, "few", [row | {"weights_sha256": weights} for row in worse])
    told = json.loads(command("diff", evaluated, "all", "few", "--json").output)
    (first, *_) = told["evaluations"]
    assert (first["set"], first["measure"], first["checkpoints"]) == ("colours", "top_1", [1, 2])
    assert first["intervals"][1][0] == first["intervals"][0][0] / 2
    page = Path(evaluated).parent / "diff.html"
    printed = command("diff", evaluated, "all", "few", "--page", str(page)).output
    assert "Models trained on them" in printed
    assert ", 2 checkpoints)" in page.read_text()


def test_results_of_a_selection_that_was_made_anew_are_not_its_own(evaluated: str) -> None:
    store = Store.at(evaluated)
    old = [row | {"selection": "older", "set": "x"} for row in rows(evaluated, "all")]
    results.add(store, "all", [row | {"weights_sha256": "c" * 64} for row in old])
    assert "x" not in {row["set"] for row in rows(evaluated, "all")}


def test_a_checkpoint_that_is_not_there_is_told_by_its_option(sets: Path) -> None:
    options = evaluate.options("pairsieve-tiny", "epoch_1.pt", "fp32", "cpu")
    with pytest.raises(BadOption, match=r"^--checkpoint: epoch_1\.pt: no such file$"):
        evaluate.check(options, evaluation_sets.load(sets), None, "default")
