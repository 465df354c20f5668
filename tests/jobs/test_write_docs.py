from pathlib import Path

import pytest

from pairsieve.filters import FILTERS
from pairsieve.jobs import write_docs
from pairsieve.schemas.columns import COLUMNS
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch, Recipe

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", write_docs.PAGES)
def test_page_is_in_step_with_the_code(name: str) -> None:
    """When this fails: python -m pairsieve.jobs.write_docs."""
    assert (DOCS / name).read_text(encoding="utf-8") == write_docs.PAGES[name]()


def test_command_rewrites_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["reference", str(tmp_path)])
    write_docs.main()
    assert {path.name for path in tmp_path.iterdir()} == set(write_docs.PAGES)


def test_a_switch_that_is_on_is_written_with_what_turns_it_off() -> None:
    assert "| `--model/--no-model` | `--model` | " in write_docs.commands_page()


def test_recipe_page_has_every_key() -> None:
    page = write_docs.recipe_page()
    for name, section in Recipe.model_json_schema()["$defs"].items():
        assert f"## `{name.lower()}`" in page or name.lower() not in Recipe.model_fields
        for key in section.get("properties", ()):
            assert f"| `{key}` |" in page or key in ("filter", "options")


def test_key_is_told_with_type_default_bounds_and_meaning() -> None:
    row = "| `timeout_s` | number | `30` | > 0, <= 3,600 | Limit for one whole transfer, s. |"
    assert row in write_docs.recipe_page().splitlines()


def test_columns_page_has_every_column_with_its_unit() -> None:
    page = write_docs.columns_page()
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.type} | {column.unit} |" in page


def test_outcomes_page_has_every_outcome_with_its_sentence() -> None:
    page = write_docs.outcomes_page()
    for outcome in Outcome:
        passes = "yes" if outcome.transient else ""
        assert f"| `{outcome}` | {passes} | {outcome.doc} |" in page


def test_fetch_page_tells_what_every_key_does() -> None:
    page = (DOCS / "fetch.md").read_text(encoding="utf-8")
    elsewhere = {"engine", "concurrency"}
    assert [
        key for key in Fetch.model_fields if f"`{key}" not in page and key not in elsewhere
    ] == []


def test_filters_page_has_every_filter_with_its_rule_and_source() -> None:
    page = write_docs.filters_page()
    for f in FILTERS:
        assert f"\n## `{f.__module__.rsplit('.', 1)[1]}`\n" in page
        assert not hasattr(f, "rule") or f"```sql\n{f().rule()}\n```" in page
    assert page.count("\nSource: ") == len(FILTERS)


def test_option_is_told_with_default_and_its_comment() -> None:
    rows = write_docs.filters_page().splitlines()
    assert "- `max_ratio`, default `3.0`: long side / short side, >= 1" in rows
