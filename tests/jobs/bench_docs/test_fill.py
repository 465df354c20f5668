"""What was measured becomes a part of a page, and one command runs what is wanted."""

from pathlib import Path
from typing import Any

import pytest
from tests.jobs.conftest import command
from typer.main import get_command

from pairsieve.jobs.bench_docs.fill import fill
from pairsieve.jobs.bench_docs.runs import BENCHES, NAMES, Measured, words
from pairsieve.jobs.cli import app
from pairsieve.jobs.console import Table, print_table, recorded
from pairsieve.schemas.errors import BadOption

ROOT = Path(__file__).parents[3]
PAGE = "# Costs\n\n<!-- measured {} -->\nold\n<!-- end -->\n\nProse stays.\n"


def measured(*tables: Table) -> Measured:
    return Measured("pairsieve bench group", "a machine", 0.25, 61.0, list(tables), "as said\n")


COSTS = Table("Costs", ("what", "us"), [("a | b", 1200)])


def test_a_table_takes_the_place_of_an_old_one() -> None:
    page = fill(PAGE.format("group"), {"group": measured(COSTS)})
    assert page == PAGE.format("group").replace(
        "old\n",
        "Costs:\n\n| what | us |\n| --- | --- |\n| a \\| b | 1,200 |\n\n"
        "`pairsieve bench group`, 61 s: a machine; load 0.2.\n",
    )
    assert fill(page, {"group": measured(COSTS)}) == page


def test_what_was_not_measured_stays_and_text_stands_for_no_tables() -> None:
    assert fill(PAGE.format("group"), {"text": measured()}) == PAGE.format("group")
    assert "```\nas said\n```" in fill(PAGE.format("group"), {"group": measured()})


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PAGE.format("grop"), "no such benchmark.*did you mean `group`"),
        (PAGE.format("group").replace("<!-- end -->", ""), "alone"),
        ("<!-- measured text -->\n" + PAGE.format("group"), "`<!-- end -->` is missing"),
        (PAGE.format("group") + "<!-- end -->\n", "alone"),
    ],
)
def test_marks_that_do_not_fit_are_refused(page: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        fill(page, {"group": measured(COSTS)})


def test_the_documentation_has_marks_that_fit() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text()
    assert fill(page, {}) == page
    assert page.count("<!-- measured ") >= 8


def test_tables_are_recorded_as_they_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with recorded() as tables:
        print_table("Costs", ("what", "us"), [("a", 1)])
    print_table("Others", ("what", "us"), [("b", 2)])
    assert tables == [Table("Costs", ("what", "us"), [("a", 1)])]
    assert "Others" in capsys.readouterr().out


def test_every_benchmark_takes_its_words() -> None:
    commands: Any = get_command(app)
    for bench in BENCHES:
        for quick in (True, False):
            name, *options = words(bench, quick, bench.compares)
            commands.commands["bench"].commands[name].make_context(name, options)


def test_one_command_measures_and_fills_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format("units"))
    options = ("--quick", "--only", "units", "--out", tmp_path / "out", "--fill", page)
    done = command("bench", "all", *options)
    assert done.returncode == 0, done.stderr
    found = Measured.read(tmp_path / "out/units.json")
    assert found.command == "pairsieve bench units --units 200"
    assert found.tables
    assert found.tables[0].title in done.stdout
    assert "\nold\n" not in page.read_text()
    assert found.machine in page.read_text()


def test_an_unknown_name_or_page_is_refused_before_any_work(tmp_path: Path) -> None:
    for option, said in (("--only=unit", "did you mean `units`"), ("--fill=no.md", "no.md")):
        done = command("bench", "all", "--out", tmp_path / "out", option)
        assert done.returncode == 2
        assert said in done.stderr
    assert not (tmp_path / "out").exists()
    assert "units" in NAMES
