"""Two nodes of Ray: what they do together, and what becomes of the work when one leaves."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

SCRIPT = Path(__file__).with_name("two_nodes.py")
PAIRS = 60
PER_S, CONNECTIONS = 12, 4  # that the host sees of the whole job


class Counting(ThreadingHTTPServer):
    """A server that takes its time and notes when it was asked, and how many asked at once."""

    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Slow)
        self.lock = threading.Lock()
        self.asked: list[float] = []
        self.at_once = self.most_at_once = 0


class _Slow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append(time.monotonic())
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(0.3)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Done:
    """What was said by the nodes, and seen by the server."""

    def __init__(self, folder: Path, server: Counting) -> None:
        host = f"http://127.0.0.1:{server.server_port}"
        lines = ["url,text", *(f"{host}/{number},picture {number}" for number in range(PAIRS))]
        (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
        fetch: dict[str, Any] = {
            "user_agent": "test (a@b.example)",
            "allow_networks": ["127.0.0.0/8"],
        }
        fetch |= {"ports": [server.server_port], "retries": 0, "host_failures": 1000}
        fetch |= {"per_host_per_s": PER_S, "per_host_connections": CONNECTIONS}
        recipe = {"input": {"path": "pairs.csv", "unit_pairs": 10}, "fetch": fetch}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
        command = [sys.executable, str(SCRIPT), str(folder / "recipe.yaml")]
        done = subprocess.run(command, env=own | token, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.nodes, self.complete, self.rows = json.loads(done.stdout.splitlines()[-1])
        self.asked, self.most_at_once = sorted(server.asked), server.most_at_once

    def most_within(self, seconds: float) -> int:
        """Return how many requests came within so long, at most."""
        counts = (sum(t <= later < t + seconds for later in self.asked) for t in self.asked)
        return max(counts)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    server = Counting()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Done(tmp_path_factory.mktemp("nodes"), server)
    server.shutdown()
    server.server_close()


def test_a_node_that_joins_late_is_used_and_one_that_leaves_loses_nothing(done: Done) -> None:
    assert (done.nodes, done.complete) == (2, True)


def test_a_host_sees_of_both_nodes_together_what_the_recipe_says(done: Done) -> None:
    assert done.rows == PAIRS
    assert len(done.asked) >= PAIRS  # and what sites declare, once in each process
    assert CONNECTIONS // 2 < done.most_at_once <= CONNECTIONS  # so both have asked at once
    assert done.most_within(1) <= PER_S + 1  # the way here takes one as long as the next, nearly
