"""Does curation pay: the demo web, curated in several ways, a model trained on each, all compared.

Pools are compared by the same seeds, so what differs between two is a difference per seed; its
interval is Student's over the seeds.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from pairsieve.jobs.bench_curation import pools
from pairsieve.jobs.bench_curation.plot import svg
from pairsieve.jobs.bench_curation.pools import BASIC, FULL, RANDOM, RAW, TOP
from pairsieve.jobs.bench_curation.training import Training, figures
from pairsieve.jobs.evaluation import drawn_sets
from pairsieve.jobs.job import Choice
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.evaluation import results
from pairsieve.pipeline.evaluation.results import Row
from pairsieve.pipeline.learning.intervals import Interval, of_repetitions
from pairsieve.schemas.errors import BadOption

POOLS = (RAW, *RANDOM, BASIC, TOP, FULL)
MEASURES = {
    ("kinds", "top_1"): "zero-shot, 10 kinds of shape",
    ("colours", "top_1"): "zero-shot, 11 colours",
    ("scenes", "text_to_image_r1"): "text to image, R@1",
    ("scenes", "image_to_text_r1"): "image to text, R@1",
}
COMPARED = ((FULL, RAW), (FULL, "random_as_full"), (TOP, RAW), (TOP, "random_as_clip_30"))
PLOT = "curation.svg"

Say = Callable[[str], None]
Values = dict[str, dict[tuple[str, str], list[float]]]  # by pool and measure, one per seed


@dataclass(frozen=True, slots=True)
class CurationBenchmark:
    """How much is drawn, trained and evaluated, and where; see the command."""

    folder: Path
    pairs: int
    steps: int
    seeds: int
    scenes: int
    of_class: int
    workers: int
    engine: Choice


def bench(options: CurationBenchmark, say: Say, plots: Path | None) -> Values:
    """Train and compare; print tables in Markdown; return every figure."""
    _claim(options)
    sizes = pools.make(options.folder, options.pairs, options.engine, say)
    sets = options.folder / "sets" / "sets.yaml"
    if not sets.exists():
        say("drawing the evaluation sets")
        drawn_sets.write(sets.parent, options.of_class, options.scenes)
    values = _trained(options, sizes, sets, say)
    for line in (*_table(values, sizes), "", *_differences(values)):
        say(line)
    if plots:
        told = {
            title: {pool: of_repetitions(values[pool][key]) for pool in POOLS}
            for key, title in MEASURES.items()
        }
        plots.mkdir(parents=True, exist_ok=True)
        (plots / PLOT).write_text(svg(told, sizes), encoding="utf-8")
    return values


def _claim(options: CurationBenchmark) -> None:
    """Take the folder for a benchmark of this size, or refuse what else is in it."""
    sign = options.folder / "curation.txt"
    claim = f"{options.pairs} pairs, {options.steps} steps, {options.scenes} scenes, "
    claim += f"{options.of_class} of a class\n"
    if sign.exists() and (other := sign.read_text()) != claim:
        raise BadOption(f"{options.folder}: holds a benchmark of {other.strip()}; name another")
    if not sign.exists() and options.folder.exists() and any(options.folder.iterdir()):
        raise BadOption(f"{options.folder}: is not empty and no such benchmark; name another")
    options.folder.mkdir(parents=True, exist_ok=True)
    sign.write_text(claim)


def _trained(options: CurationBenchmark, sizes: dict[str, int], sets: Path, say: Say) -> Values:
    """Return the figures of every pool and seed; those of selections are kept beside them."""
    store = Store.at(options.folder / "dataset")
    trainings = [
        Training(options.folder, name, sizes[name], seed, options.steps)
        for seed in range(options.seeds)
        for name in POOLS
    ]
    values: Values = {name: {key: [] for key in MEASURES} for name in POOLS}
    with _mapping(options.workers) as mapped:
        done = mapped(partial(figures, sets=sets), trainings)
        for training, rows in zip(trainings, done, strict=True):
            found = {(row["set"], row["measure"]): row["value"] for row in rows}
            for key in MEASURES:
                values[training.name][key].append(found[key])
            told = ", ".join(f"{found[key]:.3f}" for key in MEASURES)
            say(f"trained on `{training.name}`, seed {training.seed}: {told}")
            if marker := store.marker(select_marker(training.name)):
                made = {"selection": marker.extra[results.FINGERPRINT]}
                results.add(store, training.name, [row | made for row in rows])
    return values


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterable[list[Row]]]]:
    """Give what maps in so many processes; one is this one."""
    if workers == 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as processes:
        yield processes.map


def _table(values: Values, sizes: dict[str, int]) -> Iterator[str]:
    yield f"| pool | pairs | {' | '.join(MEASURES.values())} |"
    yield "|---|---|" + "---|" * len(MEASURES)
    for pool in POOLS:
        cells = (_shown(of_repetitions(values[pool][key])) for key in MEASURES)
        yield f"| {pool} | {sizes[pool]:,} | {' | '.join(cells)} |"


def _differences(values: Values) -> Iterator[str]:
    yield f"| difference | {' | '.join(MEASURES.values())} |"
    yield "|---|" + "---|" * len(MEASURES)
    for one, other in COMPARED:
        cells = []
        for key in MEASURES:
            pairs = zip(values[one][key], values[other][key], strict=True)
            cells.append(_shown(of_repetitions([a - b for a, b in pairs]), "+"))
        yield f"| {one} - {other} | {' | '.join(cells)} |"


def _shown(interval: Interval, sign: str = "") -> str:
    value, low, high = (100 * each for each in interval)
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"
