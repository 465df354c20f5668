"""What a name in a dataset stands for.

A task writes files under names that no other attempt has, and commits them with a marker. So three
kinds of names are enough: fixed ones, markers, and content that belongs to the dataset only if a
marker names it. What `role` does not know was not made by pairsieve, and `gc` leaves it alone.
"""

import re
from enum import StrEnum
from itertools import accumulate

from pairsieve.pipeline.dataset.paths import (
    BLOCKS,
    CARD,
    CARD_FILES,
    DONE,
    ENERGON_DATASET,
    ENERGON_FOLDER,
    ENERGON_INFO,
    ENERGON_SPLIT,
    EVALUATED,
    EVALUATION,
    FORGOTTEN,
    INDEX_PAGE,
    INDEXES,
    INPUT_SEEN,
    LABELS_FOLDER,
    LEASES,
    MANIFEST,
    MARKER_INDEX,
    MEMBERS_SUFFIX,
    OF_MODEL,
    ORDER,
    PLAN_FILE,
    REPORT_PAGE,
    REQUESTS_SUFFIX,
    RETRY_LAYERS,
    SCRATCH,
    SEARCHES,
    SPILL,
    STATS,
    SUPERSEDED,
)
from pairsieve.pipeline.dataset.stages import (
    CAPTION,
    EMBED,
    GATHER,
    PLAN,
    REPORT,
    SELECT,
    SHARD,
    STAGES,
    Scope,
)


class Role(StrEnum):
    """What a name in a dataset stands for."""

    FIXED = "fixed"  # it belongs to the dataset as it is
    MARKER = "marker"  # so does it, and what it names
    CONTENT = "content"  # it belongs to the dataset if a marker or the plan names it


# What a part of a name can be.
_ANY = r"[^/]+"
_ATTEMPT = r"[0-9a-f]{12}"
_SLICE = r"\d{8}(?:\.r\d+)?(?:\.\d+\+\d+)?"
_TASK = r"\d{6,}|\d\d\.\d{4}"
_HASH = r"[0-9a-f]{16}"
_ROUND = r"[a-z]+\d*"
_SHARDS = rf"{SHARD.folder}/{_ANY}(?:/[a-z][a-z0-9_]*)?"  # of a selection, or of a part of one
SHARD_FILE = re.compile(rf"{_SHARDS}/\d{{5,}}\.(?:tar|parquet)")
SHARD_INDEX = re.compile(
    rf"{_SHARDS}/(?:index\.json|\d{{5,}}\.tar\.idx)|{SHARD.folder}/{_ANY}/{re.escape(ENERGON_FOLDER)}/"
    rf"(?:{'|'.join(map(re.escape, (ENERGON_INFO, ENERGON_SPLIT, ENERGON_DATASET)))})"
)
_SCRATCHED = r"\w+\.(?:duckdb(?:\.wal)?|parquet|arrow|tar)"
_SPILLED = r"duckdb_temp_[\w-]+(?:\.(?:tmp|block))?"

