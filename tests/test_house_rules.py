"""Rules that all code obeys, checked so that no reviewer has to."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import getsource, signature
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
import yaml

from pairsieve.filters import FILTERS
from pairsieve.filters.order import ordered
from pairsieve.schemas.columns import (
    COLUMNS,
    UNSTORED,
    arrow_schema,
    check_listed,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_file import load

ROOT = Path(__file__).parent.parent
LAYERS = ("schemas", "filters", "pipeline", "jobs")
CODE = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MEASURES = [f for f in FILTERS if hasattr(f, "measure")]
RULES = [f for f in FILTERS if hasattr(f, "rule")]
HEAVY = ("torch", "ray", "numba", "cv2", "open_clip", "duckdb")
CATCH_EVERYTHING = {  # and why: each passes on what it caught
    "filters/own.py": "says which filter of the user's own fails, and how",
    "jobs/cli.py": "says that it is a fault of pairsieve's own and where to report it",
    "pipeline/engine/private_ray.py": "tells the one failure of Ray's start that is no fault",
    "pipeline/fetch/scheduler.py": "hands what ends a thread to the thread that waits for it",
    "pipeline/input/staging.py": "deletes what it has written of an input that cannot be read",
}
UNITLESS = (  # codes, flags and hashes
    *("language", "language_second", "language_script"),
    *("is_file_name", "holds_url", "generic", "only_date", "navigation"),
    *("perceptual_hash", "dhash", "orientation_hashes", "centre_hash", "trimmed_hashes"),
    "printed_text",
)


# Files of filters/ that are no filter.
SHARED = {
    *("__init__", "base", "order", "own", "zero_shot"),
    *(
        "scripts",
        "language_codes",
        "lid176",
        "words",
        "cleaning",
        "caption_phrases",
        "personal_data_kinds",
        "word_lists",
        "sequence_classifier",
        "entry_lists",
        "wordnet",
        "affixes",
        "language_models",
        "text_reader",
    ),
}


def _key(f: type[Any]) -> str:
    return f.__module__.rsplit(".", 1)[1]


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_filter_file_is_listed_once() -> None:
    files = {path.stem for path in (ROOT / "filters").glob("*.py")} - SHARED
    assert sorted(files) == sorted(_key(f) for f in FILTERS)


@pytest.mark.parametrize("f", FILTERS, ids=_key)
def test_filter_has_one_name_everywhere(f: type[Any]) -> None:
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", f.__name__).lower() == _key(f)


@pytest.mark.parametrize("f", FILTERS, ids=_key)
def test_filter_has_a_test_file(f: type[Any]) -> None:
    assert (ROOT / f"tests/filters/test_{_key(f)}.py").exists()


@pytest.mark.parametrize("f", FILTERS, ids=_key)
def test_filter_names_its_source(f: type[Any]) -> None:
    assert "\nSource: " in (sys.modules[f.__module__].__doc__ or "")


@pytest.mark.parametrize("f", FILTERS, ids=_key)
def test_filter_measures_or_decides(f: type[Any]) -> None:
    assert f in MEASURES or f in RULES


@pytest.mark.parametrize("f", FILTERS, ids=_key)
def test_options_are_frozen_with_defaults_and_a_comment_each(f: type[Any]) -> None:
    assert is_dataclass(f)
    assert vars(f)["__dataclass_params__"].frozen
    for option in fields(f):
        assert option.default is not MISSING
        assert re.search(rf"^    {option.name}: .*  # \S", getsource(f), re.MULTILINE)


@pytest.mark.parametrize("f", MEASURES, ids=_key)
def test_written_columns_are_declared_nullable_and_have_a_unit(f: type[Any]) -> None:
    for column in f.writes:
        assert column in COLUMNS
        assert column.nullable
        assert column.unit or column.name in UNITLESS


@pytest.mark.parametrize("f", MEASURES, ids=_key)
def test_measure_takes_exactly_the_columns_it_reads(f: type[Any]) -> None:
    assert list(signature(f().measure).parameters) == [column.name for column in f.reads]
    assert set(f.reads) <= {*COLUMNS, *UNSTORED}


def test_no_column_is_written_by_two_filters_or_declared_twice() -> None:
    written = [column.name for f in MEASURES for column in f.writes]
    declared = [column.name for column in COLUMNS]
    assert len(written) == len(set(written))
    assert len(declared) == len(set(declared))


def test_every_column_stands_in_one_tuple_and_every_filter_has_its_turn() -> None:
    check_listed()
    order = ordered(FILTERS)
    assert {type(one) for one in (*order.text, *order.image, *order.vectors)} == set(MEASURES)


@pytest.fixture(scope="module")
def empty_ledger() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.register("ledger", arrow_schema(COLUMNS).empty_table())
        yield connection


@pytest.mark.parametrize("f", RULES, ids=_key)
def test_default_rule_is_a_condition_on_the_ledger(
    f: type[Any], empty_ledger: duckdb.DuckDBPyConnection
) -> None:
    found = empty_ledger.execute(f"SELECT {f().rule()} AS passes FROM ledger").description
    assert found is not None
    assert str(found[0][1]) == "BOOLEAN"


@pytest.mark.parametrize("outcome", Outcome)
def test_outcome_has_a_sentence(outcome: Outcome) -> None:
    assert re.fullmatch(r"[A-Z].*\.", outcome.doc)


def test_files_are_short_enough() -> None:
    assert [path for path in CODE + TESTS if len(path.read_text().splitlines()) > 400] == []


def test_modules_say_what_they_are_for() -> None:
    begins = re.compile(r'(#.*\n)*"""\S')  # parsing all takes seconds
    assert [path for path in CODE if not begins.match(path.read_text())] == []


