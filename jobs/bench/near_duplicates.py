"""`bench copies`: how many copies are found, and how many different pictures are taken for copies.

Copies are made of every photograph by the edits of `edits.py`; the recall is the share of them that
are joined with their original. False joins are those of `strangers.py`: pictures that another one
takes, though no two are the same. Everything is measured as `gather` does and decided as `group`
does; precision is the share of true joins among all joins, of copies and strangers together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.colour import CELLS, Colour
from pairsieve.filters.dhash import Dhash
from pairsieve.filters.orientation_hashes import ORIENTED, OrientationHashes
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.jobs.bench_data.edits import EDITS, TURNS, Pixels, jpeg
from pairsieve.jobs.bench_data.lookalikes import strangers
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
LEAST_SIDE = 32  # px, of a photograph


@dataclass(frozen=True, slots=True)
class Setting:
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
class Measured:
    """The looks of pictures, and what each is: the kind of edit, or of stranger."""

    looks: Any
    kinds: NDArray[np.str_]


def bench(setting: Setting, told: Callable[[str], None]) -> None:
    """Measure recall and false joins, and print both tables."""
    photographs = [pixels for folder in setting.folders for pixels in opened(folder)]
    if not photographs:
        raise BadOption("bench copies: no photographs; say where with --folder")
    told(f"editing {len(photographs)} photographs ...")
    copies = measured(_edited(photographs, setting.edited))
    told(f"drawing {setting.pictures:,} pictures ...")
    others = measured(strangers(setting.pictures, setting.seed))
    _print_overall(copies, others)
    _print_edits(copies)
    told(f"{len(copies.kinds):,} pictures with their copies, {len(others.kinds):,} strangers")


def opened(folder: Path) -> Iterator[Pixels]:
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
        if min(height, width) >= LEAST_SIDE:
            yield reduced(pixels, round(width * scale), round(height * scale))


def _edited(photographs: Iterable[Pixels], edited: Path | None) -> Iterator[tuple[str, Pixels]]:
    """Yield (kind, pixels): each original, then its edits."""
    for pixels in photographs:
        yield "original", pixels
        for kind, edits in EDITS.items():
            for name, edit in edits.items():
                yield f"{kind} {name}", edit(pixels)
        for name, edit in TURNS.items():
            yield name, edit(pixels)
    for place, pixels in enumerate(opened(edited) if edited else ()):
        yield "published edits" if place else "original", pixels


def measured(pictures: Iterable[tuple[str, Pixels]]) -> Measured:
    """Return the looks of pictures, each served as a JPEG and decoded as `gather` does."""
    from pairsieve.pipeline.dedup.star_clusters import Looks, turned_cells

    kinds: list[str] = []
    parts: list[list[NDArray[Any]]] = []
    batch: list[Picture] = []
    for kind, pixels in pictures:
        made = picture(jpeg(pixels), recipe.Image())
        assert isinstance(made, Picture)
        kinds.append(kind)
        batch.append(made)
        if len(batch) == BATCH:
            parts.append(_signals(batch))
            batch = []
    parts.append(_signals(batch))
    upright, dhashes, turned, colours = (np.concatenate(part) for part in zip(*parts, strict=True))
    count = len(kinds)
    looks = Looks(
        np.column_stack((upright, turned[:, ::2])),
        np.column_stack((dhashes, turned[:, 1::2])),
        colours,
        np.empty((count, 0), np.float32),
        np.full(count, 7, np.uint8),
        turned_cells(list(ORIENTED.values()), CELLS),
    )
    return Measured(looks, np.array(kinds))


def _signals(batch: list[Picture]) -> list[NDArray[Any]]:
    """Return pHash, dhash, turned hashes and colours of decoded pictures."""
    planes, colours = np.empty(len(batch), object), np.empty(len(batch), object)
    for place, made in enumerate(batch):
        planes[place], colours[place] = made.luma_256, made.colours
    turns = np.array([list(ORIENTED)] * len(batch)).reshape(len(batch), len(ORIENTED))
    return [
        PerceptualHash().measure(planes),
        Dhash().measure(planes),
        OrientationHashes().measure(planes, turns),
        Colour().measure(colours),
    ]


def limits(distance: int, verify: tuple[str, ...]) -> Any:
    """Return what alike means with the default thresholds."""
    from pairsieve.pipeline.dedup.star_clusters import SIGNALS, Limits

    default = Group()
    uses = sum(1 << SIGNALS.index(signal) for signal in verify)
    return Limits(distance, default.max_dhash, default.max_colour, default.min_embedding, uses)


def found(copies: Measured, distance: int, verify: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which pictures are alike to the last original before them, (n,); turned if it says."""
    from pairsieve.pipeline.dedup.star_clusters import pairs_alike

    places = np.arange(len(copies.kinds))
    originals = np.maximum.accumulate(np.where(copies.kinds == "original", places, 0))
    asked = limits(distance, verify)
    upright = copies.looks._replace(
        hashes=copies.looks.hashes[:, :1], dhashes=copies.looks.dhashes[:, :1]
    )
    turned = np.isin(copies.kinds, list(TURNS))
    alike = [pairs_alike(looks, asked, originals, places) for looks in (upright, copies.looks)]
    return np.where(turned, alike[1], alike[0])


