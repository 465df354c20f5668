"""Near-duplicates: which images are the same, and which of them is the one to keep.

Two images may belong together if their files are equal or their pHashes differ in at most the
`max_distance` of the recipe's `duplicate` rule; a chain of such likenesses is a component, which
the search finds. In it, the best by `group.prefer` is a keeper and takes every image that is near
its own and passes for the same by the signals of `group.verify`; the best of those left over is the
next keeper, and so on (`star_clusters.py`). With `clusters: chain` it takes what verified
likenesses connect. Equal files are always together, wherever the better of their pairs goes.

A pair that stands in several units of the input is kept once, in its first row with an image; only
such rows can be keepers, so a cluster that has none points nowhere. The keeper does not depend on
the other rules: with thresholds moved, the clusters stay. The price is that a keeper which another
rule drops takes its copies along. One image under several captions is several copies, and one of
them is kept; with `captions: all_as_list` it has the other captions as a list.

A task decides a partition of the components, each of them whole: so a component of millions needs
the memory for it, 600 bytes each.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.base import checker_of
from pairsieve.filters.duplicate import Duplicate
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dedup.candidates import AGAIN, Candidates, candidates, ordered
from pairsieve.pipeline.dedup.keys import Ints, Rounds, by_block
from pairsieve.schemas.columns import (
    CAPTIONS,
    CAPTIONS_RANKED,
    CLIP_SIMILARITY,
    CLUSTER,
    COPIES,
    DUPLICATE_COLOUR,
    DUPLICATE_DHASH,
    DUPLICATE_DISTANCE,
    DUPLICATE_EDIT,
    DUPLICATE_OF,
    DUPLICATE_ORIENTATION,
    REPEATED,
    ROW,
    TEXT,
    UID,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_group import Group

Rank = tuple[bool, float, bool, str]  # the least is the best
MOST_CAPTIONS = 100  # that a keeper takes over, the best first: placeholders have thousands


def decide(rounds: Rounds, files: Sequence[PartedFile], starts: Ints, number: int) -> Marker:
    """Decide the components of a partition; commit the columns of their images, by block.

    The marker's counts are those of `group`, but `pairs` and `repeated`.
    """
    table = ordered(rounds, files, number)
    found = candidates(table, rounds.options)
    keepers, columns, failed = _clusters(found, rounds)
    copies = _copies(table, found, keepers, columns, rounds.options)
    path = rounds.new("decided", number)
    sink = parted.write(rounds.store, path, by_block(copies.sort_by(ROW.name), starts))
    counts = _counts(table, copies, found.files == found.files[keepers], failed)
    return rounds.commit("decided", number, Marker(len(copies), {path: sink.entry()}, counts))


def max_distance(recipe: Recipe) -> int:
    """Return the distance that the recipe's `duplicate` rule asks for, else its default."""
    adapter = checker_of(Duplicate)
    asked = [entry.options for entry in recipe.keep if entry.filter == "duplicate"]
    found: set[int] = {adapter.validate_python(each).max_distance for each in asked or [{}]}
    if len(found) > 1:
        listed = " and ".join(map(str, sorted(found)))
        raise BadOption(f"keep: `duplicate` is listed with max_distance {listed}; choose one")
    return found.pop()


