"""`bench semantic`: what the search for images that show the same costs, and what it finds.

The vectors are drawn: a direction that all share, as CLIP's do (two pictures by chance have a
cosine of about 0.5), one of 5,000 topics (0.75 within one), and each its own. A tenth are copies of
another at a cosine from 0.90 to 1, so some above the threshold and some below.

They are written as task slices of 10,000 rows, as `embed` does, and searched with the serial
engine in a process of its own for each number of probes, whose CPU time and peak memory are
printed. Then a sample is compared with all others, in float64: of each pair at or above the
threshold, one must have been dropped.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.jobs.bench.group import peak_mb
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.candidates import order, ordering
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Embed, Recipe

if TYPE_CHECKING:
    from pairsieve.pipeline.dedup.semantic import Preferred

SLICE_ROWS = 10_000  # of a task slice
TOPICS = 5_000
SHARED, TOPIC, OWN = 0.5, 0.25, 0.25  # parts of a vector's squared length
COPIES = 10  # one in that many is a copy
LEAST_COSINE = 0.9  # of a copy
EDGES = (0.95, 0.96, 0.97, 0.98, 0.99, 1.01)
MODEL = {"model": "ViT-B-32", "pretrained": "openai"}
PREFERRED = "group/preferred.parquet"  # in the dataset


@dataclass(frozen=True, slots=True)
class SemanticBenchmark:
    """What is measured.

    Attributes:
        count: Vectors.
        width: Components of each.
        checked: How many are compared with all others.
        probes: Numbers of probes to search with.
        min_cosine: From which on two are the same.
        seed: Of the vectors.
        folder: Where the dataset is, for the process that searches.
    """

    count: int = 1_000_000
    width: int = 512
    checked: int = 2_000
    probes: tuple[int, ...] = (1, 2)
    min_cosine: float = 0.95
    seed: int = 0
    folder: str = ""


class Cost(NamedTuple):
    """What one search took, and how many vectors were dropped."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    dropped: int


def bench(benchmark: SemanticBenchmark, echo: Callable[[str], None]) -> None:
    """Search with each number of probes, check a sample, and print one table."""
    with tempfile.TemporaryDirectory() as folder:
        echo(f"{benchmark.count:,} vectors of {benchmark.width} ...")
        write_vectors(Store.at(f"{folder}/dataset"), benchmark)
        costs = [cost(benchmark, folder, probes) for probes in benchmark.probes]
        echo(f"{benchmark.checked:,} of them compared with all ...")
        dropped = [np.load(f"{folder}/dropped{probes}.npy") for probes in benchmark.probes]
        recalls = recall(benchmark, dropped)
    _print(benchmark, costs, recalls)
    echo(f"near pairs of the sample: {sum(pairs for _, pairs in recalls[0]):,}")


def _print(
    benchmark: SemanticBenchmark, costs: list[Cost], recalls: list[list[tuple[int, int]]]
) -> None:
    """Print what each number of probes costs, and the recall by cosine."""
    columns = ("probes", "seconds", "CPU-s", "GB", "dropped", "recall")
    spans = [f"{low} to {min(high, 1)}" for low, high in pairwise(EDGES)]
    costly, by_cosine = [], []
    for probes, spent, shares in zip(benchmark.probes, costs, recalls, strict=True):
        settled, pairs = np.sum(shares, axis=0)
        measured = (f"{spent.wall_s:.0f}", f"{spent.cpu_s:.0f}", f"{spent.peak_mb / 1000:.2f}")
        costly.append((probes, *measured, f"{spent.dropped:,}", f"{settled / max(pairs, 1):.3f}"))
        by_cosine.append((probes, *(f"{settled / max(pairs, 1):.3f}" for settled, pairs in shares)))
    title = f"{benchmark.count:,} x {benchmark.width}, cosine {benchmark.min_cosine}"
    print_table(title, columns, costly)
    print_table("Recall by cosine", ("probes", *spans), by_cosine)


