import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from tests.jobs.conftest import command

from pairsieve.jobs.demo import demo
from pairsieve.jobs.demo_web.server import serving
from pairsieve.pipeline.dataset.paths import stats_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.report import stage_costs
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_file import load

ALL_OF_IT = """
    SELECT count(*), count(*) FILTER (outcome = 'ok'),
        count(*) FILTER (outcome = 'ok' AND NOT list_has_any(failing, ['repeated']) AND
            len(list_filter(failing, lambda r: r NOT IN ('duplicate', 'caption_frequency'))) = 0),
        count(*) FILTER (keep), sum(fetch_bytes), sum(attempts)
    FROM ledger
"""


@dataclass
class Demo:
    """The folder of a demo, and what it said."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    return Demo(folder, command("demo", folder, "--pairs", "200", "--engine", "serial").stdout)


def test_the_demo_ends_with_two_tables_how_captions_were_told_and_three_paths(
    finished: Demo,
) -> None:
    folder, said = finished.folder, finished.said
    assert said.index("Funnel") < said.index("Planted and detected")
    assert re.search(r"shared_caption\s+│\s+13 │\s+13 │\s+0 │ caption_frequency", said)
    figures = re.search(r"wrong captions: recall ([\d.]+) .*precision ([\d.]+)", said)
    assert figures
    assert min(float(figure) for figure in figures.groups()) >= 0.9
    for path in ("shards/default", "report/default/stats.duckdb", "report/default/report.html"):
        assert f"{folder}/dataset/{path}" in said
        assert (folder / "dataset" / path).exists()
    with pytest.raises(BadOption, match="holds a demo of 200 pairs with seed 0, not 300"):
        demo(folder, 300, 0, ("serial", None))


# In a process of its own, which cannot ask the network for anything.
READ_BY_DATASETS = """
import sys
from datasets import load_dataset

tars = sys.argv[1:]
streamed = list(load_dataset("webdataset", data_files=tars, split="train", streaming=True))
loaded = load_dataset("webdataset", data_files=tars, split="train")
assert len(streamed) == len(loaded) > 0
for one, other in zip(streamed, loaded):
    assert one["__key__"] == other["__key__"] == one["json"]["uid"]
    assert one["txt"] == other["txt"] == one["json"]["text"]
    assert one["json"] == other["json"]
    assert one["jpg"].size == (one["json"]["stored_width"], one["json"]["stored_height"])
    assert len(one["json"]["perceptual_hash"]) == 16
    int(one["json"]["perceptual_hash"], 16)
print(len(loaded))
"""


def test_hugging_face_datasets_reads_the_shards(finished: Demo, tmp_path: Path) -> None:
    tars = sorted(finished.folder.glob("dataset/shards/default/*.tar"))
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", READ_BY_DATASETS, *map(str, tars)],
        env=os.environ | offline,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sizes = json.loads((tars[0].parent / "sizes.json").read_text())
    assert int(done.stdout) == sum(sizes.values())


def test_webdataset_reads_the_shards(finished: Demo) -> None:
    import webdataset

    tars = sorted(map(str, finished.folder.glob("dataset/shards/default/*.tar")))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    sizes = json.loads(Path(tars[0]).with_name("sizes.json").read_text())
    assert len(samples) == sum(sizes.values()) > 0
    for sample in samples:
        told = sample["json"]
        assert (sample["__key__"], sample["txt"]) == (told["uid"], told["text"])
        assert sample["jpg"].size == (told["stored_width"], told["stored_height"])


def test_what_was_foretold_of_a_sample_is_what_the_whole_run_gave(finished: Demo) -> None:
    # With one seed in twenty a share lies outside its interval; the usual seed, 0, is such a one.
    recipe = finished.folder / "seeded.yaml"
    text = (finished.folder / "recipe.yaml").read_text()
    recipe.write_text(text.replace("shard: {samples: 500}", "shard: {samples: 500, seed: 1}"))
    with serving(finished.folder / "web"):
        done = command("estimate", recipe, "--sample", "80", "--json", "--price-gb", "1")
    assert done.returncode == 0, done.stderr
    foretold = json.loads(done.stdout)
    figures = {figure["name"]: figure for figure in foretold["figures"]}
    store = Store.at(finished.folder / "dataset")
    with duckdb.connect(str(finished.folder / "dataset" / stats_file("default")), True) as stats:
        whole = stats.execute(ALL_OF_IT).fetchone()
    assert whole
    pairs, images, alone, kept, received, requests = whole
    bytes_of = {cost.stage: cost.bytes for cost in stage_costs(load(recipe), store, "default")}
    shards = bytes_of.pop("shard")
    assert foretold["pairs"] == pairs == 200
    for name, true in (
        ("with an image", images),
        ("passing rules on the pair alone", alone),
        ("downloaded", received),
        ("shards", shards),
    ):
        assert figures[name]["low"] <= true <= figures[name]["high"], name
        assert figures[name]["low"] < figures[name]["high"], name
    assert kept <= figures["kept, at most"]["high"]
    assert figures["CPU"]["value"] > 0
    (host,) = foretold["hosts"]
    assert host["host"] == "127.0.0.1"
    days = requests / 10_000 / 86_400
    assert host["days_low"] <= days <= host["days_high"]
    stored = sum(bytes_of.values())
    assert 0.8 < figures["dataset"]["value"] / stored < 1.25
    cost = (figures["dataset"]["value"] + figures["shards"]["value"]) / 1e9
    assert figures["cost"]["value"] == pytest.approx(cost)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadOption, match="is not empty and not a demo"):
        demo(tmp_path, 200, 0, ("serial", None))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
