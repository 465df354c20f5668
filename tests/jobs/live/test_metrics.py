"""The metrics of a real run, read while it goes."""

import io
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from tests.jobs.conftest import command
from tests.ports import free_port

from pairsieve.jobs.live.metrics import GPUS, OUTCOMES, PROCESSORS, STAGE_METRICS, Metrics, served
from pairsieve.jobs.live.progress import Display
from pairsieve.pipeline.dataset.marker import Marker

Samples = dict[tuple[str, str], float]
UNIT = 2


def samples(text: str) -> Samples:
    """Return the value of every metric, by its name and its labels but for their names."""
    return {
        (sample.name, "/".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


class Watching(ThreadingHTTPServer):
    """Serves pictures; before the last one it reads the metrics of who asks for it."""

    seen = ""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Pictures)
        self.metrics_port = port
        self.recipe = f"""
input: {{path: pairs.csv, unit_pairs: {UNIT}}}
fetch:
  user_agent: "test (+mailto:test@example.org)"
  allow_networks: [127.0.0.0/8]
  ports: [{self.server_port}]
  robots: ignore
shard: {{samples: 10}}
"""


class Pictures(BaseHTTPRequestHandler):
    server: Watching

    def do_GET(self) -> None:
        if not self.path.endswith(".png"):
            self.send_error(404)
            return
        if self.path == "/3.png":
            self.server.seen = read(self.server.metrics_port)
        body = io.BytesIO()
        Image.new("RGB", (80, 80), (40 * int(self.path[1]), 90, 90)).save(body, "png")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.getvalue())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Return what a run over two units said of itself when the first one was committed."""
    folder = tmp_path_factory.mktemp("metrics")
    with Watching(free_port()) as server, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        rows = [f"{url}/{n}.png,a text of pair {n}" for n in range(2 * UNIT)]
        (folder / "pairs.csv").write_text("\n".join(["url,text", *rows]))
        (folder / "recipe.yaml").write_text(server.recipe)
        patch.chdir(folder)
        words = ("gather", "recipe.yaml", "--dataset", "dataset", "--engine", "serial")
        done = command(*words, "--metrics-port", str(server.metrics_port))
        assert done.returncode == 0, done.stderr
        server.shutdown()
    return samples(server.seen)


def test_a_run_tells_what_is_done_of_what(seen: Samples) -> None:
    assert seen["pairsieve_stage_pairs", "gather"] == 2 * UNIT
    assert seen["pairsieve_stage_pairs_done", "gather"] == UNIT
    assert seen["pairsieve_pairs_total", "gather"] == UNIT
    assert seen["pairsieve_stage_outcome_pairs", "ok/gather"] == UNIT


def test_it_tells_rate_time_left_processors_and_bytes(seen: Samples) -> None:
    rate = seen["pairsieve_stage_pairs_per_second", "gather"]
    assert seen["pairsieve_stage_left_seconds", "gather"] == pytest.approx(UNIT / rate, rel=0.5)
    assert seen["pairsieve_processors", ""] >= 1
    for name in ("cpu_seconds_total", "written_bytes_total", "fetched_bytes_total"):
        assert seen[f"pairsieve_{name}", "gather"] > 0
    assert seen["pairsieve_stage_cpu_busy_ratio", "gather"] > 0
    assert ("pairsieve_stage_gpu_busy_ratio", "gather") not in seen


class Gpus:
    """An engine of four processors and two GPUs that has spent nothing yet."""

    processors, gpus, spent_s = 4, 2, 0.0


def test_every_stage_has_its_own_figures_and_says_how_busy_gpus_are() -> None:
    display = Display(100, Console(file=io.StringIO()), 0, Gpus())
    display("gather", Marker(60, {}, {"ok": 60}), new=False)
    display("embed", Marker(60, {"v": {"bytes": 500}}, {}, {"cpu_s": 2.0, "model_s": 1.0}))
    display("group", None)
    metrics = Metrics()
    metrics.show(display)
    found = {
        (sample.name, "/".join(sample.labels.values())): sample.value
        for metric in metrics.collect()
        for sample in metric.samples
    }
    assert found["pairsieve_pairs_total", "gather"] == 0
    assert found["pairsieve_stage_pairs_done", "gather"] == 60
    assert found["pairsieve_cpu_seconds_total", "embed"] == 2.0
    assert found["pairsieve_written_bytes_total", "embed"] == 500
    assert 0 < found["pairsieve_stage_gpu_busy_ratio", "embed"] <= 1
    assert found["pairsieve_stage_pairs_done", "group"] == 0
    assert ("pairsieve_stage_pairs", "group") not in found  # how many these are is not known yet
    assert found["pairsieve_gpus", ""] == 2


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield int(sock.getsockname()[1])


def test_a_port_that_is_taken_is_refused_before_anything_is_read(
    taken: int, tmp_path: Path
) -> None:
    words = ("run", "none.yaml", "--dataset", tmp_path / "dataset")
    done = command(*words, "--metrics-port", str(taken))
    assert done.returncode == 2
    assert f"--metrics-port: 127.0.0.1:{taken} cannot be listened on" in done.stderr
    assert not (tmp_path / "dataset").exists()


def test_the_port_is_given_back_also_after_a_failure() -> None:
    port = free_port()
    with suppress(KeyboardInterrupt), served(port):
        assert "pairsieve_processors" not in read(port)  # nothing has begun
        raise KeyboardInterrupt
    with pytest.raises(urllib.error.URLError):
        read(port)


def test_the_page_names_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs/live.md").read_text()
    named = re.findall(r"^\| `(pairsieve_\w+)`", page, re.MULTILINE)
    others = (OUTCOMES, PROCESSORS, GPUS)
    assert sorted(named) == sorted(
        [*(m.name for m in STAGE_METRICS), *(name for name, _ in others)]
    )
