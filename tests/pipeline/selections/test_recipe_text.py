from pathlib import Path

from tests.pipeline.explore.dataset import make

from pairsieve.pipeline import report, select
from pairsieve.pipeline.dataset.paths import report_page
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.selections import overrides
from pairsieve.pipeline.selections.recipe_text import made_by, text
from pairsieve.pipeline.selections.record import Record
from pairsieve.schemas.recipe import Recipe

RECIPE = Recipe.model_validate(
    {
        "input": {"path": "/home/me/pairs.parquet"},
        "blocklist": {"files": ["/home/me/never.txt"]},
        "keep": [
            {"size": {"min_side_px": 200}, "gate": True},
            {"where": "width >= 2", "name": "wide"},
        ],
    }
)
WRITTEN = """\
keep:
- size:
    min_side_px: 200
  gate: true
- where: width >= 2
  name: wide
blocklist:
  files:
  - never.txt
"""


def test_the_recipe_is_told_without_the_places_of_files() -> None:
    assert text(RECIPE, None) == WRITTEN
    assert text(RECIPE.model_copy(update={"keep": []}), Record.of(RECIPE, {}, ())) == WRITTEN


def test_a_report_tells_the_rules_that_the_selection_was_made_by(tmp_path: Path) -> None:
    made = make(tmp_path)
    other = overrides.load(made.file, ["sharpness.min_sharpness=0.9"])
    marker = select.run(other, made.store, Serial(), "default")
    report.run(made.recipe, made.store, Serial(), "default")
    page = made.store.read(report_page("default")).decode()
    assert "sharpness &gt;= 0.9" in page
    assert "min_sharpness: 0.9" in page
    record = Record.loads(marker.extra["made_by"])
    assert made_by(record) == "the recipe recipe.yaml and --set sharpness.min_sharpness=0.9"
    assert made_by(None) == ""
