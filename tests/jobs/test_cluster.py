"""Joining a Ray cluster that somebody else has started."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.status import status

COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of cluster and client: a token both know, nothing else of Ray's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return own | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}


@pytest.fixture
def cluster(environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A one-node cluster on loopback: its address and the process that keeps it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    start += ["--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "1"]
    start += ["--num-gpus", "1"]  # Ray takes our word for it: nothing is computed on one
    start += ["--include-dashboard", "false", "--disable-usage-stats"]
    with subprocess.Popen(
        start, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as head:
        assert head.stdout is not None
        said = []
        for line in head.stdout:
            said.append(line)
            if "Ray runtime started" in line:
                break
        else:
            pytest.fail("".join(said))
        yield f"127.0.0.1:{port}", head
        head.terminate()


@pytest.mark.parametrize("way", ["option", "variable"])
def test_run_joins_the_cluster_at_the_address(
    way: str,
    cluster: tuple[str, subprocess.Popen[str]],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    address, head = cluster
    pairs = pa.table({"url": ["http://127.0.0.1:1/a", None], "text": ["one", "two"]})
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    fetch = {
        "user_agent": "test (a@b.example)",
        "allow_networks": ["127.0.0.0/8"],
        "ports": [1],
        "retries": 0,
    }
    recipe = {"input": {"path": "pairs.parquet", "unit_pairs": 1}, "fetch": fetch}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    if way == "variable":
        environment["RAY_ADDRESS"] = address
    options = ["--ray-address", address] if way == "option" else []

    def run(dataset: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "run", str(tmp_path / "recipe.yaml"), *options]
        command += ["--dataset", str(tmp_path / dataset)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    joined = run("joined")
    assert joined.returncode == 0, joined.stderr
    found = status(Store.at(tmp_path / "joined"), "default")
    assert found.outcomes == {"no_url": 1, "refused": 1}
    head.terminate()
    head.wait()
    alone = run("alone")
    assert alone.returncode == 1
    assert f"no Ray cluster answers at {address}" in alone.stderr


def test_two_actors_share_a_gpu_when_each_takes_half(
    cluster: tuple[str, subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    program = """
import os, sys, time
from pairsieve.pipeline.engine.engine import open_engine
engine = open_engine("ray", address=sys.argv[1])
def item(state, number):
    time.sleep(0.2)
    return os.getpid(), state
for gpus in (0, 0.5, 1):
    answers = [answer for _, answer in engine.map_with(os.getpid, item, range(8), gpus)]
    print(gpus, len(set(answers)), all(pid == built for pid, built in answers))
engine.close()
"""
    command = [sys.executable, "-c", program, cluster[0]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "0 1 True\n0.5 2 True\n1 1 True\n", done.stderr
