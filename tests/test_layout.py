"""Where things are and what may import what: a verb is a file, a thing is a folder."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pairsieve.jobs import draw_imports
from pairsieve.pipeline.dataset.stages import STAGES, VERBS

ROOT = Path(__file__).parent.parent
LAYERS = ("schemas", "filters", "pipeline", "jobs")  # each may import itself and those before it
# The folders of pipeline/ from the bottom up, and what each may import besides itself.
FOLDERS = {
    "dataset": "",
    "engine": "dataset",
    "ledger": "dataset engine",
    "rights": "",
    "fetch": "dataset ledger rights",
    "pages": "dataset fetch",
    "input": "dataset pages",
    "extraction": "dataset engine fetch pages input",
    "image": "dataset engine",
    "models": "engine",
    "vectors": "dataset models",
    "hamming": "dataset engine",
    "external": "dataset engine ledger input image fetch models vectors hamming",
    "unit": "dataset ledger input image rights fetch external",
    "alignment": "dataset engine ledger vectors",
    "captions": "dataset engine ledger image fetch vectors unit",
    "learning": "dataset ledger vectors",
    "evaluation": "dataset input models learning",
    "dedup": "dataset engine ledger vectors hamming",
    "counts": "dataset engine ledger hamming dedup",
    "samples": "dataset engine ledger input image vectors",
    "shards": "dataset engine ledger input vectors samples unit",
    "stats": "dataset engine ledger image fetch external unit",
    "selections": "dataset engine ledger evaluation stats",
    "cards": "dataset engine ledger unit stats",
    "explore": "dataset engine ledger fetch unit vectors learning stats selections",
    "integrity": "dataset image ledger unit shards samples",
    "removal": "dataset engine ledger input fetch external unit learning shards selections "
    "integrity samples",
    "growth": "dataset engine ledger unit shards removal",
}
MOST_MODULES = 16  # of a folder
OF_VERBS = "pipeline"  # has a file for each verb, whatever their number
FLAT = {"filters", "schemas"}
SUFFIXES = r"\.(?:json|parquet|pq|tar|bin|npy|faiss|duckdb)"
COMMENT = re.compile(r"#.*")
IMPORTS = re.compile(r"^ *from pairsieve\.([\w.]+) import (\([^)]*\)|.*)", re.MULTILINE)
PATH_BEGINS = re.compile(rf"(?:{'|'.join(s.folder for s in STAGES if s.folder)}|search|tmp)/")


@cache
def modules() -> dict[Path, str]:
    """Return the text of every module."""
    paths = (path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
    return {path: path.read_text() for path in paths}


@cache
def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imported(text: str) -> list[list[str]]:
    """Return what a module imports of the project, as parts without `pairsieve`.

    Lines are searched: to parse all modules takes seconds.
    """
    return [
        [*module.split("."), name]
        for module, names in IMPORTS.findall(COMMENT.sub("", text))
        for name in re.findall(r"(\w+)(?: as \w+)?", names)
    ]


def test_imports_are_read_as_python_reads_them() -> None:
    text = (ROOT / "pipeline/gather.py").read_text() + (ROOT / "pipeline/select.py").read_text()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if (node.module or "").startswith("pairsieve.")]
    parts = [[*(n.module or "").split(".")[1:], alias.name] for n in ours for alias in n.names]
    assert len(parts) > 50
    assert sorted(imported(text)) == sorted(parts)


def test_links_and_wheel_agree() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    sources = build["targets"]["wheel"]["sources"]
    mapped = {k: v.removeprefix("pairsieve/") for k, v in sources.items() if v}
    package = ROOT / ".src/pairsieve"
    links = {p.name: p.readlink().name for p in package.iterdir() if p.is_symlink()}
    assert mapped == links


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    wrong = [
        f"{named(path)}: {'.'.join(parts)}"
        for path, text in modules().items()
        for parts in imported(text)
        if path.relative_to(ROOT).parts[0] == layer and parts[0] not in allowed
    ]
    assert wrong == []


def test_the_table_holds_every_folder() -> None:
    there = {path.name for path in (ROOT / "pipeline").iterdir() if path.is_dir()}
    assert there - {"__pycache__"} == set(FOLDERS)


def test_the_table_goes_upwards_only() -> None:
    order = list(FOLDERS)
    for folder, allowed in FOLDERS.items():
        assert set(allowed.split()) <= set(order[: order.index(folder)])


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_what_lies_below_them(folder: str) -> None:
    allowed = {folder, *FOLDERS[folder].split()}
    wrong = [
        f"{named(path)}: {'.'.join(parts)}"
        for path, text in modules().items()
        for parts in imported(text)
        if named(path).startswith(f"pipeline/{folder}/")
        and parts[0] == "pipeline"
        and parts[1] not in allowed
    ]
    assert wrong == []


def test_verbs_are_imported_by_run_and_jobs_alone() -> None:
    verbs = {path.stem for path in (ROOT / "pipeline").glob("*.py")} - {"__init__"}
    wrong = [
        f"{named(path)}: {'.'.join(parts)}"
        for path, text in modules().items()
        for parts in imported(text)
        if parts[0] == "pipeline"
        and parts[1] in verbs
        and not named(path).startswith("jobs/")
        and named(path) != "pipeline/run.py"
    ]
    assert wrong == []


def test_files_import_one_another_in_no_circle() -> None:
    known = {named(path).removesuffix(".py").replace("/", "."): path for path in modules()}
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        parts = [parts for parts in imported(modules()[path])]
        targets = {".".join(each) for each in parts} | {".".join(each[:-1]) for each in parts}
        graph[module] = targets & known.keys()
    done: set[str] = set()
    while ready := {module for module in graph.keys() - done if graph[module] - {module} <= done}:
        done |= ready
    assert graph.keys() - done == set()


def test_folders_nest_one_level_below_the_four() -> None:
    deep = [named(path) for path in modules() if len(path.relative_to(ROOT).parts) > 3]
    nested = [
        n for path in modules() if (n := named(path)).split("/")[0] in FLAT and n.count("/") > 1
    ]
    assert deep + nested == []


def test_no_folder_holds_too_many_modules() -> None:
    counts: dict[str, int] = {}
    for path in modules():
        if path.name != "__init__.py" and named(path.parent) not in {*FLAT, OF_VERBS}:
            counts[named(path.parent)] = counts.get(named(path.parent), 0) + 1
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def sentences() -> dict[str, str]:
    """Return the sentence of the `__init__.py` of each folder."""
    return {
        named(path.parent): ast.get_docstring(ast.parse(text)) or ""
        for path, text in modules().items()
        if path.name == "__init__.py"
    }


def test_every_folder_says_in_a_sentence_what_lives_there() -> None:
    folders = {named(path.parent) for path in modules()}
    said = sentences()
    assert folders == said.keys()
    assert [f for f, text in said.items() if not re.fullmatch(r"[A-Z`][^\n]*\.", text)] == []


def test_the_readme_shows_the_tree_with_these_sentences() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    said = {f: text for f, text in sentences().items() if f.startswith("pipeline/")}
    assert [f for f, text in said.items() if text not in readme] == []


def _literals(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield the text of every string and, with `{}` for what is put in, of every f-string.

    Docstrings are left out.
    """
    inside = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            texts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
            yield "".join(texts), True
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield str(node.value), False


