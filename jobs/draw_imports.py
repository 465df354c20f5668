"""docs/architecture.md: which folder of `pipeline/` imports which, drawn from the code itself.

`make reference` rewrites the page; a test fails while it differs from the code, or while there is a
circle. Arrows that follow from others are left out of the drawing, and all are in the table.
"""

import re
from pathlib import Path

from pairsieve.pipeline.dataset.stages import DECIDING, MEASURING, VERBS, Stage

Imports = dict[str, set[str]]  # folder -> the other folders that it imports
CODE = Path(__file__).resolve().parents[1]  # the folder that holds the four
IMPORTED = re.compile(r"^ *from pairsieve\.pipeline\.(\w+)[. ]", re.MULTILINE)
VERB = "verbs"  # what stands for the files directly in `pipeline/`
INTRODUCTION = """# Architecture

Four folders, each of which imports only those before it: `schemas` (what everything agrees on),
`filters` (what is measured and decided of a pair), `pipeline`, and `jobs` (what people run). In
`pipeline` a verb is a file and a thing is a folder: files directly in it are the commands that a
user types, and nothing but `run.py` and `jobs/` imports one; everything else lies in a folder named
after a thing. Arrows point from a folder to what it imports; there is no circle, and a test holds
every import against a table of what may import what.
"""


def imports(root: Path) -> Imports:
    """Return what the folders of `pipeline/` import of one another; verbs count as one folder.

    Lines are searched: to parse all modules takes seconds.
    """
    pipeline = root / "pipeline"
    folders = {path.name for path in pipeline.iterdir() if (path / "__init__.py").exists()}
    found: Imports = {name: set() for name in (*sorted(folders), VERB)}
    for path in sorted(pipeline.rglob("*.py")):
        importer = path.parent.name if path.parent != pipeline else VERB
        found[importer] |= {*IMPORTED.findall(path.read_text())} & folders - {importer}
    return found


def in_order(graph: Imports) -> list[str]:
    """Return the folders from the bottom up: each behind all that it imports.

    Raises:
        ValueError: there is a circle.
    """
    order: list[str] = []
    while left := graph.keys() - order:
        ready = sorted(name for name in left if set(graph[name]) <= set(order))
        if not ready:
            raise ValueError(f"these folders import one another in a circle: {sorted(left)}")
        order += ready
    return order


def drawn(graph: Imports) -> list[tuple[str, str]]:
    """Return the arrows (importer, imported) that do not follow from others."""
    above: dict[str, set[str]] = {}
    for name in in_order(graph):
        above[name] = set(graph[name]).union(*(above[other] for other in graph[name]))
    return [
        (name, other)
        for name in in_order(graph)
        for other in sorted(graph[name])
        if not any(other in above[between] for between in graph[name] if between != other)
    ]


def architecture_page(root: Path = CODE) -> str:
    """Return the page on the architecture, without its head, for the code below `root`."""
    graph = imports(root)
    arrows = "\n".join(f"    {name} --> {other}" for name, other in drawn(graph))
    rows = "\n".join(
        f"| `{name}` | {', '.join(f'`{other}`' for other in sorted(graph[name])) or '-'} |"
        for name in in_order(graph)
    )
    stages = " -> ".join(stage.name for stage in VERBS)
    return f"""{INTRODUCTION}
```mermaid
flowchart TB
{arrows}
```

`verbs` stands for the files directly in `pipeline/`. All imports, from the bottom up:

| folder | imports |
|---|---|
{rows}

## The stages

    pairs -> {stages}

{_listed(MEASURING)} measure, and overlap in time.
{_listed(DECIDING)} follow one after another;
all but `caption`, which asks a model where the recipe says so, read columns.
One table, `pipeline/dataset/stages.py`, says of each where it leaves what; `run`, the ledger, the
progress display, `status` and `gc` read it. [Adding one](extend.md#a-stage) touches four files."""


def _listed(stages: tuple[Stage, ...]) -> str:
    """Return the names of stages in a sentence."""
    names = [f"`{stage.name}`" for stage in stages]
    return f"{', '.join(names[:-1])} and {names[-1]}"
