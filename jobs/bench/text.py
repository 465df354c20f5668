"""`bench text`: what each measure of captions costs, and what its default rule drops.

Everything that a recipe can ask for before the fetch, in batches as in `gather`, on generated
captions and on files of real ones. A labelled file shows how well languages are told. Then what
`group` counts over a pool of generated captions: captions, URLs and hosts, the entries of a
list, captions that are alike, boiler-plate of hosts, rare words; each in a process of its own,
whose peak memory counts everything.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.filters import FILTERS
from pairsieve.filters.base import configured, measured, name_of
from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.language import Language
from pairsieve.filters.order import Phase, ordered
from pairsieve.jobs.bench_contestants.our_text_counts import WHAT
from pairsieve.jobs.bench_data import zipf_captions
from pairsieve.jobs.demo_web import captions, scenes
from pairsieve.pipeline.ledger.rules import Rule, passing
from pairsieve.pipeline.models.token_counts import counter
from pairsieve.schemas.columns import TEXT, URL, Column, arrow_schema
from pairsieve.schemas.errors import BadOption, Stopped, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CLEAN_TEXT, CONTEXT_LENGTH, TOKEN_COUNT

BATCH = 1000  # captions measured together
PASSES = 3  # of which the fastest counts: other work on the machine only adds
ENTRIES = 5000  # of the generated word list
Columns = dict[Column, Any]


@dataclass(frozen=True, slots=True)
class TextBenchmark:
    """What is measured.

    Attributes:
        files: Files of captions, one a line, what follows a tab left out.
        labelled: Files of language, kind and text, parted by tabs, with a header.
        generated: How many captions are made up.
        half: 0 or 1 for the lines of files whose MD5 is even or odd, None for all.
        seed: Of the made-up captions.
        pool: How many pairs the pool has that is counted over; 0 for none.
        entries: How many entries the list has that its captions are matched with.
        only: The one of `WHAT` that is counted; None for all.
    """

    files: tuple[Path, ...]
    labelled: tuple[Path, ...]
    generated: int
    half: int | None
    seed: int
    pool: int
    entries: int
    only: str | None = None


def bench(benchmark: TextBenchmark, echo: Callable[[str], None]) -> None:
    """Measure and print: CPU time per caption and measure, and what default rules drop."""
    counts = _counts(benchmark.only)
    sets = {"generated": made_up(benchmark.generated, benchmark.seed)}
    sets |= {file.name: list(_captions(file, benchmark.half)) for file in benchmark.files}
    with tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(Path(folder), benchmark.seed)
        for name, texts in sets.items():
            _print(name, texts, recipe, echo)
    for file in benchmark.labelled:
        _print_languages(file, benchmark.half, echo)
    if benchmark.pool:
        _print_counts(benchmark, counts, echo)


def _counts(only: str | None) -> Sequence[str]:
    """Return what is to be counted.

    Raises:
        BadOption: nothing is called so.
    """
    if only is None:
        return WHAT
    if only not in WHAT:
        raise BadOption(
            f"--only: nothing that is counted is called `{only}`; {nearest(only, list(WHAT))}"
        )
    return [only]


def _print_counts(
    benchmark: TextBenchmark, counts: Sequence[str], echo: Callable[[str], None]
) -> None:
    """Print what counting over a drawn pool costs."""
    echo(f"pool of {benchmark.pool:,} drawn captions")
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "entries.txt"
        listed.write_text("\n".join(zipf_captions.entries(benchmark.entries, benchmark.seed)))
        zipf_captions.write(Path(folder) / "dataset", benchmark.pool, benchmark.seed)
        for what in counts:
            name = f"{benchmark.entries:,} entries" if what == "entries" else what
            cost = _counted(Path(folder) / "dataset", what, listed)
            if cost["rows"] != benchmark.pool:
                raise Stopped(f"bench: of {benchmark.pool:,} pairs {cost['rows']:,} were counted")
            each = 1e6 * cost["cpu_s"] / benchmark.pool
            echo(
                f"  {name:22} {cost['cpu_s']:7.1f} CPU-s {each:6.2f} us a pair "
                f"{cost['peak_mb']:7.0f} MB"
            )


def _counted(dataset: Path, what: str, entries: Path) -> dict[str, Any]:
    """Count over a dataset in a process of its own; return what it told."""
    command = [sys.executable, "-m", "pairsieve.jobs.bench_contestants.our_text_counts"]
    job = json.dumps({"folder": str(dataset), "what": what, "entries": str(entries)})
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: counting failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def made_up(count: int, seed: int) -> list[str]:
    """Return captions of the demo's scenes."""
    made = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        made.append(captions.true_caption(scenes.random_scene(rng), rng))
    return made


def _captions(file: Path, half: int | None) -> Iterator[str]:
    """Yield the captions of a file, of all lines or of half of them."""
    for line in _lines(file):
        caption = line.partition("\t")[0]
        if caption and (half is None or _half(caption) == half):
            yield caption


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split("\n")


def _half(text: str) -> int:
    """Return the half in which a text is, 0 or 1."""
    return hashlib.md5(text.encode()).digest()[-1] % 2


