"""`bench near-duplicates`: how many copies are found, and how many different pictures are joined.

Copies are made of every photograph by the edits of `edits.py`; the recall is the share of them that
are joined with their original. False joins are pictures of `lookalikes.py` that are joined with
another, though no two are the same. Everything is measured as `gather` does and decided as `group`
does; precision is the share of true joins among all joins, of copies and lookalikes together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.centre_hash import CentreHash
from pairsieve.filters.colour import CELLS, LEVELS, Colour
from pairsieve.filters.dhash import Dhash
from pairsieve.filters.orientation_hashes import ORIENTED, OrientationHashes
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.filters.trimmed import Trimmed
from pairsieve.jobs.bench_data.edits import EDITS, ORIENTATIONS, Pixels, jpeg
from pairsieve.jobs.bench_data.lookalikes import lookalikes
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_group import Group

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp")
BATCH = 64  # pictures measured together
VERIFICATIONS = ((), ("dhash",), ("colour",), ("dhash", "colour"))
DISTANCES = tuple(range(11))
STORED = 512  # px, shorter side of the photographs that copies are made of
MIN_SIDE = 32  # px, of a photograph


@dataclass(frozen=True, slots=True)
class NearDuplicatesBenchmark:
    """What is measured.

    Attributes:
        folders: Photographs, also in folders below.
        edited: A folder of pictures that are all edits of the first by name; None for none.
        pictures: How many different pictures are drawn.
        seed: Of the drawing.
    """

    folders: Sequence[Path]
    edited: Path | None = None
    pictures: int = 10_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pictures:
    """The features of pictures, and what each is: the kind of edit, or of lookalike."""

    features: Any
    kinds: NDArray[np.str_]


def bench(benchmark: NearDuplicatesBenchmark, echo: Callable[[str], None]) -> None:
    """Measure recall and false joins, and print both tables."""
    photographs = [pixels for folder in benchmark.folders for pixels in read_pictures(folder)]
    if not photographs:
        raise BadOption("bench near-duplicates: no photographs; say where with --folder")
    echo(f"editing {len(photographs)} photographs ...")
    copies = measure(_edited(photographs, benchmark.edited))
    echo(f"drawing {benchmark.pictures:,} pictures ...")
    others = measure(lookalikes(benchmark.pictures, benchmark.seed))
    _print_overall(copies, others)
    _print_edits(copies)
    echo(f"{len(copies.kinds):,} pictures with their copies, {len(others.kinds):,} lookalikes")


def read_pictures(folder: Path) -> Iterator[Pixels]:
    """Yield the pictures in a folder, by name, with shorter sides of at most 512 px."""
    from PIL import Image

    from pairsieve.pipeline.image.area_resize import reduced

    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        scale = min(1.0, STORED / min(height, width))
        if min(height, width) >= MIN_SIDE:
            yield reduced(pixels, round(width * scale), round(height * scale))


def _edited(photographs: Iterable[Pixels], edited: Path | None) -> Iterator[tuple[str, Pixels]]:
    """Yield (kind, pixels): each original, then its edits."""
    for pixels in photographs:
        yield "original", pixels
        for kind, edits in EDITS.items():
            for name, edit in edits.items():
                yield f"{kind} {name}", edit(pixels)
        for name, edit in ORIENTATIONS.items():
            yield name, edit(pixels)
    for index, pixels in enumerate(read_pictures(edited) if edited else ()):
        yield "published edits" if index else "original", pixels


def measure(pictures: Iterable[tuple[str, Pixels]]) -> Pictures:
    """Return the features of pictures, each served as a JPEG and decoded as `gather` does."""
    kinds: list[str] = []
    parts: list[list[NDArray[Any]]] = []
    batch: list[Picture] = []
    for kind, pixels in pictures:
        decoded = picture(jpeg(pixels), recipe.Image())
        # Our own JPEG decodes; with one rejected the recall would be that of fewer copies.
        assert isinstance(decoded, Picture)
        kinds.append(kind)
        batch.append(decoded)
        if len(batch) == BATCH:
            parts.append(_signals(batch))
            batch = []
    parts.append(_signals(batch))
    signals = [np.concatenate(part) for part in zip(*parts, strict=True)]
    return Pictures(_features(*signals), np.array(kinds))


def _features(
    upright: Any, dhashes: Any, oriented: Any, colours: Any, centres: Any, trimmed: Any, inside: Any
) -> Any:
    """Return what `group` compares, given what `gather` measures of pictures."""
    from pairsieve.pipeline.dedup.features import (
        HAS_CENTRE,
        HAS_TRIMMED,
        IS_PLAIN,
        IS_TRIMMED_PLAIN,
        Features,
        oriented_cells,
        plain_pictures,
    )

    known = np.full(len(upright), 7 | HAS_CENTRE, np.uint8)
    known |= plain_pictures(colours).astype(np.uint8) * np.uint8(IS_PLAIN)
    known |= trimmed.any(axis=1).astype(np.uint8) * np.uint8(HAS_TRIMMED)
    known |= plain_pictures(inside).astype(np.uint8) * np.uint8(IS_TRIMMED_PLAIN)
    return Features(
        np.column_stack((upright, oriented[:, ::2])),
        np.column_stack((dhashes, oriented[:, 1::2])),
        colours,
        np.empty((len(upright), 0), np.float32),
        known,
        trimmed,
        inside,
        centres,
        oriented_cells(list(ORIENTED.values()), CELLS),
    )


def _signals(batch: list[Picture]) -> list[NDArray[Any]]:
    """Return hashes and colours of decoded pictures, zeros inside borders where there is none."""
    planes, colours = np.empty(len(batch), object), np.empty(len(batch), object)
    for index, each in enumerate(batch):
        planes[index], colours[index] = each.luma_256, each.colours
    orientations = np.array([list(ORIENTED)] * len(batch)).reshape(len(batch), len(ORIENTED))
    return [
        PerceptualHash().measure(planes),
        Dhash().measure(planes),
        OrientationHashes().measure(planes, orientations),
        Colour().measure(colours),
        CentreHash().measure(planes),
        *_inside(batch),
    ]


def _inside(batch: list[Picture]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return hashes, (n, 2), and colours, (n, 75), inside the borders of pictures that have any."""
    hashes, levels = np.zeros((len(batch), 2), np.uint64), np.zeros((len(batch), LEVELS), np.uint8)
    bordered = [index for index, each in enumerate(batch) if each.trimmed_luma is not None]
    planes, colours = np.empty(len(bordered), object), np.empty(len(bordered), object)
    planes[:] = [batch[index].trimmed_luma for index in bordered]
    colours[:] = [batch[index].trimmed_colours for index in bordered]
    hashes[bordered], levels[bordered] = Trimmed().measure(planes, colours)
    return hashes, levels


