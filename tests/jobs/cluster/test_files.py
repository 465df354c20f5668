"""The files for clusters, each read by the tool that its scheduler's users have, or really run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pairsieve.jobs.cluster.files import NAMES, Kind, Sizes, render
from pairsieve.jobs.recipes.template import template
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.status import status

# In a process of its own: what Ray reads of the environment when it is imported stays.
RAY_CHECK = """
import json, sys
from ray.autoscaler._private.util import prepare_config, validate_config
validate_config(prepare_config(json.load(sys.stdin)))
"""
BIN = Path(sys.executable).parent
# Fields of KubeRay 1.6's API reference that are used.
RAY_JOB = {
    *("entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished"),
    "rayClusterSpec",
}
RAY_CLUSTER = {
    *("rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "authOptions"),
    *("headGroupSpec", "workerGroupSpecs"),
}
GROUP = {"groupName", "minReplicas", "replicas", "maxReplicas", "rayStartParams", "template"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(template())
    return path


def files(kind: Kind, recipe: Path, gpu_nodes: int | None = None) -> dict[str, str]:
    sizes = Sizes(nodes=3, cpus=8, memory_gb=32, gpu_nodes=gpu_nodes)
    return render(kind, recipe, "s3://bucket/a b", "registry.example/pairsieve:1", sizes, "cluster")


def objects(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("gpu_nodes", [0, 2])
def test_kubernetes_takes_what_kuberay_is_given(recipe: Path, gpu_nodes: int) -> None:
    written = files(Kind.KUBERAY, recipe, gpu_nodes)
    config, budget, job = objects(written["kuberay.yaml"])
    (cluster,) = objects(written["raycluster.yaml"])

    assert config["data"]["recipe.yaml"].rstrip() == template().rstrip()
    assert (job["kind"], cluster["kind"]) == ("RayJob", "RayCluster")
    assert set(job["spec"]) == RAY_JOB
    assert cluster["spec"] == job["spec"]["rayClusterSpec"]
    assert set(cluster["spec"]) == RAY_CLUSTER
    groups = cluster["spec"]["workerGroupSpecs"]
    assert [set(group) for group in groups] == [GROUP] * len(groups)
    assert [group["groupName"] for group in groups] == ["cpu", "gpu"][: 1 + bool(gpu_nodes)]
    for template_of in (group["template"] for group in [cluster["spec"]["headGroupSpec"], *groups]):
        pod = {"apiVersion": "v1", "kind": "Pod", **template_of}
        pod["metadata"] = {"name": "a", **pod["metadata"]}
        kubernetes_validate.validate(pod, "1.31", strict=True)
    kubernetes_validate.validate(config, "1.31", strict=True)
    kubernetes_validate.validate(budget, "1.31", strict=True)


def test_the_job_is_the_command_of_the_readme_on_all_nodes(recipe: Path) -> None:
    _, _, job = objects(files(Kind.KUBERAY, recipe)["kuberay.yaml"])
    assert job["spec"]["entrypoint"] == (
        "pairsieve run /etc/pairsieve/recipe.yaml --dataset 's3://bucket/a b' --workers 24"
    )


def test_a_recipe_without_a_model_asks_for_no_gpu(recipe: Path) -> None:
    assert "gpu" in files(Kind.KUBERAY, recipe)["kuberay.yaml"]
    recipe.write_text(template(model=False))
    assert "gpu" not in files(Kind.KUBERAY, recipe)["kuberay.yaml"]
    assert "gpus" not in files(Kind.SLURM, recipe)["pairsieve.sbatch"]


def test_rays_launcher_takes_its_file(recipe: Path) -> None:
    config = yaml.safe_load(files(Kind.RAY, recipe)["ray-cluster.yaml"])
    checked = subprocess.run(
        [sys.executable, "-c", RAY_CHECK], input=json.dumps(config), capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert len(config["provider"]["worker_ips"]) == 3


def test_hadolint_finds_nothing_in_the_dockerfile(recipe: Path) -> None:
    dockerfile = files(Kind.DOCKER, recipe)["Dockerfile"]
    lint = subprocess.run([BIN / "hadolint", "-"], input=dockerfile, capture_output=True, text=True)
    assert (lint.stdout, lint.returncode) == ("", 0)
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
    root = Path(__file__).parents[3]
    assert [name for line in copied for name in line.split() if not (root / name).exists()] == []


@pytest.mark.parametrize("gpu_nodes", [0, 2])
def test_shellcheck_finds_nothing_in_the_batch_script(recipe: Path, gpu_nodes: int) -> None:
    script = files(Kind.SLURM, recipe, gpu_nodes)["pairsieve.sbatch"]
    lint = subprocess.run(
        [BIN / "shellcheck", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert (lint.stdout, lint.returncode) == ("", 0)


def test_the_batch_script_runs_the_recipe_on_two_nodes(tmp_path: Path) -> None:
    """The nodes are two of Ray's on this machine; `srun` starts what it is told to right here."""
    pairs = pa.table({"url": ["http://127.0.0.1:1/a", None], "text": ["one", "two"]})
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    fetch = {"user_agent": "test (a@b.example)", "retries": 0, "ports": [1]}
    fetch["allow_networks"] = ["127.0.0.0/8"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        yaml.safe_dump({"input": {"path": "pairs.parquet", "unit_pairs": 1}, "fetch": fetch})
    )
    stubs = {
        "srun": 'while [[ $1 == --* ]]; do shift; done; echo "$*" >>"$SAID"; exec "$@"',
        "hostname": "echo 127.0.0.1",
        "ray": f'exec {sys.executable} -m ray.scripts.scripts "$@"',
        "pairsieve": f'exec {sys.executable} -c "from pairsieve.jobs.cli import main; main()" "$@"',
    }
    for name, body in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    rendered = render(
        Kind.SLURM, recipe, str(tmp_path / "d"), "image", Sizes(2, 1, 4), str(tmp_path)
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    slurm = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "SAID": str(tmp_path / "said"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }

    done = subprocess.run(
        ["bash", "-c", rendered["pairsieve.sbatch"]],
        env=own | slurm,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    found = status(Store.at(tmp_path / "d"), "default")
    assert found.outcomes == {"no_url": 1, "refused": 1}
    started = (tmp_path / "said").read_text()
    assert sorted(" ".join(line.split()[:3]) for line in started.splitlines()) == [
        f"pairsieve run {recipe}",
        "ray start --block",
        "ray start --head",
    ]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_the_files_that_it_names(kind: Kind, recipe: Path) -> None:
    assert tuple(files(kind, recipe)) == NAMES[kind]