def _recipe(folder: Path, seed: int) -> Recipe:
    """Return a recipe that asks for all that is measured of texts, with a generated word list."""
    letters = np.random.default_rng(seed).integers(97, 123, (ENTRIES, 6), np.uint8)
    listed = str(folder / "list.txt")
    Path(listed).write_bytes(b"\n".join(row.tobytes() for row in letters))
    return Recipe.model_validate(
        {
            "input": {"path": "p"},
            "embed": {"model": "ViT-B-32", "pretrained": "openai"},
            "text": {"tokens": True, "word_lists": {"generated": listed}, "nouns": listed},
        }
    )


def _print(name: str, texts: Sequence[str], recipe: Recipe, echo: Callable[[str], None]) -> None:
    """Print what the measures cost on some captions, and what the default rules drop."""
    spent, columns = costs(texts, recipe)
    total = sum(spent.values())
    echo(f"{name}: {len(texts):,} captions, {np.mean([len(t) for t in texts]):.0f} characters each")
    echo(f"  {'measure':20} {'us':>7} {'share':>6} {'dropped':>8}")
    dropped = _dropped(columns)
    for measure, took in sorted(spent.items(), key=lambda item: -item[1]):
        rule = f"{dropped[measure]:8.2%}" if measure in dropped else ""
        echo(f"  {measure:20} {took:7.2f} {took / total:6.1%} {rule}")
    echo(f"  {'all together':20} {total:7.2f} us of CPU per caption")


def costs(texts: Sequence[str], recipe: Recipe) -> tuple[dict[str, float], Columns]:
    """Return the CPU time of each measure per caption, us, and all columns measured."""
    first, *_ = _batches(texts)
    _measured(first, recipe, {})  # so that all is loaded
    best: dict[str, float] = {}
    parts: list[Columns] = []
    for _ in range(PASSES):
        spent: dict[str, float] = {}
        parts = [_measured(batch, recipe, spent) for batch in _batches(texts)]
        best = {name: min(took, best.get(name, took)) for name, took in spent.items()}
    columns = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    return {name: 1e6 * took / len(texts) for name, took in best.items()}, columns


def _batches(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    return (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))


def _measured(texts: Sequence[str], recipe: Recipe, spent: dict[str, float]) -> Columns:
    """Return all columns of some captions; add the time of each measure to `spent`, s."""
    columns: Columns = {
        TEXT: np.array(texts, object),
        URL: np.full(len(texts), "http://example.org/", object),
    }

    def timed(name: str, work: Callable[[], Columns]) -> None:
        start = time.process_time()
        columns.update(work())
        spent[name] = spent.get(name, 0.0) + time.process_time() - start

    timed("cleaning", lambda: {CLEAN_TEXT: np.array([cleaned(text) for text in texts], object)})
    timed("tokenizer", lambda: _tokens(texts, recipe))
    for one in ordered(FILTERS).text:
        if measure := configured(one, recipe):
            timed(name_of(type(one)), lambda measure=measure: measured(measure, columns))  # type: ignore[misc]
    return columns


def _tokens(texts: Sequence[str], recipe: Recipe) -> Columns:
    """Return the columns that the model's tokenizer gives."""
    assert recipe.embed
    tokens = counter(recipe.embed)
    counts = np.array([tokens.count(text) for text in texts], np.int32)
    return {TOKEN_COUNT: counts, CONTEXT_LENGTH: np.full(len(texts), tokens.context_length)}


def _dropped(columns: Columns) -> dict[str, float]:
    """Return the share of the captions that the default rule of each measure drops."""
    schema = arrow_schema(columns)
    table = pa.table({c.name: pa.array(values, c.type) for c, values in columns.items()}, schema)
    rules = {
        name_of(type(one)): Rule(name_of(type(one)), one.rule(), False, Phase.TEXT)  # type: ignore[attr-defined]
        for one in ordered(FILTERS).text
        if set(one.writes) <= columns.keys()
    }
    return {name: 1 - float(np.mean(passing(table, [rule]))) for name, rule in rules.items()}


def _print_languages(file: Path, half: int | None, echo: Callable[[str], None]) -> None:
    """Print how many labels are right and how many other texts `[en]` lets in, by kind."""
    lines = [line.split("\t") for line in _lines(file)[1:] if line]
    rows = [line for line in lines if half is None or _half("\t".join(line)) == half]
    columns = measured(Language(), {TEXT: np.array([text for _, _, text in rows], object)})
    table = pa.table({c.name: pa.array(values, c.type) for c, values in columns.items()})
    kept = passing(table, [Rule("language", Language().rule(), False, Phase.TEXT)])
    languages, kinds = (np.array([row[index] for row in rows]) for index in (0, 1))
    right = table["language"].to_numpy(zero_copy_only=False) == languages
    echo(f"{file.name}: {len(rows):,} texts in {len(set(languages))} languages")
    for kind in sorted(set(kinds)):
        of, other = kinds == kind, (kinds == kind) & (languages != "en")
        echo(
            f"  {kind:20} {of.sum():5} {right[of].mean():6.1%} right, "
            f"[en] lets in {kept[other].mean():.1%} of {other.sum()} others"
        )
