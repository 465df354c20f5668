"""The files with which a cluster runs pairsieve, filled in from a recipe and the sizes of nodes."""

import shlex
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from pairsieve.schemas.recipe_file import load

IN_IMAGE = "/etc/pairsieve/recipe.yaml"


class Kind(StrEnum):
    """What schedules the nodes; `docker`: the image that they run."""

    DOCKER = "docker"
    KUBERAY = "kuberay"
    RAY = "ray"
    SLURM = "slurm"


NAMES = {
    Kind.DOCKER: ("Dockerfile", "Dockerfile.dockerignore"),
    Kind.KUBERAY: ("kuberay.yaml", "raycluster.yaml"),
    Kind.RAY: ("ray-cluster.yaml",),
    Kind.SLURM: ("pairsieve.sbatch",),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a cluster: its nodes, and what each has."""

    nodes: int
    cpus: int
    memory_gb: int
    gpu_nodes: int | None = None  # of them, with one GPU each; None: one if the recipe embeds


def render(
    kind: Kind, recipe: Path, dataset: str, image: str, sizes: Sizes, folder: str
) -> dict[str, str]:
    """Return the files of a kind of cluster, by name.

    Args:
        kind: What schedules the nodes; `docker`: the image that they run.
        recipe: The recipe; it becomes part of what Kubernetes gets.
        dataset: Path or URL of the dataset that every node sees.
        image: Name of the image.
        sizes: How many nodes, and of what size.
        folder: Where the files will be, as the comments in them say.

    Raises:
        BadOption: the recipe is wrong.
    """
    loaded = load(recipe)
    gpu_nodes = sizes.gpu_nodes if sizes.gpu_nodes is not None else int(bool(loaded.embed))
    path = str(recipe.resolve()) if kind == Kind.SLURM else IN_IMAGE
    command = ["pairsieve", "run", path, "--dataset", dataset]
    command += ["--workers", str(sizes.nodes * sizes.cpus)]  # more than the CPUs of the first nodes
    values: dict[str, Any] = {
        "written_by": f"Written by `pairsieve cluster files --kind {kind}`.",
        "command": shlex.join(command),
        "recipe": recipe.read_text(encoding="utf-8").rstrip(),
        "recipe_path": str(recipe.resolve()),
        "image": image,
        "folder": folder,
        "nodes": sizes.nodes,
        "cpus": sizes.cpus,
        "memory_gb": sizes.memory_gb,
        "gpu_nodes": gpu_nodes,
        "ray_version": version("ray"),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pairsieve.jobs.cluster"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    macros: Any = environment.get_template("macros.j2").make_module(values)
    values["pod"] = macros.pod_of
    values["cluster_spec"] = environment.get_template("cluster_spec.j2").render(values).rstrip()
    return {name: environment.get_template(_template(name)).render(values) for name in NAMES[kind]}


def _template(name: str) -> str:
    return "dockerignore.j2" if name.endswith("ignore") else f"{name}.j2"
