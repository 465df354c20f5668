"""What `group` finds of captions where a recipe asks for it: one set of rounds after the other."""

from collections.abc import Iterator, Sequence
from functools import partial

from pairsieve.pipeline.counts import boilerplate, caption_clusters, concepts
from pairsieve.pipeline.counts.pool_counts import Counted
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dedup.copies import Further
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.ledger.pool import Pool


def find(
    pool: Pool, of: Rounds, counted: Counted, repeats: Sequence[PartedFile]
) -> Iterator[Further]:
    """Go through the rounds; yield what gives their columns of a block.

    Args:
        pool: The pool.
        of: The rounds of `group`.
        counted: What has been counted of captions, URLs and hosts.
        repeats: The files of images whose pair is in an earlier row.

    Raises:
        Stopped: a task's process kept dying.
    """
    if entries := of.options.entries:
        yield partial(concepts.columns, of, concepts.find(pool, of, entries, repeats))
    if alike := of.options.caption_cluster:
        found = caption_clusters.find(pool, of, alike, counted)
        yield partial(caption_clusters.columns, found)
    if affixes := of.options.boilerplate:
        yield partial(boilerplate.columns, boilerplate.find(pool, of, affixes))
