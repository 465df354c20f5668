"""What the names of input files say: columns of Hive folders, and ranges in braces.

`lang=en/part.parquet` gives the pairs of the file a column `lang` with the text `en`, as Hive and
Spark write it. `{0..9}` and `{000..123}` in a path stand for each number, as in a
shell; zeros in front give the width.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from pairsieve.schemas.errors import BadOption

MAX_NAMES = 1_000_000  # that the ranges of one path stand for
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_NULL = "__HIVE_DEFAULT_PARTITION__"  # what Hive writes where there is no value


def of_folders(name: str) -> dict[str, str | None]:
    """Return the columns that the folders in a file's name give, with their values.

    Raises:
        BadOption: two of them have one name.
    """
    columns: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, separator, value = part.partition("=")
        if separator and key:
            key = unquote(key)
            if key in columns:
                raise BadOption(f"input.path: {name}: two folders give the column `{key}`")
            columns[key] = None if value == _NULL else unquote(value)
    return columns


def check_absent(name: str, columns: dict[str, str | None], known: Iterable[str]) -> None:
    """Refuse a file that has a column that its folders give, too.

    Raises:
        BadOption: naming it.
    """
    both = sorted(set(columns) & set(known))
    if both:
        raise BadOption(
            f"input.path: {name} has a column `{both[0]}`, and its folder `{both[0]}="
            f"{columns[both[0]]}` gives one, too; rename one of them"
        )


def above_folders(path: str) -> str:
    """Return a folder without those at its end that give columns: they are part of files' names."""
    while "=" in path.rpartition("/")[2][1:]:
        path = path.rpartition("/")[0]
    return path


def with_stars(path: str) -> str:
    """Return a path as a glob: a star for each range."""
    return _RANGE.sub("*", path)


def has_range(path: str) -> bool:
    """Return whether a path has a range in braces."""
    return bool(_RANGE.search(path))


def each_of_ranges(path: str) -> list[str]:
    """Return the paths that a path with ranges in braces stands for, in order.

    Raises:
        BadOption: a range goes backwards, or there are too many.
    """
    names = 1
    for low, high in _RANGE.findall(path):
        if int(low) > int(high):
            raise BadOption(f"input.path: {{{low}..{high}}} goes backwards")
        names *= int(high) - int(low) + 1
    if names > MAX_NAMES:
        raise BadOption(f"input.path: {path} stands for {names:,} paths; use `*`")
    return list(_each(path))


def _each(path: str) -> Iterator[str]:
    found = _RANGE.search(path)
    if not found:
        yield path
        return
    low, high = found.groups()
    width = max(len(low), len(high)) if low.startswith("0") or high.startswith("0") else 0
    for number in range(int(low), int(high) + 1):
        yield from _each(f"{path[: found.start()]}{number:0{width}d}{path[found.end() :]}")