def _clusters(found: Candidates, rounds: Rounds) -> tuple[Ints, dict[str, pa.Array], Ints]:
    """Return the index of each one's keeper, (n,); cluster and distances; which signals failed.

    The last, (n,), has the bits of the signals that kept an image, near by its pHash, from every
    keeper.
    """
    from pairsieve.pipeline.dedup.features import EDITS, SIGNALS, Limits
    from pairsieve.pipeline.dedup.star_clusters import FAR, chain_clusters, distances, star_clusters

    options, features, rows = rounds.options, found.features, found.rows
    uses = sum(1 << SIGNALS.index(signal) for signal in options.verify)
    limits = Limits(
        rounds.distance, options.max_dhash, options.max_colour, options.min_embedding, uses
    )
    nodes, node_of = found.nodes()
    settle = star_clusters if options.clusters == "star" else chain_clusters
    parents, refusals = settle(features.take(nodes), limits, np.searchsorted(nodes, found.ends))
    keepers = nodes[parents[node_of]]
    smallest = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(smallest, keepers, rows)
    failed = np.zeros(len(rows), np.int64)
    failed[nodes] = refusals
    own = np.arange(len(rows))
    alone = (keepers == own) | found.again[keepers]
    ways, bits, dhashes, colours = distances(features, limits, keepers, own)
    orientations = np.array([None, *options.compared, *(None for _ in EDITS)], object)
    edits = np.array([None, *(None for _ in options.compared), *EDITS], object)
    columns = {
        CLUSTER.name: pa.array(smallest[keepers]),
        DUPLICATE_DISTANCE.name: pa.array(bits, mask=alone | (bits == FAR)),
        DUPLICATE_DHASH.name: pa.array(dhashes, mask=alone | (dhashes < 0)),
        DUPLICATE_COLOUR.name: pa.array(colours, mask=alone | (colours < 0)),
        DUPLICATE_ORIENTATION.name: pa.array(orientations[ways], pa.string(), mask=alone),
        DUPLICATE_EDIT.name: pa.array(edits[ways], pa.string(), mask=alone),
    }
    return keepers, columns, failed


def _copies(
    table: pa.Table,
    found: Candidates,
    keepers: Ints,
    columns: dict[str, pa.Array],
    options: Group,
) -> pa.Table:
    """Return `row` and the columns of GROUPED that tell of copies, a row per candidate."""
    own = np.arange(len(keepers))
    points = (keepers != own) & ~found.again[keepers]
    kept = table[UID.name].take(pa.array(keepers, mask=~points))
    columns = columns | {
        ROW.name: table[ROW.name],
        REPEATED.name: table[AGAIN],
        DUPLICATE_OF.name: kept,
        **{
            column.name: pa.nulls(len(table), column.type) for column in (CAPTIONS, CAPTIONS_RANKED)
        },
    }
    if options.captions == "all_as_list":
        keepers = np.where(found.again[keepers], own, keepers)
        columns |= _captions(table, keepers)
    schema = arrow_schema((ROW, *COPIES))
    return pa.table([columns[name] for name in schema.names], schema.names).cast(schema)


def _captions(table: pa.Table, keepers: Ints) -> dict[str, pa.Array]:
    """Return the different texts of each keeper's copies, best first; null of what is no keeper.

    And how they rank by the similarity of image and text, of each in its own pair; of a text that
    several pairs have the best counts.
    """
    found: dict[int, dict[str, Rank]] = {}
    columns = (table[column.name].to_pylist() for column in (TEXT, CLIP_SIMILARITY, UID))
    for index, (keeper, text, score, uid) in enumerate(
        zip(keepers.tolist(), *columns, strict=True)
    ):
        rank = score is None, -(score or 0), index != keeper, uid
        texts = found.setdefault(keeper, {})
        texts[text] = min(rank, texts.get(text, rank))
    kept = {keeper: [*texts][:MOST_CAPTIONS] for keeper, texts in found.items()}
    ranked = {
        keeper: sorted(range(len(texts)), key=lambda n: found[keeper][texts[n]])
        for keeper, texts in kept.items()
    }
    indices = range(len(keepers))
    return {
        CAPTIONS.name: pa.array(map(kept.get, indices), CAPTIONS.type),
        CAPTIONS_RANKED.name: pa.array(map(ranked.get, indices), CAPTIONS_RANKED.type),
    }


def _counts(
    table: pa.Table, copies: pa.Table, same_file: NDArray[np.bool_], failed: Ints
) -> dict[str, int]:
    """Return what the marker of `group` counts of copies."""
    from pairsieve.pipeline.dedup.features import SIGNALS

    points = copies[DUPLICATE_OF.name].is_valid().to_numpy()
    once = points & ~copies[REPEATED.name].to_numpy()
    exact = once & same_file
    _, sizes = np.unique(copies[CLUSTER.name].to_numpy(), return_counts=True)
    counts = {"exact": exact.sum(), "near": (once & ~exact).sum(), "clusters": (sizes > 1).sum()}
    for bit, signal in enumerate(SIGNALS):
        counts[f"kept_apart_by_{signal}"] = (failed >> bit & 1).sum()
    return {name: int(count) for name, count in counts.items()}
