"""Two models in one dataset, the second added when all is done, over a real server."""

import json
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from open_clip.model import CLIP
from safetensors.torch import save_file
from tests.conftest import HTTPServer
from tests.input_tar import gradient
from tests.jobs.conftest import command

from pairsieve.jobs.job import Job
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption

PAIRS = 12
FIRST = {"model": "one/demo.json", "pretrained": "one/demo.safetensors", "batch": 4}
SECOND = {"model": "two/demo.json", "pretrained": "two/demo.safetensors", "batch": 4, "name": "b"}


CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


def make_model(folder: Path, seed: int) -> None:
    """Write a model with random weights, as config and checkpoint.

    Its temperature is so high that no prompt is likelier than the others: it sees minors nowhere.
    """
    folder.mkdir()
    (folder / "demo.json").write_text(json.dumps(CONFIG))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = CLIP(**CONFIG).state_dict() | {"logit_scale": torch.zeros(())}
    save_file(weights, folder / "demo.safetensors")


class Counting(BaseHTTPRequestHandler):
    asked: Counter[str] = Counter()

    def do_GET(self) -> None:
        """Count the request and send a picture."""
        self.asked[self.path] += 1
        number = int(self.path.strip("/"))
        body = gradient(7 * number, (60 + number, 50))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Counting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def folder(port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the pipeline with one model; then again with a second one beside it."""
    made = tmp_path_factory.mktemp("models")
    pairs = {
        "url": [f"http://127.0.0.1:{port}/{row}" for row in range(PAIRS)],
        "text": [f"picture number {row}" for row in range(PAIRS)],
    }
    pq.write_table(pa.table(pairs), made / "pairs.parquet")
    for seed, name in enumerate(("one", "two")):
        make_model(made / name, seed)
    write(made, "first.yaml", port, embed=FIRST)
    top = {"top_fraction": 0.5, "of": "clip_similarity_b", "name": "best_by_b"}
    where = {"where": "clip_similarity_b > -1 AND clip_similarity > -1", "name": "both"}
    write(made, "both.yaml", port, embed=[FIRST, SECOND], keep=[where, top])
    Job(made / "first.yaml", str(made / "dataset")).run("default")
    before = Counter(Counting.asked)
    assert sum(before.values()) == PAIRS
    Job(made / "both.yaml", str(made / "dataset")).run("default")
    assert Counting.asked == before  # nothing was fetched
    return made


def write(folder: Path, name: str, port: int, **more: Any) -> Path:
    content = {
        "input": {"path": "pairs.parquet", "unit_pairs": 5},
        "fetch": {
            "user_agent": "test (+mailto:test@example.org)",
            "robots": "ignore",
            "allow_networks": ["127.0.0.0/8"],
            "ports": [port],
            "per_host_per_s": 10_000,
        },
        "opt_outs": {"obey": "none"},  # nothing but images is requested
    }
    (folder / name).write_text(yaml.safe_dump(content | more))
    return folder / name


def ledger(folder: Path, columns: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(
        str(folder / "dataset/report/default/stats.duckdb"), read_only=True
    ) as connection:
        return connection.execute(f"SELECT {columns} FROM ledger ORDER BY row").fetchall()


def scores_of(folder: Path, model: str) -> list[float]:
    """Return what a model's own files say of every pair, in row order."""
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT clip_similarity FROM read_parquet(?) ORDER BY row",
            [f"{folder}/dataset/embed/demo--demo--{model}/**/*.scores.parquet"],
        ).fetchall()
    return [score for (score,) in found]


def test_each_model_has_its_folder_and_its_columns(folder: Path) -> None:
    made = [path.stem for path in (folder / "dataset/embed").glob("*.json")]
    assert len(made) == 2
    columns = ledger(folder, "clip_similarity, clip_similarity_b")
    by_file = [scores_of(folder, name.removeprefix("demo--demo--")) for name in sorted(made)]
    assert len(columns) == PAIRS
    assert sorted(map(list, zip(*columns, strict=True))) == sorted(by_file)
    assert all(one != other for one, other in columns)


