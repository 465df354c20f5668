"""What `group` finds where a recipe asks for it: one set of rounds after the other."""

from collections.abc import Collection, Iterator
from functools import partial

from pairsieve.pipeline.counts import boilerplate, caption_clusters, concepts, rare_words
from pairsieve.pipeline.counts.pool_counts import Counted
from pairsieve.pipeline.dedup import placeholders, semantic
from pairsieve.pipeline.dedup.copies import Counting, Found
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.dedup.steps import PLACEHOLDERS, RARE_WORDS, SEMANTIC
from pairsieve.pipeline.ledger.pool import Further, Pool
from pairsieve.schemas.recipe import Recipe

COUNTING: Counting = {  # what of the columns the marker of `group` counts
    semantic.TABLE: semantic.gone,
    placeholders.TABLE: placeholders.several,
}


def find(
    pool: Pool,
    of: Rounds,
    wanted: Collection[str],
    counted: Counted,
    copies: Found,
    recipe: Recipe,
) -> Iterator[Further]:
    """Go through the rounds; yield what gives their columns of a block.

    Args:
        pool: The pool.
        of: The rounds of `group`.
        wanted: What the recipe requests, by the names of `ROUNDS`.
        counted: What has been counted of captions, URLs and hosts.
        copies: What has been found of copies.
        recipe: The recipe.

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
    if SEMANTIC in wanted:
        yield partial(semantic.columns, semantic.find(pool, of, recipe, copies))
    if PLACEHOLDERS in wanted:
        shown = placeholders.find(pool, of, copies.decided)
        yield partial(placeholders.columns, copies.decided, shown)
