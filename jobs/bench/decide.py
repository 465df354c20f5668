"""`bench decide`: what deciding costs over a pool of any size, verb by verb.

The pool is drawn (`bench_data/pool.py`): a dataset as `gather` and `embed` leave it. Then the
commands run one after the other, each in a process of its own whose every process counts. Results
of earlier runs on a kept pool are deleted first, so that each is made anew.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pairsieve.jobs.bench_contestants.process_costs import ProcessCost, measured
from pairsieve.jobs.bench_data.pool import Pool, blocklist_entries, build
from pairsieve.jobs.bench_scale.table import Costs, folders_of
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.stages import BLOCKLIST, GROUP, REPORT, SELECT
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe_file import load

VERSION = 3  # of what is drawn
NAME = "bench"  # of the selection
DESCRIPTION, DATASET, LISTED = "pool.json", "dataset", "blocklist.txt"  # in the pool's folder
RULES = (  # with the one below twelve; the threshold on `clip_similarity` is another in `reselect`
    "caption_words: {min_words: 3}",
    "language: {languages: [en, de, fr], min_confidence: 0.3}",
    "size: {min_side_px: 200}",
    "aspect_ratio: {max_ratio: 2}",
    "sharpness: {min_sharpness: 0.5}",
    "low_information: {max_flat: 0.9}",
    "exposure: {min_bright: 80, min_range: 20}",
    "upscaled: {max_factor: 2.5}",
    "duplicate: {max_distance: 4}",
    "nsfw: {max_probability: 0.3}",
    "top_fraction: 0.8, of: clip_similarity",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One command to measure: its name in the table, the verb, which recipe, what is made anew."""

    name: str
    verb: str
    recipe: str
    result: tuple[str, ...]


VERBS = (
    Measured("group", "group", "first", (GROUP.folder,)),
    Measured("select", "select", "first", (SELECT.folder, BLOCKLIST.folder)),
    Measured("reselect", "select", "reselect", (SELECT.folder,)),
    Measured("blocklist", "select", "blocklist", (SELECT.folder, BLOCKLIST.folder)),
    Measured("report", "report", "first", (REPORT.folder,)),
)
NAMES = tuple(each.name for each in VERBS)
RECIPES = {"first": 0.2, "reselect": 0.22, "blocklist": 0.2}  # the least similarity


@dataclass(frozen=True, slots=True)
class DecideBenchmark:
    """What is measured.

    Attributes:
        pool: The pool.
        blocklist_entries: Lines of the blocklist.
        verbs: Names of what is measured, of `NAMES`.
        keep: The folder in which the pool stays; None for one that is deleted.
        workers: Of the engine, where a command has one; None for its default.
        costs: File for what was measured, which `bench scale` reads; None for none.
    """

    pool: Pool
    blocklist_entries: int = 1_000_000
    verbs: tuple[str, ...] = NAMES
    keep: Path | None = None
    workers: int | None = None
    costs: Path | None = None


def parse_verbs(option: str) -> tuple[str, ...]:
    """Return the names in a list with commas, in the order in which they run.

    Raises:
        BadOption: one is not known.
    """
    wanted = [name.strip() for name in option.split(",")]
    for name in wanted:
        if name not in NAMES:
            raise BadOption(f"--verbs: `{name}` is not measured; {nearest(name, list(NAMES))}")
    return tuple(name for name in NAMES if name in wanted)


def bench(benchmark: DecideBenchmark, echo: Callable[[str], None]) -> None:
    """Build the pool unless it is kept, run the verbs and print a row for each.

    Raises:
        BadOption: the folder holds another pool, or something else.
        Stopped: a command fails.
    """
    if benchmark.keep is None:
        with tempfile.TemporaryDirectory(prefix="pairsieve-bench-") as folder:
            _bench(benchmark, Path(folder) / "pool", echo)
    else:
        _bench(benchmark, benchmark.keep, echo)


