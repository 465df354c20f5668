"""What `group` finds of captions where a recipe asks for it: one set of rounds after the other."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from pairsieve.pipeline.counts import boilerplate, caption_clusters, concepts, rare_words
from pairsieve.pipeline.counts.pool_counts import Counted
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dedup.copies import Further
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.dedup.steps import RARE_WORDS
from pairsieve.pipeline.ledger.pool import Pool


def find(
    pool: Pool,
    of: Rounds,
    wanted: Collection[str],
    counted: Counted,
    repeats: Sequence[PartedFile],
) -> Iterator[Further]:
    """Go through the rounds; yield what gives their columns of a block.

    Args:
        pool: The pool.
        of: The rounds of `group`.
        wanted: What the recipe requests, by the names of `ROUNDS`.
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
    if RARE_WORDS in wanted:
        yield partial(rare_words.columns, rare_words.find(pool, of, counted))
