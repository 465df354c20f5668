"""Runs logged by the real libraries into a folder, and read back."""

import io
import json
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console
from tests.input_tar import gradient, put_samples
from tests.jobs.conftest import command
from wandb.proto import wandb_internal_pb2

from pairsieve.jobs.live import tracking
from pairsieve.jobs.live.progress import Display
from pairsieve.jobs.live.tracking import About, Destination, watched
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.report import stage_costs
from pairsieve.schemas.recipe_file import load

RECIPE = """
input: {path: in.tar}
keep:
  - caption_words: {min_words: 2}
"""
Record: Any = vars(wandb_internal_pb2)["Record"]  # of a version of protobuf's own
BLOCK, WHOLE, LAST = 1 << 15, 1, 4  # of the log that W&B writes
CLOSED = ("WANDB_MODE", "WANDB_DIR", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a recipe for three pairs, of which its rule keeps two, in the folder we are in."""
    monkeypatch.chdir(tmp_path)
    for name in CLOSED:
        monkeypatch.delenv(name, raising=False)
    texts = ("text 0", "text 1", "alone")
    put_samples(
        tmp_path / "in.tar",
        {number: (gradient(60 * number), text) for number, text in enumerate(texts)},
    )
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def run(recipe: Path, *options: str) -> str:
    done = command("run", recipe, "--dataset", "out", "--engine", "serial", *options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def records(folder: Path) -> dict[str, list[Any]]:
    """Return what W&B has written of its only run, by kind."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    found = defaultdict(list)
    for data in logged(file.read_bytes()):
        record = Record.FromString(data)
        found[str(record.WhichOneof("record_type"))].append(record)
    return found


def logged(data: bytes) -> Iterator[bytes]:
    """Yield the records of a log of LevelDB's kind: parts with a head, none across 32 KiB."""
    at, body = len(b":W&B") + 3, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, part = struct.unpack_from("<HB", data, at + 4)
        body += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (WHOLE, LAST):
            yield body
            body = b""


def values(items: Any) -> dict[str, Any]:
    """Return the values of some items of a record by name."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_a_run_is_logged_to_wandb_offline(recipe: Path, tmp_path: Path) -> None:
    said = run(recipe, "--log-to", "wandb")
    found = records(tmp_path)
    last = values(found["history"][-1].history.item)
    assert (last["gather/pairs"], last["gather/outcomes/ok"], last["select/pairs"]) == (3, 3, 3)
    summary: dict[str, Any] = {}
    for record in found["summary"]:
        summary |= values(record.summary.update)
    assert summary["selection/kept"] == 2
    assert summary["selection/dropped_by/caption_words"] == 1
    marker = json.loads((tmp_path / "out/select/default/done.json").read_text())
    assert summary["selection/id"] == marker["extra"]["fingerprint"]
    (begun,) = found["run"]
    assert begun.run.display_name == "run out"
    assert "keep/caption_words" in values(begun.run.config.update)
    assert found["exit"][0].exit.exit_code == 0
    assert not found["stats"]
    assert "wandb sync" in said
    assert "WARNING" not in said


def test_a_run_is_logged_to_mlflow_in_a_folder(recipe: Path, tmp_path: Path) -> None:
    said = run(recipe, "--log-to", "mlflow")
    client = MlflowClient(tracking_uri=str(tmp_path / "mlruns"))
    experiment = client.get_experiment_by_name("pairsieve")
    assert experiment
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.run_id in said
    assert "Warning" not in said
    assert logged.info.status == "FINISHED"
    figures = logged.data.metrics
    assert (figures["gather/pairs"], figures["gather/outcomes/ok"]) == (3, 3)
    assert (figures["selection/kept"], figures["selection/dropped_by/caption_words"]) == (2, 1)
    assert logged.data.tags["selection/report"].endswith("report/default/report.html")
    assert "keep/caption_words" in logged.data.params
    cost = {one.stage: one for one in stage_costs(load(recipe), Store.at("out"), "default")}
    assert sorted(cost) == ["columns", "gather", "group", "select", "shard"]
    assert all(one.cpu_s for one in cost.values())


class Noted:
    """A tracker that notes what it is told, the first so many times with a failure."""

    errors = (OSError,)
    place = "here"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.logged: list[dict[str, float]] = []
        self.ended: list[bool] = []
        self.twice = threading.Event()

    def log(self, figures: Mapping[str, float], second: int) -> None:
        self.logged.append(dict(figures))
        if len(self.logged) == 2:
            self.twice.set()
        if len(self.logged) <= self.failures:
            self.twice.set()
            raise OSError("no route")

    def end(self, finished: bool, result: Mapping[str, float | str]) -> None:
        self.ended.append(finished)


def watch(tracker: Noted, monkeypatch: pytest.MonkeyPatch, fails: bool = False) -> None:
    """Let a tracker watch work until it was told twice, or could not log."""
    monkeypatch.setattr(tracking, "_begun", lambda *_: tracker)
    monkeypatch.setattr(tracking, "EVERY_S", 0.01)
    display = Display(100, Console(file=io.StringIO()))
    display("gather", Marker(60, {}, {"ok": 60}))
    display("group", None)
    display.tell_round("keys", 1, 4)
    with watched(None, Destination.MLFLOW, About("run", Path("r.yaml"), "out")) as metrics:
        metrics.show(display)
        assert tracker.twice.wait(60)
        if fails:
            raise KeyboardInterrupt


def test_figures_are_logged_while_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Noted()
    watch(tracker, monkeypatch)
    assert len(tracker.logged) >= 3  # the last when it is over
    figures = tracker.logged[0]
    assert (figures["gather/pairs"], figures["gather/outcomes/ok"]) == (60, 60)
    assert (figures["group/round/tasks"], figures["group/round/total"]) == (1, 4)
    assert tracker.ended == [True]


def test_work_goes_on_where_nothing_can_be_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = Noted(failures=9)
    watch(tracker, monkeypatch)
    assert len(tracker.logged) == 1
    assert "the work goes on without it: no route" in capsys.readouterr().err
    assert tracker.ended == [True]


def test_a_run_that_is_stopped_is_logged_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Noted()
    with pytest.raises(KeyboardInterrupt):
        watch(tracker, monkeypatch, fails=True)
    assert tracker.ended == [False]


@pytest.mark.parametrize(
    ("to", "name", "value", "said"),
    [
        ("wandb", "WANDB_MODE", "sometimes", "--log-to wandb: "),
        ("mlflow", "MLFLOW_TRACKING_URI", "gopher://here", "--log-to mlflow: "),
    ],
)
def test_where_it_cannot_be_logged_it_is_said_before_any_work(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, to: str, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    done = command("run", recipe, "--dataset", "out", "--engine", "serial", "--log-to", to)
    assert done.returncode == 2
    assert said in done.stderr
    assert not Path("out").exists()


def test_a_library_that_is_not_there_is_named(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    done = command("run", recipe, "--dataset", "out", "--log-to", "wandb")
    assert done.returncode == 2
    assert "needs `pip install 'pairsieve[wandb]'`" in done.stderr
