"""The stages: what each leaves in a dataset, in the order of the pipeline.

One row of the table says all that others need to know of a stage: `run` goes through them in order,
the ledger joins their columns, the progress display knows how many pairs they will answer for,
`status` tells which are committed, and `gc` knows what they may have left. To add one that decides
over the whole pool: write the verb's file, its columns, its command, and a row here.
"""

from dataclasses import dataclass
from enum import StrEnum

from pairsieve.schemas.columns import (
    CAPTIONED,
    EMBEDDED,
    GATHERED,
    GROUPED,
    LISTED,
    SELECTED,
    SHARDED,
    Column,
)


class Scope(StrEnum):
    """What one marker of a stage answers for, and so where it lies below the stage's folder."""

    DATASET = "dataset"  # fixed names in the dataset itself
    TASK_SLICE = "task slice"  # <slice>.json
    MODEL = "model"  # <model>/<slice>.json
    POOL = "pool"  # done.json
    SELECTION = "selection"  # <selection>/done.json


class Pairs(StrEnum):
    """Which pairs a stage answers for when it is done: what its progress counts up to."""

    ALL = "all"
    RETRIED = "retried"  # those of the retry layers
    ATTEMPTED = "attempted"  # all, and those of the retry layers once more
    IN_MARKER = "in marker"  # its only marker says how many
    KEPT = "kept"  # the survivors of the selection


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: Of the verb: its file in `pipeline/`, its sub-command, its line in the progress.
        folder: Where it leaves its files, below the dataset.
        scope: What one of its markers answers for.
        pairs: Which pairs it answers for when it is done.
        view: The view of the ledger that has its columns; none where it leaves no columns.
        columns: What it knows of a pair.
        rows: Of what there is a row with these columns, in words.
        verb: The command that runs it, where that has another name.
    """

    name: str
    folder: str
    scope: Scope
    pairs: Pairs = Pairs.ALL
    view: str = ""
    columns: tuple[Column, ...] = ()
    rows: str = ""
    verb: str = ""


PLAN = Stage("plan", "plan", Scope.DATASET)
GATHER = Stage(
    "gather",
    "gather",
    Scope.TASK_SLICE,
    view="gathered",
    columns=GATHERED,
    rows="one row per input pair, and one more for each retry layer that fetches it again",
)
RETRY = Stage("retry", "gather", Scope.TASK_SLICE, Pairs.RETRIED, verb="gather")
EMBED = Stage(
    "embed",
    "embed",
    Scope.MODEL,
    Pairs.ATTEMPTED,
    view="embedded",
    columns=EMBEDDED,
    rows="one row per pair that was embedded",
)
CAPTION = Stage(
    "caption",
    "captions",
    Scope.MODEL,
    Pairs.ATTEMPTED,
    view="captioned",
    columns=CAPTIONED,
    rows="one row per pair of which the model was asked",
)
GROUP = Stage(
    "group",
    "group",
    Scope.POOL,
    Pairs.IN_MARKER,
    view="grouped",
    columns=GROUPED,
    rows="one row per pair whose outcome is `ok`",
)
COLUMNS = Stage(  # what rules read, joined once: made again whenever it is not there
    "columns",
    "columns",
    Scope.POOL,
    verb="select",
)
BLOCKLIST = Stage(
    "blocklist",
    "blocklist",
    Scope.POOL,
    Pairs.IN_MARKER,
    view="listed",
    columns=LISTED,
    rows="one row per stored image that is on the blocklist",
    verb="select",
)
SELECT = Stage(
    "select",
    "select",
    Scope.SELECTION,
    view="selected",
    columns=SELECTED,
    rows="one row per input pair",
)
SHARD = Stage(
    "shard",
    "shards",
    Scope.SELECTION,
    Pairs.KEPT,
    view="sharded",
    columns=SHARDED,
    rows="one row per sample in a shard",
)
REPORT = Stage("report", "report", Scope.DATASET)

STAGES = (
    PLAN, GATHER, RETRY, EMBED, CAPTION, GROUP, COLUMNS, BLOCKLIST, SELECT, SHARD, REPORT,
)  # fmt: skip
VERBS = tuple(stage for stage in STAGES if not stage.verb)
MEASURING = (GATHER, RETRY, EMBED)  # they overlap in time
# One after another, each when all is measured.
DECIDING = tuple(stage for stage in VERBS if stage not in (PLAN, *MEASURING))


def stage_of(name: str) -> Stage:
    """Return the stage whose progress is called `name`; behind a space stands a model's name."""
    return next(stage for stage in STAGES if stage.name == name.partition(" ")[0])
