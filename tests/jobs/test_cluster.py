"""Joining a Ray cluster that somebody else has started."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.ports import free_port

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.status import status

COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of cluster and client: a token both know, nothing else of Ray's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return own | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[str]:
    """The address of a one-node cluster on loopback."""
    port = free_port()
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
        yield f"127.0.0.1:{port}"
        head.terminate()


def run(
    way: str, address: str, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run two pairs on the cluster at the address, which an option or a variable says."""
    pairs = pa.table({"url": ["http://127.0.0.1:1/a", None], "text": ["one", "two"]})
    pq.write_table(pairs, folder / "pairs.parquet")
    fetch = {
        "user_agent": "test (a@b.example)",
        "allow_networks": ["127.0.0.0/8"],
        "ports": [1],
        "retries": 0,
    }
    recipe = {"input": {"path": "pairs.parquet", "unit_pairs": 1}, "fetch": fetch}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    variable = {"RAY_ADDRESS": address} if way == "variable" else {}
    command = [*COMMAND, "run", str(folder / "recipe.yaml"), "--dataset", str(folder / "d")]
    command += ["--ray-address", address] if way == "option" else []
    return subprocess.run(command, env=environment | variable, capture_output=True, text=True)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_run_joins_the_cluster_at_the_address(
    way: str, cluster: str, environment: dict[str, str], tmp_path: Path
) -> None:
    joined = run(way, cluster, environment, tmp_path)
    assert joined.returncode == 0, joined.stderr
    found = status(Store.at(tmp_path / "d"), "default")
    assert found.outcomes == {"no_url": 1, "refused": 1}


@pytest.mark.parametrize("way", ["option", "variable"])
def test_run_stops_where_no_cluster_answers(
    way: str, environment: dict[str, str], tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    alone = run(way, address, environment, tmp_path)
    assert alone.returncode == 1
    assert f"no Ray cluster answers at {address}" in alone.stderr


def test_two_actors_share_a_gpu_when_each_takes_half(
    cluster: str, environment: dict[str, str], tmp_path: Path
) -> None:
    program = """
import os, sys, time
from functools import partial
from pathlib import Path
from pairsieve.pipeline.engine.engine import open_engine
engine = open_engine("ray", address=sys.argv[1])
def item(folder, wanted, state, number):
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < wanted:
        time.sleep(0.01)
    return os.getpid(), state
for gpus, wanted in ((0, 1), (0.5, 2), (1, 1)):
    work = partial(item, Path(sys.argv[2], str(gpus)), wanted)
    answers = [answer for _, answer in engine.map_with(os.getpid, work, range(8), gpus)]
    print(gpus, len(set(answers)), all(pid == built for pid, built in answers))
engine.close()
"""
    command = [sys.executable, "-c", program, cluster, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "0 1 True\n0.5 2 True\n1 1 True\n", done.stderr