def test_names_in_a_dataset_are_made_in_one_place() -> None:
    fixed = {"plan.json", "stats.duckdb", "report.html", "manifest.parquet", "sizes.json"}
    suspect = re.compile(rf"{SUFFIXES}|report\.html|[\"']{PATH_BEGINS.pattern}")
    found = []
    for path, text in modules().items():
        made_here = named(path) in ("pipeline/dataset/paths.py", "pipeline/dataset/roles.py")
        if made_here or not named(path).startswith("pipeline/") or not suspect.search(text):
            continue
        for literal, formatted in _literals(ast.parse(text)):
            built = formatted and re.fullmatch(rf"[^ ]*\{{\}}/[^ ]*{SUFFIXES}", literal)
            begun = PATH_BEGINS.match(literal) and " " not in literal
            if literal in fixed or built or begun:
                found.append(f"{named(path)}: {literal}")
    assert found == []


def test_every_stage_has_its_verb_and_its_command() -> None:
    import typer

    from pairsieve.jobs.cli import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    names = {stage.verb or stage.name for stage in STAGES}
    assert [name for name in names if not (ROOT / f"pipeline/{name}.py").exists()] == []
    assert names <= commands.keys()
    assert len({stage.name for stage in STAGES}) == len(STAGES)
    assert len({stage.view for stage in STAGES if stage.view}) == sum(
        bool(stage.view) for stage in STAGES
    )
    assert [stage for stage in STAGES if bool(stage.view) != bool(stage.columns)] == []
    assert [stage.name for stage in VERBS][0] == "plan"


def test_the_drawn_imports_hold_every_folder_and_no_circle() -> None:
    graph = draw_imports.imports(ROOT)
    assert set(draw_imports.in_order(graph)) == {*FOLDERS, draw_imports.VERB}
    assert {tuple(a) for a in draw_imports.drawn(graph)} <= {
        (i, o) for i in graph for o in graph[i]
    }


def test_a_circle_is_not_drawn() -> None:
    with pytest.raises(ValueError, match=r"in a circle: \['fetch', 'unit'\]"):
        draw_imports.in_order({"fetch": {"unit"}, "unit": {"fetch"}})