def test_module_names_say_what_they_hold() -> None:
    vague = ("utils", "util", "common", "helpers", "core", "misc", "base")
    found = [_named(path) for path in CODE if path.stem in vague]
    assert found == ["filters/base.py"]


def test_no_error_is_caught_blindly() -> None:
    line = re.compile(r"^ *except\b(.*):(?: *#.*)?$", re.MULTILINE)
    caught = [
        (_named(path), kind or "BaseException")
        for path in CODE + TESTS
        for kind in line.findall(path.read_text())
    ]
    blind = [path for path, kind in caught if re.search(r"\b(Base)?Exception\b", kind)]
    assert blind == list(CATCH_EVERYTHING)


def test_imports_are_absolute() -> None:
    relative = re.compile(r"^ *from +\.", re.MULTILINE)
    assert [_named(path) for path in CODE + TESTS if relative.search(path.read_text())] == []


def test_command_line_starts_without_the_heavy_libraries() -> None:
    program = "import sys, pairsieve.jobs.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pairsieve.jobs.cli" in loaded
    assert not set(HEAVY) & set(loaded)


def test_embed_and_the_check_of_our_model_need_no_libraries_of_models() -> None:
    code = """import sys, pairsieve.pipeline.embed
from pairsieve.pipeline.models import clip
from pairsieve.schemas.recipe import Embed
clip.check(Embed(model="pairsieve-tiny", pretrained="demo"))
print({"torch", "open_clip"} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every command of the command line, also those of groups, with its options."""
    from pairsieve.jobs.cli import app
    from pairsieve.jobs.write_docs import commands

    for name, command in commands(typer.main.get_command(app)):
        yield name, [o for p in command.params for o in p.opts if o.startswith("--")]


def test_commands_of_groups_are_among_the_commands() -> None:
    assert {"init", "bench fetch"} <= {name for name, _ in _commands()}


@pytest.mark.parametrize(("command", "options"), list(_commands()))
def test_command_and_its_options_are_documented(command: str, options: list[str]) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert re.search(rf"pairsieve (?:[a-z]+ \| )*{command}\b", text)
    missing = [option for option in options if not re.search(rf"{option}\b", text)]
    assert missing == []


def _recipes() -> list[Path]:
    """Return every recipe in the repository: YAML files with a key `input`."""
    shown = sorted(path for path in ROOT.iterdir() if not path.name.startswith("."))
    paths = (path for folder in shown if folder.is_dir() for path in folder.rglob("*.yaml"))
    return [path for path in paths if "input" in (yaml.safe_load(path.read_text()) or ())]


def test_there_is_a_recipe() -> None:
    assert ROOT / "jobs/recipes/recipe.yaml" in _recipes()


@pytest.mark.parametrize("path", _recipes(), ids=_named)
def test_recipe_loads_and_its_rules_exist(path: Path) -> None:
    from pairsieve.pipeline.ledger.rules import rules

    recipe = load(path)
    assert len(rules(recipe)) == len(recipe.keep)


def test_code_in_the_documentation_is_valid() -> None:
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            ast.parse(code)


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_open_clip_takes_the_documented_command() -> None:
    params = pytest.importorskip("open_clip_train.params")
    page = (ROOT / "docs/open-clip.md").read_text()
    command = re.search(r"-m open_clip_train\.main \\\n(.*?)```", page, re.DOTALL)
    assert command
    words = [word.strip("'") for word in command[1].replace("\\\n", " ").split()]
    assert params.parse_args(words).dataset_type == "webdataset"