def limits(distance: int, verify: tuple[str, ...]) -> Any:
    """Return the limits of two similar pictures, with the default thresholds."""
    from pairsieve.pipeline.dedup.features import SIGNALS, Limits

    default = Group()
    uses = sum(1 << SIGNALS.index(signal) for signal in verify)
    return Limits(distance, default.max_dhash, default.max_colour, default.min_embedding, uses)


def detected(copies: Pictures, distance: int, verify: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which pictures are joined with the last original before them, (n,).

    Only the mirrored and rotated ones are compared in every orientation.
    """
    from pairsieve.pipeline.dedup.star_clusters import are_similar

    indices = np.arange(len(copies.kinds))
    originals = np.maximum.accumulate(np.where(copies.kinds == "original", indices, 0))
    thresholds = limits(distance, verify)
    upright = copies.features._replace(
        hashes=copies.features.hashes[:, :1], dhashes=copies.features.dhashes[:, :1]
    )
    oriented = np.isin(copies.kinds, list(ORIENTATIONS))
    similar = [
        are_similar(features, thresholds, originals, indices)
        for features in (upright, copies.features)
    ]
    return np.where(oriented, similar[1], similar[0])


def false_joins(others: Pictures, distance: int, verify: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which pictures are joined with another as its copies, (n,), all compared upright."""
    from pairsieve.pipeline.dedup.star_clusters import star_clusters

    labels = _components(others.features, distance)
    order = np.lexsort((np.arange(len(labels)), labels))
    ends = np.flatnonzero(np.diff(labels[order], append=-1)) + 1
    upright = others.features._replace(
        hashes=others.features.hashes[:, :1], dhashes=others.features.dhashes[:, :1]
    )
    keepers, _ = star_clusters(upright.take(order), limits(distance, verify), ends)
    joined = np.zeros(len(labels), bool)
    joined[order] = keepers != np.arange(len(labels))
    return joined


def _components(features: Any, distance: int) -> NDArray[np.int64]:
    """Return the smallest position, (n,), in the component of each picture, upright."""
    from pairsieve.pipeline.dedup.features import HAS_TRIMMED
    from pairsieve.pipeline.hamming.components import components_of_images

    every = np.arange(len(features.known))
    bordered = np.flatnonzero(features.known & HAS_TRIMMED)
    images = np.concatenate((every, every, bordered))
    hashes = (features.hashes[:, 0], features.centres, features.trimmed[bordered, 0])
    return components_of_images(np.concatenate(hashes), images, len(every), distance)


def _label(verify: tuple[str, ...]) -> str:
    return " + ".join(verify) or "none"


def _print_overall(copies: Pictures, others: Pictures) -> None:
    """Print recall, false joins and precision per distance and verification."""
    edits = (copies.kinds != "original") & ~np.isin(copies.kinds, list(ORIENTATIONS))
    rows = []
    for distance in DISTANCES:
        for verify in VERIFICATIONS:
            joined = detected(copies, distance, verify)[edits]
            wrong = false_joins(others, distance, verify)
            counts = [int(wrong[others.kinds == kind].sum()) for kind in np.unique(others.kinds)]
            share = joined.sum() / max(1, joined.sum() + wrong.sum())
            recall = f"{joined.mean():.3f}"
            rows.append((distance, _label(verify), recall, *counts, f"{share:.4f}"))
    kinds = [f"false: {kind}s" for kind in np.unique(others.kinds)]
    title = f"{edits.sum():,} copies, {len(others.kinds):,} different pictures"
    print_table(title, ("distance", "verify", "recall", *kinds, "precision"), rows)


def _print_edits(copies: Pictures) -> None:
    """Print the recall per edit, at distances 4 and 10, unverified and verified."""
    settings = [(d, verify) for d in (4, 10) for verify in (VERIFICATIONS[0], VERIFICATIONS[-1])]
    columns = [detected(copies, *each) for each in settings]
    rows = [
        (kind, *(f"{column[copies.kinds == kind].mean():.2f}" for column in columns))
        for kind in dict.fromkeys(copies.kinds.tolist())
        if kind != "original"
    ]
    titles = [f"{distance}, {_label(verify)}" for distance, verify in settings]
    print_table("Recall per edit", ("edit", *titles), rows)
