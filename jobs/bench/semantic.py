"""`bench semantic`: what the search for images that show the same costs, and what it finds.

The vectors are drawn: a direction that all share, as CLIP's do (two pictures by chance have a
cosine of about 0.5), one of 5,000 topics (0.75 within one), and each its own. A tenth are copies of
another at a cosine from 0.90 to 1, so some above the threshold and some below.

They are put down as task slices of 10,000 rows, as `embed` does, and searched with the serial
engine in a process of its own for each number of probes, whose CPU time and peak memory are
printed. Then a sample is compared with all others, in float64: of each pair at or above the
threshold, one must have gone.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.jobs.bench.group import peak_mb
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe

PIECE = 10_000  # rows
TOPICS = 5_000
SHARED, TOPIC, OWN = 0.5, 0.25, 0.25  # parts of a vector's squared length
COPIES = 10  # one in that many is a copy
LEAST_COSINE = 0.9  # of a copy
EDGES = (0.95, 0.96, 0.97, 0.98, 0.99, 1.01)
MODEL = {"model": "ViT-B-32", "pretrained": "openai"}


@dataclass(frozen=True, slots=True)
class Setting:
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
    """What one search took, and how many vectors went."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    gone: int


def bench(setting: Setting, told: Callable[[str], None]) -> None:
    """Search with each number of probes, check a sample, and print one table."""
    with tempfile.TemporaryDirectory() as place:
        told(f"{setting.count:,} vectors of {setting.width} ...")
        put(Store.at(f"{place}/dataset"), setting)
        costs = [cost(setting, place, probes) for probes in setting.probes]
        told(f"{setting.checked:,} of them against all ...")
        gone = [np.load(f"{place}/gone{probes}.npy") for probes in setting.probes]
        found = recall(setting, gone)
    _print(setting, costs, found)
    told(f"near pairs of the sample: {sum(pairs for _, pairs in found[0]):,}")


def _print(setting: Setting, costs: list[Cost], found: list[list[tuple[int, int]]]) -> None:
    """Print what each number of probes costs, and the recall by cosine."""
    columns = ("probes", "seconds", "CPU-s", "GB", "gone", "recall")
    spans = [f"{low} to {min(high, 1)}" for low, high in pairwise(EDGES)]
    costly, by_cosine = [], []
    for probes, spent, shares in zip(setting.probes, costs, found, strict=True):
        met, pairs = np.sum(shares, axis=0)
        measured = (f"{spent.wall_s:.0f}", f"{spent.cpu_s:.0f}", f"{spent.peak_mb / 1000:.2f}")
        costly.append((probes, *measured, f"{spent.gone:,}", f"{met / max(pairs, 1):.3f}"))
        by_cosine.append((probes, *(f"{met / max(pairs, 1):.3f}" for met, pairs in shares)))
    title = f"{setting.count:,} x {setting.width}, cosine {setting.min_cosine}"
    print_table(title, columns, costly)
    print_table("Recall by cosine", ("probes", *spans), by_cosine)