def test_rules_decide_on_the_second_models_columns(folder: Path) -> None:
    judged = ledger(folder, "clip_similarity_b, keep")
    kept = {score for score, keep in judged if keep}
    assert kept == set(sorted((score for score, _ in judged), reverse=True)[: PAIRS // 2])


def test_the_second_models_scores_are_in_shards_statistics_and_report(folder: Path) -> None:
    import webdataset

    tar = str(next((folder / "dataset/shards/default").glob("*.tar")))
    told = [json.loads(sample["json"]) for sample in webdataset.WebDataset(tar, shardshuffle=False)]
    of_uid = dict(ledger(folder, "uid, clip_similarity_b"))
    assert len(told) == PAIRS // 2
    for sample in told:
        assert sample["clip_similarity_b"] == pytest.approx(of_uid[sample["uid"]], rel=1e-6)
    with duckdb.connect(
        str(folder / "dataset/report/default/stats.duckdb"), read_only=True
    ) as connection:
        (measured,) = connection.execute(
            "SELECT measured FROM measures WHERE name = 'clip_similarity_b'"
        ).fetchall()
    assert measured == (PAIRS,)
    assert "clip_similarity_b" in (folder / "dataset/report/default/report.html").read_text()


def test_the_main_models_vectors_are_not_made_again(folder: Path, port: int) -> None:
    before = list(Store.at(folder / "dataset").list("embed"))
    Job(folder / "both.yaml", str(folder / "dataset")).run("default")
    assert list(Store.at(folder / "dataset").list("embed")) == before


def test_a_further_models_score_cannot_be_a_gate(folder: Path, port: int) -> None:
    keep = [{"where": "clip_similarity_b > 0", "gate": True}]
    path = write(folder, "gate.yaml", port, embed=[FIRST, SECOND], keep=keep)
    with pytest.raises(BadOption, match="known only after `embed`"):
        Job(path, str(folder / "dataset"))


def test_a_models_column_cannot_have_the_name_of_one_of_the_input(folder: Path, port: int) -> None:
    row = {"url": [f"http://127.0.0.1:{port}/0"], "text": ["a picture"], "nsfw_b": [0.5]}
    pq.write_table(pa.table(row), folder / "named.parquet")
    recipe = write(folder, "named.yaml", port, embed=[FIRST, SECOND])
    recipe.write_text(recipe.read_text().replace("pairs.parquet", "named.parquet"))
    with pytest.raises(BadOption, match="a model's column would be called nsfw_b, as one of the"):
        Job(recipe, str(folder / "named")).run("default")


def test_a_search_answers_with_either_model_and_writes_its_page(folder: Path) -> None:
    second = next(path.stem for path in (folder / "dataset/embed").glob("*.json"))
    sink = folder / "asked.png"
    sink.write_bytes(gradient(7 * 3, (63, 50)))
    options = ["--recipe", folder / "both.yaml", "--image", sink, "-k", 3]
    for more in ([], ["--model", second]):
        said = done(
            "search",
            folder / "dataset",
            *options,
            *more,
            "--page",
            folder / "found.html",
            "--force",
        )
        assert "Nearest of 12 images, all compared" in said
        page = (folder / "found.html").read_text()
        assert page.count("data:image/jpeg;base64,") == 3
        assert "picture number 3" in page


def test_an_export_says_what_it_wrote(folder: Path) -> None:
    model = next(path.stem for path in (folder / "dataset/embed").glob("*.json"))
    said = done("export", folder / "dataset", folder / "out", "--model", model)
    assert said.startswith("12 rows in 1 parts in ")
    assert pq.read_table(folder / "out/metadata/metadata_0.parquet").num_rows == PAIRS


def done(*arguments: Any) -> str:
    """Run a command that must succeed; return what it said."""
    finished = command(*arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