_STAGE_PATTERNS: dict[Scope, tuple[str, str]] = {  # of the markers and of the content, by scope
    Scope.TASK_SLICE: (
        rf"{_SLICE}\.json",
        rf"{_SLICE}\.{_ATTEMPT}(?:\.tar|\.parquet|{re.escape(REQUESTS_SUFFIX)})",
    ),
    Scope.MODEL: (
        rf"{_ANY}/(?:scores-{_HASH}/)?{_SLICE}\.json",
        rf"{_ANY}/(?:scores-{_HASH}/)?{_SLICE}\.{_ATTEMPT}\.(?:vectors|scores|captions)\.parquet",
    ),
    Scope.POOL: (
        rf"(?:{BLOCKS}/{_HASH}/\d{{6,}}|done)\.json",
        rf"(?:{BLOCKS}/{_HASH}/\d{{6,}}\.)?{_ATTEMPT}\.(?:bin|parquet)",
    ),
    Scope.SELECTION: (
        rf"{_ANY}/(?:{BLOCKS}/{_HASH}/\d{{6,}}|done)\.json",
        rf"{_ANY}/(?:{BLOCKS}/{_HASH}/\d{{6,}}\.)?{_ATTEMPT}\.parquet",
    ),
}
_PATTERNS: dict[Role, list[str]] = {
    Role.FIXED: [
        *map(re.escape, (PLAN_FILE, INPUT_SEEN, SUPERSEDED, INDEX_PAGE)),
        rf"{REPORT.folder}/{_ANY}/(?:{re.escape(STATS)}|{re.escape(REPORT_PAGE)})",
        rf"{REPORT.folder}/{_ANY}/card/(?:{'|'.join(map(re.escape, CARD_FILES))})",
        rf"{LABELS_FOLDER}/{_ATTEMPT}\.json",
        rf"{EVALUATED}/{_ANY}/{_HASH}\.parquet",
        rf"{RETRY_LAYERS}/\d{{4}}\.json",
        rf"(?:{EMBED.folder}|{CAPTION.folder})/{_ANY}\.json",
        rf"(?:{GATHER.folder}|{OF_MODEL.pattern})/{re.escape(MARKER_INDEX)}",
    ],
    Role.MARKER: [
        *(
            f"{s.folder}/{_STAGE_PATTERNS[s.scope][0]}"
            for s in STAGES
            if s.scope in _STAGE_PATTERNS
        ),
        rf"{SEARCHES}/{_HASH}/{_ROUND}/(?:{_TASK})\.json",
        rf"{EVALUATION}/(?:{_HASH}|{_ANY}/{_SLICE})\.json",
        rf"{INDEXES}/{_ANY}/done\.json",
        rf"{_SHARDS}/{ORDER}/{_HASH}/[a-z]+/\d{{6,}}\.json",
        rf"{_SHARDS}/parts/\d{{5,}}\.json",
        rf"{_SHARDS}/members/{_HASH}/\d{{6,}}\.json",
        rf"{REPORT.folder}/{_ANY}/{BLOCKS}/{_HASH}/[a-z]+/\d{{6,}}\.json",
        rf"{SELECT.folder}/{_ANY}/{ORDER}/{_HASH}/{_ROUND}/\d{{6,}}\.json",
        rf"{FORGOTTEN}/(?:\d{{4,}}|begun|rounds/{_HASH}/{_ROUND}/\d{{6,}})\.json",
    ],
    Role.CONTENT: [
        *(
            f"{s.folder}/{_STAGE_PATTERNS[s.scope][1]}"
            for s in STAGES
            if s.scope in _STAGE_PATTERNS
        ),
        rf"{LEASES}/{_ANY}\.json",
        rf"{PLAN.folder}/{_ATTEMPT}\.\d{{6,}}\.parquet",
        rf"{SEARCHES}/{_HASH}/{_ROUND}/(?:{_TASK})\.{_ATTEMPT}\.(?:bin|npy|parquet)",
        rf"{EVALUATION}/(?:{_HASH}|{_ANY}/{_SLICE})\.{_ATTEMPT}\.parquet",
        rf"{INDEXES}/{_ANY}/{_ATTEMPT}\.faiss",
        SHARD_INDEX.pattern,
        rf"{SHARD_FILE.pattern}|{_SHARDS}/(?:{re.escape(MANIFEST)}|sizes\.json)",
        rf"{SHARD.folder}/{_ANY}/{re.escape(CARD)}",
        rf"{_SHARDS}/{ORDER}/{_HASH}/[a-z]+/\d{{6,}}\.{_ATTEMPT}\.(?:bin|parquet|tar|list)",
        rf"{_SHARDS}/parts/\d{{5,}}\.{_ATTEMPT}\.parquet",
        rf"{_SHARDS}/members/{_HASH}/\d{{6,}}\.{_ATTEMPT}{re.escape(MEMBERS_SUFFIX)}",
        rf"{REPORT.folder}/{_ANY}/{BLOCKS}/{_HASH}/[a-z]+/\d{{6,}}\.{_ATTEMPT}\.[a-z]+\.parquet",
        rf"{SELECT.folder}/{_ANY}/{ORDER}/{_HASH}/{_ROUND}/\d{{6,}}\.{_ATTEMPT}\.parquet",
        rf"{FORGOTTEN}/{_ATTEMPT}\.parquet",
        rf"{FORGOTTEN}/rounds/{_HASH}/{_ROUND}/\d{{6,}}\.{_ATTEMPT}\.(?:parquet|tar|list)",
        rf"{re.escape(SPILL)}{_ATTEMPT}/{_SPILLED}",
        rf"{re.escape(SCRATCH)}[a-z0-9_]{{8}}/(?:{_SCRATCHED}|{_SPILLED})",
    ],
}
_OF_SLICE = re.compile(rf"({_SLICE})\.{_ATTEMPT}\.")
SLICE_MARKER = re.compile(rf"{_SLICE}\.json")
UNFINISHED = re.compile(r"#\d+$")  # how the local store names a file it has not finished
_ROLES = {role: re.compile("|".join(patterns)) for role, patterns in _PATTERNS.items()}


def role(path: str) -> Role | None:
    """Return what a name in a dataset stands for; None for one that pairsieve never makes."""
    return next((role for role, names in _ROLES.items() if names.fullmatch(path)), None)


def is_foreign(path: str) -> bool:
    """Return whether pairsieve never makes a file of that name, finished or not."""
    return role(UNFINISHED.sub("", path)) is None


def slice_of(name: str) -> str | None:
    """Return the task slice of which a file of this name, finished or not, is content."""
    found = _OF_SLICE.match(name)
    return found[1] if found else None


def markers_over(content: str) -> list[str]:
    """Return every path at which there can be a marker that names a file of content.

    It is beside the file, of the task that wrote it, or ends the work of a folder above.
    """
    folder, _, file = content.rpartition("/")
    work = re.split(rf"\.{_ATTEMPT}\.|\.(?=[^.]*$)", file, maxsplit=1)[0]
    above = accumulate(folder.split("/"), "{}/{}".format)
    done = [f"{one}/{DONE}.json" for one in above]
    return [f"{folder}/{work}.json", f"{folder}/parts/{work}.json", *done]
