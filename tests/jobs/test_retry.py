"""`gather --retry` as a user meets it, on both engines, disturbed and undisturbed."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.conftest import HTTPServer
from tests.input_tar import gradient, put_samples
from tests.jobs.conftest import command

COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]
PAIRS = 48
UNIT = 8
FLAKY = {row for row in range(PAIRS) if row % 3 == 1}


class Web(HTTPServer):
    """Serves a picture per number, counts what is asked, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.down: set[int] = set()
        self.asked: Counter[int] = Counter()
        self.wait_s = 0.0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def do_GET(self) -> None:  # noqa: N802
        name = self.path.removeprefix("/")
        if not name.isdigit():
            return self.answer(404, b"")
        with self.server.lock:
            self.server.asked[int(name)] += 1
        time.sleep(self.server.wait_s)
        if int(name) in self.server.down:
            return self.answer(503, b"")
        self.answer(200, picture(int(name)))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def picture(number: int) -> bytes:
    return gradient(7 * number, (60 + number, 50))


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Web() as server:
        yield server
        server.shutdown()


@pytest.fixture
def recipe(tmp_path: Path, web: Web) -> Path:
    """Write a recipe for pairs of the web, part of which is down."""
    web.down, web.asked, web.wait_s = set(FLAKY), Counter(), 0.0
    base = f"http://127.0.0.1:{web.server_port}"
    pairs = {
        "url": [f"{base}/{row}" for row in range(PAIRS)],
        "text": [f"picture number {row}" for row in range(PAIRS)],
    }
    pq.write_table(pa.table(pairs), tmp_path / "pairs.parquet")
    content = {
        "input": {"path": "pairs.parquet", "unit_pairs": UNIT},
        "fetch": {
            "user_agent": "test (+mailto:test@example.org)",
            "robots": "ignore",
            "per_host_per_s": 10_000,
            "host_failures": 10_000,
            "allow_networks": ["127.0.0.0/8"],
            "ports": [web.server_port],
            "retries": 0,
        },
        "shard": {"samples": 20},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "recipe.yaml"


def start(verb: str, recipe: Path, *options: str, dataset: str = "d") -> subprocess.Popen[str]:
    place = str(recipe.parent / dataset)
    return subprocess.Popen(
        [*COMMAND, verb, str(recipe), "--dataset", place, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(verb: str, recipe: Path, *options: str, dataset: str = "d") -> tuple[int, str]:
    """Run a command on the serial engine; return its exit code and what it said."""
    place = str(recipe.parent / dataset)
    done = command(verb, recipe, "--dataset", place, "--engine", "serial", *options)
    return done.returncode, done.stdout + done.stderr


def done(verb: str, recipe: Path, *options: str, dataset: str = "d") -> str:
    """Run a command that must succeed; return what it said."""
    code, text = said(verb, recipe, *options, dataset=dataset)
    assert code == 0, text
    return text


def with_model(recipe: Path) -> None:
    """Let the recipe embed."""
    content = yaml.safe_load(recipe.read_text())
    content["embed"] = {
        "model": "pairsieve-tiny",
        "pretrained": "demo",
        "precision": "fp32",
        "batch": 8,
    }
    recipe.write_text(yaml.safe_dump(content))


def status(recipe: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("status", recipe.parent / "d", "--json").stdout)
    assert found["adds_up"]
    return found


def shards(dataset: Path) -> dict[str, str]:
    tars = (dataset / "shards/default").glob("*.tar")
    return {tar.name: hashlib.sha256(tar.read_bytes()).hexdigest() for tar in tars}


def asked_of(query: str, file: Path) -> list[Any]:
    with duckdb.connect(str(file), read_only=True) as statistics:
        return statistics.execute(query).fetchall()


def wait_for(found: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not found():
        assert process.poll() is None, "it ended before it could be disturbed"
        time.sleep(0.005)


def kill_a_worker(process: subprocess.Popen[str]) -> None:
    """Kill one of the processes that have a unit in hand."""

    def killed() -> bool:
        for child in psutil.Process(process.pid).children(recursive=True):
            if title(child).startswith("ray::_CpuActor"):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
                    return True
        return False

    wait_for(killed, process)


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_killed_retry_ends_as_an_undisturbed_run_would(recipe: Path, web: Web) -> None:
    dataset = recipe.parent / "d"
    done("run", recipe)
    assert status(recipe)["outcomes"] == {"http_5xx": len(FLAKY), "ok": PAIRS - len(FLAKY)}
    web.down, web.wait_s = set(), 0.5
    running = start("gather", recipe, "--engine", "ray", "--workers", "2", "--retry", "transient")
    wait_for(lambda: any(dataset.glob("gather/*.r1.json")), running)
    kill_a_worker(running)
    wait_for(lambda: len(list(dataset.glob("gather/*.r1.json"))) > 1, running)
    running.kill()
    running.communicate()
    (retry,) = status(recipe)["retries"]
    assert 0 < retry["pending"] < retry["pairs"] == len(FLAKY)
    done("gather", recipe, "--retry", "transient")
    assert [path.name for path in dataset.glob("gather/layers/*")] == ["0001.json"]
    done("run", recipe)
    found = status(recipe)
    assert (found["outcomes"], found["in_shards"]) == ({"ok": PAIRS}, found["kept"])
    assert {row: web.asked[row] for row in range(PAIRS) if row not in FLAKY} == dict.fromkeys(
        set(range(PAIRS)) - FLAKY, 1
    )
    done("run", recipe, dataset="undisturbed")
    assert shards(dataset) == shards(recipe.parent / "undisturbed")
    assert len(shards(dataset)) > 0


def test_both_attempts_are_in_a_file_that_needs_nothing_else(recipe: Path, web: Web) -> None:
    dataset = recipe.parent / "d"
    done("gather", recipe)
    web.down = {1}
    text = done("gather", recipe, "--retry", "dns,http_5xx")
    assert f"retry         {len(FLAKY)} of {len(FLAKY)} pairs" in text
    done("run", recipe)
    moved = recipe.parent / "moved.duckdb"
    (dataset / "report/default/stats.duckdb").rename(moved)
    dataset.rename(recipe.parent / "gone")
    tried = "SELECT retry_layer, http_status, attempts FROM fetches WHERE row = "
    assert sorted(asked_of(tried + "4", moved)) == [(0, 503, 1), (1, 200, 1)]
    assert sorted(asked_of(tried + "1", moved)) == [(0, 503, 1), (1, 503, 1)]
    assert asked_of(tried + "0", moved) == [(0, 200, 1)]
    assert asked_of("SELECT count(*), count(DISTINCT row) FROM ledger", moved) == [(PAIRS, PAIRS)]
    assert web.asked == {row: 2 if row in FLAKY else 1 for row in range(PAIRS)}


def test_only_images_won_are_embedded(recipe: Path, web: Web) -> None:
    with_model(recipe)
    done("run", recipe)
    first = set((recipe.parent / "d").glob("embed/*/*.json"))
    web.down = set()
    done("gather", recipe, "--retry", "transient")
    attempted = PAIRS + len(FLAKY)
    assert f"embed         {attempted} of {attempted} pairs" in done("embed", recipe)
    later = set((recipe.parent / "d").glob("embed/*/*.json")) - first
    counts = [json.loads(marker.read_text())["counts"]["embedded"] for marker in later]
    assert (len(counts), sum(counts)) == (PAIRS // UNIT, len(FLAKY))


def test_retry_gathers_first_what_is_not_gathered_and_may_find_nothing(
    recipe: Path, web: Web
) -> None:
    web.down = set()
    assert "Nothing to retry." in done("gather", recipe, "--retry", "transient")
    assert status(recipe)["outcomes"] == {"ok": PAIRS}
    assert not (recipe.parent / "d/gather/layers").exists()


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("timout_total", "did you mean `timeout_total`?"), ("ok", "known are 24, such as ")],
)
def test_wrong_name_is_refused_before_anything_is_touched(
    recipe: Path, asked: str, hint: str
) -> None:
    code, text = said("gather", recipe, "--retry", asked)
    assert code == 2
    assert f"--retry: `{asked}` cannot be retried" in text
    assert hint in text
    assert not (recipe.parent / "d").exists()


def test_input_with_its_own_images_has_nothing_to_fetch_again(recipe: Path) -> None:
    put_samples(recipe.parent / "00000.tar", {0: (picture(0), "a picture")})
    recipe.write_text("input: {path: '*.tar'}\n")
    code, text = said("gather", recipe, "--retry", "transient")
    assert code == 2
    assert "holds its own images" in text