def drawn(benchmark: SemanticBenchmark) -> Iterator[NDArray[np.float16]]:
    """Yield the vectors, a task slice at a time; copies are of vectors of the same or the first.

    A task slice depends on its number and the seed alone.
    """
    base = np.random.default_rng(benchmark.seed)
    shared, topics = _units(base, 1, benchmark.width), _units(base, TOPICS, benchmark.width)
    first: NDArray[np.float32] | None = None
    for number, low in enumerate(range(0, benchmark.count, SLICE_ROWS)):
        generator = np.random.default_rng((benchmark.seed, number))
        count = min(SLICE_ROWS, benchmark.count - low)
        topic = topics[generator.integers(0, TOPICS, count)]
        vectors = SHARED**0.5 * shared + TOPIC**0.5 * topic
        vectors += OWN**0.5 * _units(generator, count, benchmark.width)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        first = vectors.copy() if first is None else first
        copies = generator.choice(count, count // COPIES, replace=False)
        sources = (first if number % 2 else vectors)[generator.integers(0, len(first), len(copies))]
        vectors[copies] = _copies(sources, generator)
        yield vectors.astype(np.float16)


def _copies(sources: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a copy of each source, at a random cosine to it."""
    cosines = generator.uniform(LEAST_COSINE, 1, (len(sources), 1)).astype(np.float32)
    away = _units(generator, *sources.shape)
    away -= np.sum(away * sources, axis=1, keepdims=True) * sources
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    vectors = cosines * sources + np.sqrt(1 - cosines**2) * away
    return vectors.astype(np.float32)


def _units(generator: np.random.Generator, count: int, width: int) -> NDArray[np.float32]:
    """Return random vectors of length 1, (count, width)."""
    vectors = generator.standard_normal((count, width), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def write_vectors(store: Store, benchmark: SemanticBenchmark) -> None:
    """Commit the vectors as embedded task slices."""
    folder = f"embed/{model_folder(Embed.model_validate(MODEL))}"
    for number, vectors in enumerate(drawn(benchmark)):
        path = f"{folder}/{number:08d}"
        rows = np.arange(number * SLICE_ROWS, number * SLICE_ROWS + len(vectors))
        kind = pa.list_(pa.float16(), benchmark.width)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=kind)
        with store.writer(f"{path}.bench.vectors.parquet") as sink:
            table = pa.table({ROW.name: rows, IMAGE_EMBEDDING.name: column})
            pq.write_table(table, sink, compression="zstd", use_dictionary=False)
        files = {f"{path}.bench.vectors.parquet": sink.entry()}
        commit(store, f"{path}.json", Marker(len(rows), files, {"embedded": len(rows)}))


def recipe(benchmark: SemanticBenchmark, probes: int) -> Recipe:
    """Return the recipe with the search."""
    rule = {"semantic_duplicate": {"min_cosine": benchmark.min_cosine, "probes": probes}}
    fields = {"input": {"path": "pairs.parquet"}, "embed": MODEL, "keep": [rule]}
    return Recipe.model_validate(fields)


def cost(benchmark: SemanticBenchmark, folder: str, probes: int) -> Cost:
    """Return what a search costs, in a process of its own; it leaves which rows were dropped."""
    job = json.dumps({**asdict(benchmark), "probes": [probes], "folder": folder})
    command = [sys.executable, "-m", "pairsieve.jobs.bench.semantic"]
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: the search failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def measure(benchmark: SemanticBenchmark) -> Cost:
    """Search the dataset in the benchmark's folder and return what it cost."""
    from pairsieve.pipeline.dataset import parted
    from pairsieve.pipeline.dataset.parted import parted_files
    from pairsieve.pipeline.dedup import semantic

    store = Store.at(f"{benchmark.folder}/dataset")
    asked = recipe(benchmark, benchmark.probes[0])
    requested, preferred = semantic.rule(asked), _preferred(store, benchmark.count, asked)
    assert requested
    vectors = semantic.vector_files(store, model_folder(Embed.model_validate(MODEL)))
    wall, cpu = time.perf_counter(), time.process_time()
    starts = np.zeros(1, np.int64)
    marker = semantic.similar(store, Serial(), requested, preferred, vectors, starts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    (file,) = parted_files([marker], 1)
    dropped = np.zeros(benchmark.count, bool)
    dropped[parted.read(store, file, 0)[ROW.name].to_numpy()] = True
    np.save(f"{benchmark.folder}/dropped{benchmark.probes[0]}.npy", dropped)
    return Cost(wall, cpu, peak_mb(), marker.rows)


def _preferred(store: Store, count: int, asked: Recipe) -> "Preferred":
    """Put down in which order images stay, as `group` does."""
    import duckdb

    from pairsieve.pipeline.dedup.semantic import Preferred

    names = ordering(asked.group)
    others = "".join(f", NULL::FLOAT AS {name}" for name in names)
    with duckdb.connect() as connection, store.writer(PREFERRED) as sink:
        table = connection.sql(
            f"SELECT range AS row, format('{{:032x}}', range) AS uid, "
            f"(hash(range) % 1000)::BIGINT AS pixels{others} FROM range({count})"
        ).to_arrow_table()
        pq.write_table(table, sink)
    return Preferred((PREFERRED,), count, order(asked.group))


def recall(
    benchmark: SemanticBenchmark, dropped: list[NDArray[np.bool_]]
) -> list[list[tuple[int, int]]]:
    """Return for each search how many near pairs of a sample it settled, and how many there are.

    By cosine: a pair counts in the last span of EDGES that it reaches.
    """
    sample_rows = np.random.default_rng(benchmark.seed).choice(
        benchmark.count, min(benchmark.checked, benchmark.count), replace=False
    )
    sample_rows.sort()
    sample = _normed(np.concatenate([*_selected(benchmark, sample_rows)]))
    counts = np.zeros((len(dropped), len(EDGES) - 1, 2), np.int64)
    for number, vectors in enumerate(drawn(benchmark)):
        cosines = sample @ _normed(vectors).T
        one, other = np.nonzero(cosines >= benchmark.min_cosine)
        rows, others = sample_rows[one], other + number * SLICE_ROWS
        different = rows != others
        spans = np.searchsorted(EDGES, cosines[one, other][different], "right") - 1
        for counted, without in zip(counts, dropped, strict=True):
            settled = without[rows[different]] | without[others[different]]
            np.add.at(counted, (spans.clip(0), 0), settled)
            np.add.at(counted, (spans.clip(0), 1), 1)
    return [[(int(settled), int(pairs)) for settled, pairs in counted] for counted in counts]


def _selected(
    benchmark: SemanticBenchmark, rows: NDArray[np.int64]
) -> Iterator[NDArray[np.float16]]:
    """Yield the vectors at these rows, a task slice at a time."""
    for number, vectors in enumerate(drawn(benchmark)):
        low = number * SLICE_ROWS
        yield vectors[rows[(rows >= low) & (rows < low + SLICE_ROWS)] - low]


def _normed(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return them in double precision, of length 1."""
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide


if __name__ == "__main__":
    job = json.load(sys.stdin)
    benchmark = SemanticBenchmark(**(job | {"probes": tuple(job["probes"])}))
    print(json.dumps(measure(benchmark)._asdict()))
