"""The rounds of the search for images that show the same: in clusters of like vectors.

1. `train`: k-means on a sample of the vectors; its centres are put down, so that every task works
   with the same, and from here on all is exact (see `cosine_pairs.py`);
2. `scatter`: the vectors of some files are written in the order of their clusters, that of the
   nearest centre, or of the two nearest;
3. `search`: of each cluster, the best are kept, the others go for one of them.

Each task commits to the dataset. A task of `scatter` holds 100,000 vectors; one of `search` a
stretch of clusters, 250,000 vectors of 512 components or 256 MB if clusters are equal in size. One
cluster is never divided: a million similar images need memory for it, 1 kB each.

A file of `scatter`, little-endian: int64 n; int64 (clusters + 1,) where each cluster begins; int64
(n,) ranks; float16 (n, d) vectors. A rank is a vector's position among all, the best first.

Source: Abbas et al., "SemDeDup" (arXiv:2303.09540), for the method.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums, parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import beside, marker_path, round_folder, task_name
from pairsieve.pipeline.dataset.store import FILES_AT_ONCE, Store
from pairsieve.pipeline.dedup.cosine_pairs import (
    Doubles,
    Halves,
    SimilarPairs,
    similar_pairs,
    squares,
)
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.rounds import Numbered
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW

FEW = 10_000  # vectors that are compared all with all
SCATTERED = 100_000  # vectors of a task
SEARCHED = 250_000
SETTLED = 4_000_000  # ranks whose near pairs are settled together
TRAINED = 64  # vectors of the sample per centre
READ_FOR_SAMPLE = 4  # times the sample: rows of the files that it is drawn from
ROUNDS = 10  # of k-means
SEED = 0
AT_ONCE = 8192  # vectors compared with the centres together
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: spreads row numbers over 64 bits

Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """What all tasks know.

    Attributes:
        store: The dataset.
        folder: Where the rounds are.
        ranks: File of `row` and `rank` of all that take part, by row.
        count: How many they are.
        clusters: How many centres.
        probes: In how many clusters a vector is.
        min_cosine: From which on two are the same.
    """

    store: Store
    folder: str
    ranks: str
    count: int
    clusters: int
    probes: int
    min_cosine: float

    def centres(self) -> Doubles:
        """Return the centres, (clusters, d), of length about 1."""
        (file,) = rounds.files(self.store, round_folder(self.folder, "train"), ".npy")
        with self.store.reader(file) as source:
            return np.asarray(np.load(source)).astype(np.float64)


def clusters_for(count: int) -> int:
    """Return how many clusters cost least, where nobody says: about as many as each has members."""
    return round(count**0.5) if count > FEW else 1


def train(search: Search, item: Numbered[Sequence[str]]) -> Marker:
    """Find the centres, from vectors of these files, and commit them."""
    number, files = item
    commit_path = marker_path(round_folder(search.folder, "train"), task_name(number))
    if done := search.store.marker(commit_path):
        return done
    sample = np.concatenate([_sampled(search, file, len(files)) for file in files])
    made = _centres(sample, search.clusters).astype(np.float16)
    path = beside(commit_path, ".npy")
    with search.store.writer(path) as sink:
        np.save(sink, made)
    return commit(search.store, commit_path, Marker(len(sample), {path: sink.entry()}))


def sampled_files(files: Sequence[tuple[str, int]], clusters: int) -> list[str]:
    """Return files, of those given with their rows, that are enough for the sample of `train`.

    They are drawn by chance, always the same, and given in order.
    """
    order = np.random.default_rng(SEED).permutation(len(files))
    rows = np.cumsum([files[index][1] for index in order])
    enough = int(np.searchsorted(rows, READ_FOR_SAMPLE * TRAINED * clusters)) + 1
    return [files[index][0] for index in sorted(order[:enough].tolist())]


def scatter(search: Search, item: Numbered[Sequence[str]]) -> Marker:
    """Write the vectors of these files in the order of their clusters, and commit."""
    number, files = item
    commit_path = marker_path(round_folder(search.folder, "scatter"), task_name(number))
    if done := search.store.marker(commit_path):
        return done
    parts = [_ranked(search, file) for file in files]
    ranks = np.concatenate([part[1] for part in parts])
    vectors = np.concatenate([part[2] for part in parts])
    assigned = _nearest(vectors, search)
    order = np.argsort(assigned.ravel(), kind="stable")
    rows = order // search.probes
    starts = np.searchsorted(assigned.ravel()[order], np.arange(search.clusters + 1))
    path = beside(commit_path, ".bin")
    with search.store.writer(path) as sink:
        sink.write(np.array([len(rows), vectors.shape[1]], "<i8").tobytes())
        sink.write(starts.astype("<i8").tobytes())
        sink.write(ranks[rows].astype("<i8").tobytes())
        sink.write(vectors[rows].astype("<f2", copy=False).tobytes())
    return commit(search.store, commit_path, Marker(len(ranks), {path: sink.entry()}))


def search_clusters(search: Search, files: Sequence[str], item: tuple[int, int]) -> Marker:
    """Decide the clusters [low, high); commit which vectors go, and for which, by their rank."""
    low, high = item
    commit_path = marker_path(round_folder(search.folder, "search"), task_name(low))
    if done := search.store.marker(commit_path):
        return done
    found, compared = [], 0
    for ranks, vectors in _clusters(search, files, low, high):
        order = np.argsort(ranks)
        near = similar_pairs(vectors[order], search.min_cosine)
        by_rank = ranks[order]
        found.append(SimilarPairs(by_rank[near.gone], by_rank[near.kept], near.cosine))
        compared += len(ranks)
    path = beside(commit_path, parted.SUFFIX)
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    table = pa.table(dict(zip(SimilarPairs._fields, columns, strict=True)))
    parts = parted.split(table, columns[0] // SETTLED, ranges(search.count))
    sink = parted.write(search.store, path, parts)
    marker = Marker(len(table), {path: sink.entry()}, {"compared": compared})
    return commit(search.store, commit_path, marker)


def ranges(count: int) -> int:
    """Return how many ranges of ranks are settled one after the other."""
    return max(1, -(-count // SETTLED))


def _clusters(
    search: Search, files: Sequence[str], low: int, high: int
) -> Iterator[tuple[Ranks, Halves]]:
    """Yield ranks and vectors of each cluster of [low, high)."""

    def read(file: str) -> tuple[Ranks, Ranks, Halves]:
        span = 8 * (high - low + 1)
        head, edges = search.store.read_ranges(file, [0, 16 + 8 * low], [16, span])
        count, width = np.frombuffer(head, "<i8").tolist()
        starts = np.frombuffer(edges, "<i8")
        first, candidates = int(starts[0]), int(starts[-1] - starts[0])
        if not candidates:
            return starts - first, np.empty(0, np.int64), np.empty((0, width), np.float16)
        at = 16 + 8 * (search.clusters + 1)
        offsets = [at + 8 * first, at + 8 * count + 2 * width * first]
        ranks, body = search.store.read_ranges(
            file, offsets, [8 * candidates, 2 * width * candidates]
        )
        vectors = np.frombuffer(body, "<f2").reshape(-1, width)
        return starts - first, np.frombuffer(ranks, "<i8"), vectors

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        parts = [*pool.map(read, files)]
    for cluster in range(high - low):
        spans = [slice(starts[cluster], starts[cluster + 1]) for starts, _, _ in parts]
        yield (
            np.concatenate([part[1][span] for part, span in zip(parts, spans, strict=True)]),
            np.concatenate([part[2][span] for part, span in zip(parts, spans, strict=True)]),
        )


def _nearest(vectors: Halves, search: Search) -> NDArray[np.int32]:
    """Return the nearest clusters of each vector, (n, probes)."""
    near = np.zeros((len(vectors), search.probes), np.int32)
    if search.clusters == 1:
        return near[:, :1]
    centres = search.centres()
    scale = np.sqrt(squares(centres))
    for low in range(0, len(vectors), AT_ONCE):
        high = low + AT_ONCE
        cosines = vectors[low:high].astype(np.float64) @ centres.T / scale
        for probe in range(search.probes):
            best = cosines.argmax(axis=1)
            near[low:high, probe] = best
            cosines[np.arange(len(best)), best] = -np.inf
    return near


def _centres(sample: Halves, clusters: int) -> NDArray[np.float32]:
    """Return the centres of a sample, at most (clusters, d), by k-means on one thread.

    Several threads would add in another order each time, and their centres differ in the last bit.
    """
    import faiss

    points = sample.astype(np.float32)
    clusters = min(clusters, len(points))
    if not clusters:
        return points
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        means: Any = faiss.Kmeans(
            points.shape[1],
            clusters,
            niter=ROUNDS,
            spherical=True,
            seed=SEED,
            min_points_per_centroid=1,
            max_points_per_centroid=len(points),
        )
        means.train(points)
    finally:
        faiss.omp_set_num_threads(before)
    return np.asarray(means.centroids)


def _sampled(search: Search, file: str, files: int) -> Halves:
    """Return the vectors of a file that are in the sample, by row."""
    rows, _, vectors = _ranked(search, file)
    wanted = -(-TRAINED * search.clusters // files)
    mixed = rows.astype(np.uint64) * MIX
    return vectors[np.sort(np.argsort(mixed)[:wanted])]


def _ranked(search: Search, file: str) -> tuple[Ranks, Ranks, Halves]:
    """Return rows, ranks and image vectors of a file, of those that take part."""
    import pyarrow.parquet as pq

    with checksums.open_parquet(search.store, file) as source:
        table = source.read([ROW.name, IMAGE_EMBEDDING.name])
    wide = matrix(table[IMAGE_EMBEDDING.name])
    rows = table[ROW.name].to_numpy()
    if not len(rows):
        return rows, rows, wide
    span = [(ROW.name, ">=", int(rows.min())), (ROW.name, "<=", int(rows.max()))]
    with search.store.reader(search.ranks) as source:
        known = pq.read_table(source, filters=span)
    known_rows, ranks = known[ROW.name].to_numpy(), known["rank"].to_numpy()
    indices = np.searchsorted(known_rows, rows)
    present = np.zeros(len(rows), bool)
    within = indices < len(known_rows)
    present[within] = known_rows[indices[within]] == rows[within]
    return rows[present], ranks[indices[present]], wide[present]
