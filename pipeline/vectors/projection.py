"""Projection: image vectors in two dimensions, so that what is like lies near.

Some vectors are drawn by a hash of their rows. Their principal components are where the layout
starts; then each is drawn to its nearest neighbours by cosine and pushed from others drawn at
random, with the forces of UMAP for a = b = 1. It is the same every time on the same machine.

Source: L. McInnes, J. Healy, J. Melville, UMAP: Uniform Manifold Approximation and Projection
(2018), section 3.2; J. Tang et al., Visualizing Large-scale and High-dimensional Data (2016), for
drawing those that push. All neighbours weigh the same here, and all move at once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import reader
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import IMAGE_EMBEDDING

MOST = 10_000  # points
MOST_UNITS = 32  # that are read, evenly spread over the pool
COMPONENTS = 50  # principal ones, in which neighbours are sought
NEIGHBOURS = 15
PUSHING = 20  # others that push a point in a step, for the five per neighbour of UMAP
STEPS = 300
RATE = 0.1
SEED = 0
AT_ONCE = 1024  # points whose neighbours are sought at once
Points = NDArray[np.float32]


class Projected(NamedTuple):
    """Pairs in two dimensions.

    Attributes:
        rows: Of the pairs, ascending, (n,).
        points: Where they lie, (n, 2); the unit means nothing.
        of: How many pairs have vectors.
    """

    rows: NDArray[np.int64]
    points: Points
    of: int


def project(store: Store, folder: str, most: int = MOST) -> Projected:
    """Return at most so many pairs with vectors in a model's folder, in two dimensions.

    Raises:
        Stopped: a file is not what was committed.
    """
    units = reader.units(store, folder)
    total = sum(unit.rows for unit in units)
    count = min(MOST_UNITS, len(units))
    chosen = [units[number * len(units) // count] for number in range(count)]
    there = sum(unit.rows for unit in chosen)
    rows, vectors = [], []
    for unit in chosen:
        of_unit, (matrix,) = reader.read(store, unit, (IMAGE_EMBEDDING,))
        taken = _drawn(of_unit, -(-most * len(of_unit) // max(there, 1)))
        rows.append(of_unit[taken])
        vectors.append(matrix[taken].astype(np.float32))
    every = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    if len(every) < 3:
        return Projected(every, np.zeros((len(every), 2), np.float32), total)
    kept = _drawn(every, most)
    return Projected(every[kept], layout(np.concatenate(vectors)[kept]), total)


def _drawn(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the places of `count` rows, ascending: of the lowest hashes."""
    with np.errstate(over="ignore"):
        hashes = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(32)
    return np.sort(np.argsort(hashes, kind="stable")[:count])


def layout(vectors: Vectors, steps: int = STEPS) -> Points:
    """Return vectors, (n, d), n at least 3, in two dimensions, (n, 2)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    components = principal(vectors / np.maximum(lengths, 1e-12), COMPONENTS)
    near = neighbours(components, min(NEIGHBOURS, len(vectors) - 1))
    start = np.repeat(np.arange(len(near)), near.shape[1])
    edges = np.unique(np.stack([np.r_[start, near.ravel()], np.r_[near.ravel(), start]]), axis=1)
    points = np.zeros((len(vectors), 2))
    points[:, : components.shape[1]] = components[:, :2]
    points *= 10 / max(float(np.abs(points).max()), 1e-12)
    random = np.random.default_rng(SEED)
    for step in range(steps):
        moved = _drawn_to(points, edges) + _pushed(points, random, near.shape[1])
        points += RATE * (1 - step / steps) * moved
    return np.asarray(points - points.mean(axis=0), np.float32)


def principal(vectors: Vectors, count: int) -> Points:
    """Return the first `count` principal components of vectors, (n, d), of each, (n, count)."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :count]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return np.asarray(centred @ (axes * signs), np.float32)


def neighbours(vectors: Vectors, count: int) -> NDArray[np.int64]:
    """Return the places of the nearest others of each by cosine, (n, count), in no order."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    found = np.empty((len(unit), count), np.int64)
    for start in range(0, len(unit), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        cosines = unit[some] @ unit.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        found[some] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return found


def _drawn_to(points: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by how much neighbours draw each point, (n, 2)."""
    start, end = edges
    away = points[end] - points[start]
    away *= (2 / (1 + (away**2).sum(axis=1)))[:, None]
    count = len(points)
    return np.stack([np.bincount(start, away[:, axis], count) for axis in (0, 1)], axis=1)


def _pushed(
    points: NDArray[np.float64], random: np.random.Generator, degree: int
) -> NDArray[np.float64]:
    """Return by how much others push each point, (n, 2)."""
    others = points[random.integers(0, len(points), (len(points), PUSHING))]
    away = points[:, None] - others
    squared = (away**2).sum(axis=2)
    forces = away * (2 / ((0.001 + squared) * (1 + squared)))[:, :, None]
    return np.asarray(np.clip(forces, -4, 4).sum(axis=1) * (5 * degree / PUSHING))