def _bench(benchmark: DecideBenchmark, folder: Path, echo: Callable[[str], None]) -> None:
    _build(benchmark, folder, echo)
    costs = {}
    for each in VERBS:
        if each.name in benchmark.verbs:
            echo(f"{each.name} ...")
            costs[each.name] = _cost(each, benchmark, folder)
    if benchmark.costs:
        verbs = {name: (c.cpu_s, max(c.driver_mb, c.other_mb)) for name, c in costs.items()}
        found = Costs(benchmark.pool.rows, verbs, folders_of(folder / DATASET))
        benchmark.costs.write_text(found.dumps(), encoding="utf-8")
    _print(benchmark.pool, costs)


def _build(benchmark: DecideBenchmark, folder: Path, echo: Callable[[str], None]) -> None:
    """Make the pool in `folder` unless it is there already."""
    content = {
        "version": VERSION,
        "blocklist_entries": benchmark.blocklist_entries,
        **asdict(benchmark.pool),
    }
    description = json.dumps(content, indent=1)
    if (folder / DESCRIPTION).is_file():
        if (earlier := (folder / DESCRIPTION).read_text()) != description:
            raise BadOption(f"--keep: {folder} holds another pool: {earlier}; name another folder")
        return
    if folder.exists() and any(folder.iterdir()):
        raise BadOption(
            f"--keep: {folder} holds something else than a whole pool; name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    echo(f"drawing {benchmark.pool.rows:,} rows ...")
    began = time.perf_counter()
    for recipe, least in RECIPES.items():
        (folder / f"{recipe}.yaml").write_text(_recipe(recipe, least), encoding="utf-8")
    with (folder / LISTED).open("w", encoding="utf-8") as lines:
        listed = blocklist_entries(benchmark.pool, benchmark.blocklist_entries)
        lines.writelines(f"{line}\n" for line in listed)
    size = build(benchmark.pool, load(folder / "first.yaml"), folder / DATASET)
    (folder / DESCRIPTION).write_text(description)
    seconds = time.perf_counter() - began
    echo(f"{size / 1e9:.2f} GB in {benchmark.pool.units:,} units, drawn in {seconds:.0f} s")


def _recipe(name: str, least: float) -> str:
    """Return a recipe as YAML."""
    keep = "".join(f"  - {{{rule}}}\n" for rule in _rules(least))
    blocklist = f"blocklist: {{files: [{LISTED}]}}\n" if name == "blocklist" else ""
    return (
        "input: {path: pairs.parquet, url: url, text: text}\n"
        "fetch: {user_agent: pairsieve-bench/1.0 (+https://bench.example)}\n"
        "embed: {model: ViT-B-32, pretrained: datacomp_xl_s13b_b90k}\n"
        f"{blocklist}keep:\n{keep}"
    )


def _rules(least: float) -> Iterable[str]:
    """Return the rules of a recipe, each as the inside of a YAML mapping."""
    yield from RULES[:-1]
    yield f"clip_similarity: {{min_similarity: {least}}}"
    yield RULES[-1]


def _cost(each: Measured, benchmark: DecideBenchmark, folder: Path) -> ProcessCost:
    """Delete what the command made before, and return what making it costs."""
    for name in each.result:
        path = folder / DATASET / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    arguments = [each.verb, str(folder / f"{each.recipe}.yaml"), "--dataset", str(folder / DATASET)]
    arguments += ["--name", NAME]
    if benchmark.workers is not None:
        arguments += ["--workers", str(benchmark.workers)]
    return measured(arguments)


def _print(pool: Pool, costs: dict[str, ProcessCost]) -> None:
    """Print a row for each command."""
    rows = [
        (
            name,
            f"{cost.wall_s:.1f}",
            f"{cost.cpu_s:.1f}",
            f"{1e6 * cost.cpu_s / pool.rows:.2f}",
            f"{cost.driver_mb:,.0f}",
            f"{cost.other_mb:,.0f}" if cost.other_mb else "-",
        )
        for name, cost in costs.items()
    ]
    columns = (
        "command",
        "seconds",
        "CPU-s",
        "CPU-us a row",
        "driver MB",
        "largest other MB",
    )
    print_table(f"Deciding on {pool.rows:,} pairs", columns, rows)
