"""Refuse rules on scores that the recipe does not measure: they would drop every pair."""

import re
from collections.abc import Collection

from pairsieve.schemas.columns import (
    AESTHETIC,
    CONCEPTS,
    IMAGE_CLUSTER,
    MIRROR_SIMILARITY,
    TAG,
    TAG_PROBABILITY,
    TAGS,
)
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed
from pairsieve.schemas.recipe_keep import Keep

# How a condition names one concept or one tag: concepts['cartoon'].
ENTRY = re.compile(rf"\b({CONCEPTS.name}|{TAGS.name})\s*\[\s*'((?:[^']|'')*)'\s*\]", re.I)


def check(key: str, entry: Keep, read: Collection[str], sql: str, embed: Embed) -> None:
    """Refuse a rule on a score that `embed` does not measure.

    Args:
        key: Where the rule is in the recipe, e.g. `keep.2`.
        entry: The rule as it is written there.
        read: The names of the columns that its condition reads.
        sql: Its condition.
        embed: How the recipe's scores are measured.

    Raises:
        BadOption: it reads ratings without a head, or a concept or tag that the recipe lacks.
    """
    if AESTHETIC.name in read and not embed.scores.aesthetic:
        raise BadOption(
            f"{key}: nothing measures `{AESTHETIC.name}`: name the file of a head under "
            "`embed.scores.aesthetic.head`"
        )
    if CONCEPTS.name in read and not embed.concepts:
        raise BadOption(f"{key}: the recipe has no concepts: name them under `embed.concepts`")
    if {TAG.name, TAG_PROBABILITY.name, TAGS.name} & set(read) and not embed.tags:
        raise BadOption(f"{key}: the recipe has no tags: name them under `embed.tags`")
    if IMAGE_CLUSTER.name in read and not embed.centroids:
        raise BadOption(
            f"{key}: nothing measures `{IMAGE_CLUSTER.name}`: name the file of the centroids under "
            "`embed.centroids`"
        )
    if MIRROR_SIMILARITY.name in read and not embed.mirror:
        raise BadOption(
            f"{key}: nothing measures `{MIRROR_SIMILARITY.name}`: say `embed.mirror: true`"
        )
    names = {CONCEPTS.name: list(embed.concepts), TAGS.name: list(embed.tags)}
    read_names = [(part.lower(), name.replace("''", "'")) for part, name in ENTRY.findall(sql)]
    if entry.filter == "tags":
        listed = [*entry.options.get("any_of", ()), *entry.options.get("none_of", ())]
        read_names += [(TAGS.name, str(name)) for name in listed]
    for part, name in read_names:
        if name not in names[part]:
            raise BadOption(f"{key}: `embed.{part}` has no `{name}`; {nearest(name, names[part])}")


def check_further(key: str, read: Collection[str], model: Embed) -> None:
    """Refuse a rule on a score that a further model is not asked for; BadOption."""
    requested = {
        AESTHETIC: model.scores.aesthetic,
        CONCEPTS: model.concepts,
        TAG: model.tags,
        TAG_PROBABILITY: model.tags,
        TAGS: model.tags,
        IMAGE_CLUSTER: model.centroids,
        MIRROR_SIMILARITY: model.mirror,
    }
    for column, asked in requested.items():
        if not asked and (name := f"{column.name}_{model.name}") in read:
            raise BadOption(
                f"{key}: nothing measures `{name}`: the model `{model.name}` of `embed` is not "
                "asked for it"
            )