def false_joins(others: Measured, distance: int, verify: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which pictures another takes for its copies, (n,), all compared upright."""
    from pairsieve.pipeline.dedup.star_clusters import stars
    from pairsieve.pipeline.hamming.components import components

    labels = components(np.ascontiguousarray(others.looks.hashes[:, 0]), distance)
    order = np.lexsort((np.arange(len(labels)), labels))
    ends = np.flatnonzero(np.diff(labels[order], append=-1)) + 1
    upright = others.looks._replace(
        hashes=others.looks.hashes[:, :1], dhashes=others.looks.dhashes[:, :1]
    )
    keepers, _ = stars(upright.take(order), limits(distance, verify), ends)
    taken = np.zeros(len(labels), bool)
    taken[order] = keepers != np.arange(len(labels))
    return taken


def _named(verify: tuple[str, ...]) -> str:
    return " + ".join(verify) or "none"


def _print_overall(copies: Measured, others: Measured) -> None:
    """Print recall, false joins and precision per distance and verification."""
    edits = (copies.kinds != "original") & ~np.isin(copies.kinds, list(TURNS))
    rows = []
    for distance in DISTANCES:
        for verify in VERIFICATIONS:
            joined = found(copies, distance, verify)[edits]
            wrong = false_joins(others, distance, verify)
            counts = [int(wrong[others.kinds == kind].sum()) for kind in np.unique(others.kinds)]
            share = joined.sum() / max(1, joined.sum() + wrong.sum())
            recall = f"{joined.mean():.3f}"
            rows.append((distance, _named(verify), recall, *counts, f"{share:.4f}"))
    kinds = [f"false: {kind}s" for kind in np.unique(others.kinds)]
    title = f"{edits.sum():,} copies, {len(others.kinds):,} different pictures"
    print_table(title, ("distance", "verify", "recall", *kinds, "precision"), rows)


def _print_edits(copies: Measured) -> None:
    """Print the recall per edit, at distances 4 and 10, unverified and verified."""
    asked = [(d, verify) for d in (4, 10) for verify in (VERIFICATIONS[0], VERIFICATIONS[-1])]
    answers = [found(copies, *each) for each in asked]
    rows = [
        (kind, *(f"{answer[copies.kinds == kind].mean():.2f}" for answer in answers))
        for kind in dict.fromkeys(copies.kinds.tolist())
        if kind != "original"
    ]
    heads = [f"{distance}, {_named(verify)}" for distance, verify in asked]
    print_table("Recall per edit", ("edit", *heads), rows)