def drawn(setting: Setting) -> Iterator[NDArray[np.float16]]:
    """Yield the vectors, a task slice at a time; copies are of vectors of the same or the first.

    A task slice depends on its number and the seed alone.
    """
    base = np.random.default_rng(setting.seed)
    shared, topics = _units(base, 1, setting.width), _units(base, TOPICS, setting.width)
    first: NDArray[np.float32] | None = None
    for number, low in enumerate(range(0, setting.count, PIECE)):
        generator = np.random.default_rng((setting.seed, number))
        count = min(PIECE, setting.count - low)
        topic = topics[generator.integers(0, TOPICS, count)]
        made = SHARED**0.5 * shared + TOPIC**0.5 * topic
        made += OWN**0.5 * _units(generator, count, setting.width)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        first = made.copy() if first is None else first
        copies = generator.choice(count, count // COPIES, replace=False)
        sources = (first if number % 2 else made)[generator.integers(0, len(first), len(copies))]
        made[copies] = _near(sources, generator)
        yield made.astype(np.float16)


def _near(sources: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a vector near each source, at a random cosine."""
    cosines = generator.uniform(LEAST_COSINE, 1, (len(sources), 1)).astype(np.float32)
    away = _units(generator, *sources.shape)
    away -= np.sum(away * sources, axis=1, keepdims=True) * sources
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    made = cosines * sources + np.sqrt(1 - cosines**2) * away
    return made.astype(np.float32)


def _units(generator: np.random.Generator, count: int, width: int) -> NDArray[np.float32]:
    """Return random vectors of length 1, (count, width)."""
    made = generator.standard_normal((count, width), np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def put(store: Store, setting: Setting) -> None:
    """Commit the vectors as embedded task slices."""
    embed = recipe(setting, 1).embed
    assert embed is not None
    for number, vectors in enumerate(drawn(setting)):
        place = f"embed/{model_folder(embed)}/{number:08d}"
        rows = np.arange(number * PIECE, number * PIECE + len(vectors))
        kind = pa.list_(pa.float16(), setting.width)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=kind)
        with store.writer(f"{place}.bench.vectors.parquet") as sink:
            made = pa.table({ROW.name: rows, IMAGE_EMBEDDING.name: column})
            pq.write_table(made, sink, compression="zstd", use_dictionary=False)
        files = {f"{place}.bench.vectors.parquet": sink.entry()}
        commit(store, f"{place}.json", Marker(len(rows), files, {"embedded": len(rows)}))


def recipe(setting: Setting, probes: int) -> Recipe:
    """Return the recipe that asks for the search."""
    rule = {"semantic_duplicate": {"min_cosine": setting.min_cosine, "probes": probes}}
    asked = {"input": {"path": "pairs.parquet"}, "embed": MODEL, "keep": [rule]}
    return Recipe.model_validate(asked)


def cost(setting: Setting, place: str, probes: int) -> Cost:
    """Return what a search costs, in a process of its own; it leaves which rows went."""
    job = json.dumps({**asdict(setting), "probes": [probes], "folder": place})
    command = [sys.executable, "-m", "pairsieve.jobs.bench.semantic"]
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: the search failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def measure(setting: Setting) -> Cost:
    """Search the dataset in the setting's folder and return what it cost."""
    import duckdb

    from pairsieve.pipeline.dedup import semantic

    store = Store.at(f"{setting.folder}/dataset")
    wall, cpu = time.perf_counter(), time.process_time()
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            CREATE TABLE images AS SELECT range AS row, format('{{:032x}}', range) AS uid,
                hash(range) % 1000 AS pixels
            FROM range({setting.count});
            CREATE TABLE ledger AS
            SELECT row, NULL::FLOAT AS clip_similarity, NULL::INTEGER AS caption_words FROM images;
            CREATE TABLE copies AS
            SELECT row, false AS repeated, NULL::VARCHAR AS duplicate_of FROM images
            """
        )
        semantic.find(connection, recipe(setting, setting.probes[0]), store, Serial())
        found = connection.execute("SELECT row FROM semantic").fetchnumpy()["row"]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    gone = np.zeros(setting.count, bool)
    gone[found] = True
    np.save(f"{setting.folder}/gone{setting.probes[0]}.npy", gone)
    return Cost(wall, cpu, peak_mb(), len(found))


def recall(setting: Setting, gone: list[NDArray[np.bool_]]) -> list[list[tuple[int, int]]]:
    """Return for each search how many near pairs of a sample it settled, and how many there are.

    By cosine: a pair counts in the last span of EDGES that it reaches.
    """
    places = np.random.default_rng(setting.seed).choice(
        setting.count, min(setting.checked, setting.count), replace=False
    )
    places.sort()
    asked = _normed(np.concatenate([*_picked(setting, places)]))
    counts = np.zeros((len(gone), len(EDGES) - 1, 2), np.int64)
    for number, vectors in enumerate(drawn(setting)):
        cosines = asked @ _normed(vectors).T
        one, other = np.nonzero(cosines >= setting.min_cosine)
        rows, others = places[one], other + number * PIECE
        different = rows != others
        spans = np.searchsorted(EDGES, cosines[one, other][different], "right") - 1
        for counted, went in zip(counts, gone, strict=True):
            settled = went[rows[different]] | went[others[different]]
            np.add.at(counted, (spans.clip(0), 0), settled)
            np.add.at(counted, (spans.clip(0), 1), 1)
    return [[(int(met), int(pairs)) for met, pairs in counted] for counted in counts]


def _picked(setting: Setting, places: NDArray[np.int64]) -> Iterator[NDArray[np.float16]]:
    """Yield the vectors at these places, a task slice at a time."""
    for number, vectors in enumerate(drawn(setting)):
        low = number * PIECE
        yield vectors[places[(places >= low) & (places < low + PIECE)] - low]


def _normed(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return them in double precision, of length 1."""
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(measure(Setting(**(given | {"probes": tuple(given["probes"])})))._asdict()))
