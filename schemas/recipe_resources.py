"""The recipe's section on what the processes of each stage take of a machine."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pairsieve.schemas.recipe_base import Section

UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
LEAST_BYTES = 500 * 10**6  # Python with its libraries and what a unit holds
OF_RAY = ("CPU", "GPU", "memory", "object_store_memory")  # names that no label can have


def share_gpu(models: Any, resources: Any) -> Any:
    """Return a model, or a list of them, as written, each with the part of a GPU that it holds.

    Raises:
        ValueError: a model says itself what `resources.embed.gpus` says.
    """
    stage = resources.get("embed") if isinstance(resources, dict) else None
    gpus = stage.get("gpus") if isinstance(stage, dict) else None
    if gpus is None:
        return models
    if isinstance(models, list):
        return [share_gpu(model, resources) for model in models]
    if not isinstance(models, dict):
        return models
    if "num_gpus" in models:
        raise ValueError("resources.embed.gpus: `num_gpus` of a model says it, too; choose one")
    return models | {"num_gpus": gpus}


def _bytes(value: Any) -> Any:
    """Return a size such as `2GB` in bytes.

    Raises:
        ValueError: it is no size, or less than a process needs.
    """
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT]B)", str(value))
    if not found:
        raise ValueError(f"must be a number with MB, GB or TB, such as `2GB`, got {value!r}")
    size = round(float(found[1]) * UNITS[found[2]])
    if size < LEAST_BYTES:
        raise ValueError(f"must be at least 500MB: a process takes so much, got {value!r}")
    return size


def _labels(value: Any) -> Any:
    """Refuse names that Ray has for resources of its own."""
    for name in value if isinstance(value, dict) else ():
        if name in OF_RAY:
            key = {"CPU": "cpus", "GPU": "embed.gpus"}.get(name, "memory")
            raise ValueError(f"`{name}` is Ray's own; say `{key}`")
    return value


Cpus = Annotated[float, Field(ge=0, le=1024, description="CPUs that each holds.")]
Memory = Annotated[
    int | None,
    BeforeValidator(_bytes, str),
    Field(
        description="Memory that each holds, e.g. `2GB`; one that takes more is killed, so that a "
        "picture that eats memory costs one pair, `crashed`."
    ),
]
Labels = Annotated[
    dict[str, Annotated[float, Field(gt=0)]],
    BeforeValidator(_labels),
    Field(description="Custom resources of Ray that each holds, e.g. `{spot: 1}`."),
]


class Held(Section):
    """What each task of a stage holds while it runs."""

    cpus: Cpus = 1
    memory: Memory = None
    labels: Labels = {}


class HeldByModel(Held):
    """What each process of a model holds."""

    cpus: Cpus = 0
    gpus: float | None = Field(
        None, gt=0, le=1, description="GPU, also a part; instead of `num_gpus` in each model."
    )


class Resources(Section):
    """What each process of a stage holds of Ray's nodes, and no more; `--engine serial` has none.

    Where no node has room for a model's processes beside those of gather, they wait for its end.
    """

    gather: Held = Field(Held(), description="Processes that gather; `{cpus, memory, labels}`.")
    embed: HeldByModel = Field(
        HeldByModel(), description="Processes of a model; `{cpus, gpus, memory, labels}`."
    )
    tasks: Held = Field(Held(), description="Every task of all other stages.")
