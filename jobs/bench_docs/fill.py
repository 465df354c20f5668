"""What was measured, as Markdown, between the marks of a page.

A page has `<!-- measured NAME -->` and `<!-- end -->` on lines of their own, for each benchmark
that it shows; what is between them is written anew. The rest is of people.
"""

import re
from collections.abc import Mapping

from pairsieve.jobs.bench_docs.runs import NAMES, Measured
from pairsieve.jobs.console import Table
from pairsieve.schemas.errors import BadOption, nearest

_PART = re.compile(r"^<!-- measured (\S+) -->\n(.*?)^<!-- (end|measured \S+) -->$", re.M | re.S)
_MARK = re.compile(r"^<!-- (?:measured \S+|end) -->$", re.M)


def fill(page: str, measured: Mapping[str, Measured]) -> str:
    """Return a page with what was measured; what was not stays as it is.

    Raises:
        BadOption: a mark has no end, or names no benchmark.
    """
    for part in _PART.finditer(page):
        if part[1] not in NAMES:
            raise BadOption(f"measured {part[1]}: no such benchmark; {nearest(part[1], NAMES)}")
        if part[3] != "end":
            raise BadOption(f"measured {part[1]}: `<!-- end -->` is missing")
    if len(_MARK.findall(page)) != 2 * len(_PART.findall(page)):
        raise BadOption("a mark `<!-- measured NAME -->` or `<!-- end -->` is alone")

    def part_of(match: re.Match[str]) -> str:
        name = match[1]
        body = markdown(measured[name]) if name in measured else match[2]
        return f"<!-- measured {name} -->\n{body}<!-- end -->"

    return _PART.sub(part_of, page)


def markdown(measured: Measured) -> str:
    """Return the tables of a benchmark, or its text if it has none, and where they come from."""
    blocks = [table(one) for one in measured.tables] or [f"```\n{measured.text.strip()}\n```\n"]
    source = (
        f"`{measured.command}`, {measured.seconds:,.0f} s: {measured.machine}; "
        f"load {measured.load:.1f}.\n"
    )
    return "\n".join([*blocks, source])


def table(one: Table) -> str:
    """Return a table as Markdown, its title above it."""
    rows = [one.columns, ["---"] * len(one.columns), *one.rows]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return f"{one.title}:\n\n" + "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.split()).replace("|", r"\|")
