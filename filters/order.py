"""When each filter measures: derived from what it reads and what the others write.

A column is there from a phase on: the text before the fetch, pixels in `gather`, vectors in
`embed`. A filter measures in the first phase that has all it reads, after the filters whose columns
it reads. So the order of `FILTERS` means nothing, and filters may build on one another. What cannot
be ordered would stay null in every row; it is refused before any work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from graphlib import CycleError, TopologicalSorter

from pairsieve.filters.base import OWN, Filters, Measures, name_of
from pairsieve.schemas.columns import (
    AESTHETIC,
    COLOURS,
    COLUMNS,
    CONCEPTS,
    EMBEDDED,
    GATHERED,
    HEIGHT,
    IMAGE_CLUSTER,
    IMAGE_EMBEDDING,
    LUMA,
    LUMA_256,
    ORIENTATIONS,
    PROMPT_LOGITS,
    TAG,
    TAG_PROBABILITY,
    TAGS,
    TEXT,
    TEXT_EMBEDDING,
    TRIMMED_COLOURS,
    TRIMMED_LUMA,
    URL,
    WIDTH,
    Column,
    check_listed,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.text_columns import TEXT_UNSTORED


class Phase(IntEnum):
    """When a column is there."""

    TEXT = 0  # before the fetch
    IMAGE = 1  # in `gather`, once the image is decoded
    VECTORS = 2  # in `embed`
    POOL = 3  # in `group`, which no measure can wait for


# Never stored, so gone after `gather`.
PIXELS = (LUMA, LUMA_256, COLOURS, TRIMMED_LUMA, TRIMMED_COLOURS, ORIENTATIONS)
# What measures may read beside one another's columns, and from when on. Scores that only the recipe
# can ask for (`embed.scores.aesthetic`, concepts, tags) are measured before those of the filters.
INPUTS: Mapping[Phase, tuple[Column, ...]] = {
    Phase.TEXT: (URL, TEXT, *TEXT_UNSTORED),
    Phase.IMAGE: (WIDTH, HEIGHT, *PIXELS),
    Phase.VECTORS: (
        IMAGE_EMBEDDING, TEXT_EMBEDDING, PROMPT_LOGITS, AESTHETIC, CONCEPTS, TAG, TAG_PROBABILITY,
        TAGS, IMAGE_CLUSTER,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """The measures of each phase, every one after those whose columns it reads.

    Attributes:
        text: On texts, before the fetch.
        image: On images, in `gather`.
        vectors: On vectors, in `embed`.
    """

    text: tuple[Measures, ...]
    image: tuple[Measures, ...]
    vectors: tuple[Measures, ...]

    @property
    def of_text(self) -> tuple[Column, ...]:
        """Return what a measure reads or writes before the fetch."""
        return (*INPUTS[Phase.TEXT], *(column for one in self.text for column in one.writes))

    @property
    def gathered(self) -> tuple[Column, ...]:
        """Return what measures in `embed` read of the rows that `gather` left."""
        read = dict.fromkeys(column for one in self.vectors for column in one.reads)
        return tuple(column for column in read if column in GATHERED)


@cache
def ordered(filters: Filters) -> Order:
    """Return the order in which the measures among `filters` run, whatever their order there.

    Raises:
        BadOption: naming the filter, the column and what to do: a column that nobody writes or
            that comes too late, two that write one, a cycle, a mixture that no phase has, a column
            that is in no tuple or the wrong one.
    """
    check_listed()
    measures = {name_of(f): f() for f in filters if hasattr(f, "measure")}
    measures = {name: measures[name] for name in sorted(measures)}
    writers = _writers(measures)
    phases: dict[str, Phase] = {}
    for name in _sorted(measures, writers):
        phases[name] = _phase(name, measures[name], writers, phases)
        _check_part(name, measures[name], phases[name])
    of = {phase: tuple(measures[n] for n in phases if phases[n] is phase) for phase in Phase}
    return Order(of[Phase.TEXT], of[Phase.IMAGE], of[Phase.VECTORS])


def _writers(measures: Mapping[str, Measures]) -> dict[Column, str]:
    """Return the name of the filter that writes each column."""
    writers: dict[Column, str] = {}
    for name, one in measures.items():
        for column in one.writes:
            if column in writers:
                raise BadOption(
                    f"filters: `{name}` writes `{column.name}`, and so does `{writers[column]}`; "
                    "give one of them a column of its own"
                )
            writers[column] = name
    return writers


def _sorted(measures: Mapping[str, Measures], writers: Mapping[Column, str]) -> list[str]:
    """Return the names of the filters, each behind those whose columns it reads."""
    waits_for = {
        name: [writers[column] for column in one.reads if column in writers]
        for name, one in measures.items()
    }
    try:
        return list(TopologicalSorter(waits_for).static_order())
    except CycleError as error:
        cycle = error.args[1][::-1]  # each reads a column of the next
    reads = [
        f"`{name}` reads `{next(c.name for c in measures[name].reads if writers.get(c) == other)}`"
        for name, other in zip(cycle, cycle[1:], strict=False)
    ]
    raise BadOption(
        f"filters: {', '.join(reads)}: a cycle, so none can be the first; take one of these "
        "columns out of `reads`"
    )


def _phase(
    name: str, one: Measures, writers: Mapping[Column, str], phases: Mapping[str, Phase]
) -> Phase:
    """Return the first phase in which all that a filter reads is there."""
    inputs = {column: phase for phase, columns in INPUTS.items() for column in columns}
    there = {}
    for column in one.reads:
        if column in writers:
            there[column] = phases[writers[column]]
        elif column in inputs:
            there[column] = inputs[column]
        else:
            raise BadOption(_unreadable(name, column))
    if PROMPT_LOGITS in there and not hasattr(one, "prompts"):
        raise BadOption(f"filters: `{name}` reads `{PROMPT_LOGITS.name}`; give it `prompts`")
    last = max(there, key=lambda column: there[column], default=None)
    pixels = next((column for column in there if column in PIXELS), None)
    if pixels and last and there[last] is Phase.VECTORS:
        raise BadOption(
            f"filters: `{name}` reads `{pixels.name}`, which is only there in `gather`, and "
            f"`{last.name}`, which is only there in `embed`; measure "
            f"`{pixels.name}` in a filter of its own, and read the column that it writes"
        )
    return there[last] if last else Phase.TEXT


def _unreadable(name: str, column: Column) -> str:
    """Return why a filter cannot read a column, and what to do."""
    if column in COLUMNS and column not in GATHERED + EMBEDDED:
        return (
            f"filters: `{name}` reads `{column.name}`, which is only there when the whole pool has "
            "been looked at; a measure cannot wait for that, but a rule may read it"
        )
    readable = ", ".join(f"`{c.name}`" for columns in INPUTS.values() for c in columns)
    return (
        f"filters: `{name}` reads `{column.name}`, which no filter writes; let one write it, or "
        f"read of {readable}"
    )


def _check_part(name: str, one: Measures, phase: Phase) -> None:
    """Refuse columns that are not in the tuple of the verb that measures them."""
    if hasattr(one, OWN):
        if phase is Phase.VECTORS:
            raise BadOption(
                f"filters: `{name}` reads what is only there in `embed`; filters of your own "
                "measure texts and images, before"
            )
        return
    verb, part, columns = (
        ("embed", "EMBEDDED", EMBEDDED)
        if phase is Phase.VECTORS
        else ("gather", "GATHERED", GATHERED)
    )
    for column in one.writes:
        if column not in columns:
            raise BadOption(
                f"filters: `{name}` measures `{column.name}` in `{verb}`, so the column belongs in "
                f"{part} of schemas/columns.py; put it there"
            )
