"""What `group` finds where a recipe asks for it: one set of rounds after the other."""

from collections.abc import Collection, Iterator
from functools import partial

from pairsieve.pipeline.counts import boilerplate, caption_clusters, concepts, rare_words
from pairsieve.pipeline.counts.pool_counts import Counted
from pairsieve.pipeline.dedup import placeholders
from pairsieve.pipeline.dedup.copies import Found, Further
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.dedup.steps import PLACEHOLDERS, RARE_WORDS
from pairsieve.pipeline.ledger.pool import Pool


def find(
    pool: Pool,
    of: Rounds,
    wanted: Collection[str],
    counted: Counted,
    copies: Found,
) -> Iterator[Further]:
    """Go through the rounds; yield what gives their columns of a block.

    Args:
        pool: The pool.
        of: The rounds of `group`.
        wanted: What the recipe requests, by the names of `ROUNDS`.
        counted: What has been counted of captions, URLs and hosts.
        copies: What has been found of copies.

    Raises:
        Stopped: a task's process kept dying.
    """
    if entries := of.options.entries:
        yield partial(concepts.columns, of, concepts.find(pool, of, entries, copies.repeats))
    if alike := of.options.caption_cluster:
        found = caption_clusters.find(pool, of, alike, counted)
        yield partial(caption_clusters.columns, found)
    if affixes := of.options.boilerplate:
        yield partial(boilerplate.columns, boilerplate.find(pool, of, affixes))
    if RARE_WORDS in wanted:
        yield partial(rare_words.columns, rare_words.find(pool, of, counted))
    if PLACEHOLDERS in wanted:
        shown = placeholders.find(pool, of, copies.decided)
        yield partial(placeholders.columns, copies.decided, shown)
