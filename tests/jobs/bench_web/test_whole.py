"""`bench pipeline` without its runs: the recipes that it writes, and what it prints."""

from pathlib import Path

import pytest

from pairsieve.jobs.bench_contestants.process_costs import ProcessCost
from pairsieve.jobs.bench_web import whole
from pairsieve.jobs.bench_web.contest import WebCost, write_pairs
from pairsieve.pipeline import check
from pairsieve.pipeline.ledger.left_out import unmeasured
from pairsieve.schemas.recipe_file import load


def test_the_recipes_differ_in_measures_and_rules(tmp_path: Path) -> None:
    benchmark = whole.PipelineBenchmark(pairs=3).of_side(512)
    write_pairs(benchmark, tmp_path, 8080)
    found = []
    for rules in (whole.RULES, ()):
        path, _ = whole._written(benchmark, tmp_path, 8080, rules)
        recipe = load(Path(path))
        check.check(recipe)
        found.append((recipe.image.min_side, len(unmeasured(recipe)), len(recipe.keep)))
    assert found == [(512, 0, 7), (512, 5, 1)]


def test_costs_are_printed_as_shares_of_img2dataset(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    costs = {
        whole.ALL: [
            WebCost(ProcessCost(1.0, cpu_s, 300.4, 0.0, "", 150.2), 100) for cpu_s in (1, 0.7, 0.6)
        ],
        whole.OTHER: [WebCost(ProcessCost(1.0, 1.0, 200.0, 250.0, ""), 100)],
    }
    whole._print(whole.PipelineBenchmark().of_side(256), costs)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert rows == [
        [whole.ALL, "100", "7.00", "0.70", "0.60", "300", "150"],
        [whole.OTHER, "100", "10.00", "1.00", "-", "250", "0"],
    ]
