"""Whether a machine has what the recipe says that each process holds, before any work."""

import os

from pairsieve.pipeline.engine.memory_cap import machine_bytes
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_resources import UNITS, Resources

ELSEWHERE = "a cluster may have it: `--ray-address`"


def check_here(resources: Resources, workers: int | None) -> None:
    """Refuse what a Ray on this machine alone could never give: it would wait without end.

    Raises:
        BadOption: a process is to hold more than there is.
    """
    cpus, memory = workers or os.cpu_count() or 1, machine_bytes()
    for stage in type(resources).model_fields:
        held, key = getattr(resources, stage), f"resources.{stage}"
        if held.cpus > cpus:
            raise BadOption(
                f"{key}.cpus: at most {cpus}, which is what there are (`--workers`), got "
                f"{held.cpus:g}; {ELSEWHERE}"
            )
        if (held.memory or 0) > memory:
            raise BadOption(
                f"{key}.memory: at most {memory / UNITS['GB']:.1f}GB, which this machine has, got "
                f"{held.memory / UNITS['GB']:g}GB; {ELSEWHERE}"
            )
        if held.labels:
            raise BadOption(
                f"{key}.labels: a Ray of this machine alone has none, got `{min(held.labels)}`; "
                f"{ELSEWHERE}"
            )
