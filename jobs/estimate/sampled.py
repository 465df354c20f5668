"""A sample of the pairs, gone through the whole pipeline in a dataset that is deleted again."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from pairsieve.jobs import log
from pairsieve.jobs.estimate.hosts import largest
from pairsieve.jobs.estimate.paces_file import with_paces
from pairsieve.jobs.estimate.unit_bytes import bytes_of_a_unit
from pairsieve.jobs.job import Job
from pairsieve.pipeline import report, run
from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.costs import CPU_S
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, vectors_folder
from pairsieve.pipeline.dataset.stages import GROUP, SELECT, SHARD
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import open_engine
from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.rules import REPEATED, reads_any, rules
from pairsieve.pipeline.ledger.sql import quoted, rows
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.vectors.folders import model_folder, scores_folder
from pairsieve.pipeline.vectors.slice_records import EmbedTime
from pairsieve.schemas.columns import GROUPED
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

SELECTION = "default"
SLICES = 11  # whose CPU time is compared; the first, in which models are loaded, is left out
HOSTS = 5
Spread = tuple[float, float]  # mean and standard deviation
MEASURED = ("fetch_bytes", "image_bytes", "attempts")


@dataclass(frozen=True, slots=True)
class Sampled:
    """What became of the sample.

    Attributes:
        pairs: Of the sample.
        of: Pairs of the input.
        images: Pairs with an image.
        alone: Of these, those to which only rules that compare pairs may say no.
        kept: Survivors.
        comparing: The rules that compare a pair with others, or say how many are kept.
        measured: Mean and deviation over the pairs of each of `MEASURED`; 0 where a pair has none.
        cpu_s: CPU seconds a pair of each task slice, gathered and embedded.
        gpu_s: Seconds that models computed a pair, of each task slice; nothing without a GPU.
        pool_bytes: What the dataset takes without shards.
        units: Units of the sample, and of the input.
        unit_bytes: What each takes in the dataset whatever its pairs.
        shard_bytes: What the shards take.
        hosts: The hosts of the whole input that take longest, how many pairs each has, and how
            many requests per second it sees; nothing where nothing keeps to that.
    """

    pairs: int
    of: int
    images: int
    alone: int
    kept: int
    comparing: tuple[str, ...]
    measured: dict[str, Spread]
    cpu_s: tuple[float, ...]
    gpu_s: tuple[float, ...]
    pool_bytes: int
    units: tuple[int, int]
    unit_bytes: float
    shard_bytes: int
    hosts: tuple[tuple[str, int, float], ...]


def sampled(recipe: Path, pairs: int, folder: Path, paces: Path | None = None) -> Sampled:
    """Fetch, embed, select and pack a sample of so many pairs in a dataset in `folder`.

    The hosts of the file `paces` have the paces that it says.

    Raises:
        BadOption: the recipe asks a model at an endpoint for captions, or cannot be run.
    """
    job = Job(recipe, str(folder / "dataset"))
    job.recipe = with_paces(job.recipe, paces)
    if job.recipe.captions:
        raise BadOption(
            "captions: `estimate` asks no model at an endpoint; leave the section out, with the "
            "rules on its columns"
        )
    unit_pairs = job.recipe.input.unit_pairs
    job.recipe = _with_small_units(job.recipe, pairs)
    plan = job.limited(pairs, sample=True)
    with closing(open_engine("serial")) as engine, job.progress(plan.pairs, engine) as listener:
        costs.since_last()
        run.measure(job.recipe, job.store, engine, plan, listener)
        run.decided(job.recipe, job.store, engine, SELECTION, (GROUP, SELECT, SHARD), listener)
    return _figures(job.recipe, job.store, plan, unit_pairs)


def _with_small_units(recipe: Recipe, pairs: int) -> Recipe:
    """Return the recipe with units of which the sample has several, to see how they differ."""
    units = {"unit_pairs": min(recipe.input.unit_pairs, ceil(pairs / SLICES))}
    return recipe.model_copy(update={"input": recipe.input.model_copy(update=units)})


def _figures(recipe: Recipe, store: Store, plan: Plan, unit_pairs: int) -> Sampled:
    comparing = tuple(r.name for r in rules(recipe) if r.quota or reads_any(r, GROUPED))
    counts = _counts(store, (*comparing, REPEATED.name))
    stages = {cost.stage: cost.bytes for cost in report.stage_costs(recipe, store, SELECTION)}
    shards = stages.pop(SHARD.name, 0)
    cpu_s, gpu_s = _spent(recipe, store)
    of = int((plan.limit or {}).get("of") or plan.pairs)
    return Sampled(
        pairs=plan.pairs,
        of=of,
        images=int(counts["images"]),
        alone=int(counts["alone"]),
        kept=int(counts["kept"]),
        comparing=comparing,
        measured={name: (counts[name], counts[f"{name}_sd"]) for name in MEASURED},
        cpu_s=cpu_s,
        gpu_s=gpu_s if _on_gpu(recipe) else (),
        pool_bytes=sum(stages.values()),
        units=(len(plan.units), ceil(of / unit_pairs)),
        unit_bytes=bytes_of_a_unit(store, (GATHER_FOLDER, *_vector_folders(recipe))),
        shard_bytes=shards,
        hosts=_slowest(recipe, store, plan),
    )


def _slowest(recipe: Recipe, store: Store, plan: Plan) -> tuple[tuple[str, int, float], ...]:
    """Return the hosts that take longest: the largest, and those with a pace of their own."""
    fetch = recipe.fetch
    if fetch is None or fetch.engine != "pairsieve" or not plan.fetch:
        return ()
    found = largest(plan, store, HOSTS, fetch.hosts)
    paced = [(host, pairs, request_rates.limit_of(host, fetch)) for host, pairs in found]
    return tuple(sorted(paced, key=lambda host: -host[1] / host[2])[:HOSTS])


def _counts(store: Store, comparing: Iterable[str]) -> dict[str, float]:
    """Return what the ledger of the sample says of its pairs."""
    others = ", ".join(map(quoted, comparing))
    spreads = ", ".join(
        f"avg(coalesce({name}, 0)) AS {name}, "
        f"coalesce(stddev_samp(coalesce({name}, 0)), 0) AS {name}_sd"
        for name in MEASURED
    )
    with connect(store) as connection:
        attach(connection, store, selection=SELECTION)
        (found,) = rows(
            connection,
            "SELECT count(*) FILTER (outcome = 'ok') AS images, count(*) FILTER (outcome = 'ok' "
            f"AND len(list_filter(failing, lambda r: r NOT IN ({others}))) = 0) AS alone, "
            f"count(*) FILTER (keep) AS kept, {spreads} FROM ledger",
        )
    return found


def _spent(recipe: Recipe, store: Store) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return CPU and model seconds a pair of each task slice, without the first of several."""
    gathered = store.markers(GATHER_FOLDER)
    others = [store.markers(folder) for folder in _vector_folders(recipe)]
    cpu, gpu = [], []
    for name, marker in sorted(gathered.items()):
        every = [marker, *(markers[name] for markers in others if name in markers)]
        cpu.append(sum(one.extra.get(CPU_S, 0.0) for one in every) / marker.rows)
        gpu.append(sum(_model_s(one) for one in every) / marker.rows)
    warm = slice(1 if len(cpu) > 2 else 0, None)
    return tuple(cpu[warm]), tuple(gpu[warm])


def _vector_folders(recipe: Recipe) -> list[str]:
    """Return the folders of markers of vectors and scores."""
    folders = [f for m in recipe.models for f in (model_folder(m), scores_folder(m))]
    return [vectors_folder(folder) for folder in folders]


def _model_s(marker: Marker) -> float:
    return EmbedTime.from_json(marker.extra).model_s


def _on_gpu(recipe: Recipe) -> bool:
    """Return whether a model was run on a GPU."""
    if all(model.device == "cpu" for model in recipe.models):
        return False
    import torch

    found = torch.cuda.is_available()
    if not found:
        log.note("No GPU here: hours of one are not foretold; models take CPU time instead.")
    return bool(found)
