"""What leaves a selection when its pairs are taken out."""

from math import nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.input_tar import gradient

from pairsieve.pipeline import forget, gather, plan, select
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.schemas.recipe import Recipe


def test_a_funnel_by_the_top_of_any_column_is_that_of_a_selection_made_anew(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "url": [f"https://example.org/{number}" for number in range(6)],
        "text": [f"a picture {number}" for number in range(6)],
        "png": [gradient(30 * number) for number in range(6)],
        "select": [nan, 0.1, None, 0.3, nan, 0.5],
    }
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    recipe = Recipe.model_validate(
        {
            "input": {"path": str(tmp_path / "in.parquet"), "image": "png"},
            "keep": [{"top_fraction": 0.4, "of": "select"}],
        }
    )
    store = Store.at(tmp_path / "out")
    list(gather.run(recipe, store, plan.run(recipe, store), Serial()))
    select.run(recipe, store, Serial(), "default")
    forget.run(store, Serial(), keys({"url": columns["url"][:4:3]}, ()), "")
    there = store.marker(select_marker("default"))
    assert there
    assert [row["unmeasured"] for row in there.extra["funnel"]][-1] == 2
    store.delete([select_marker("default")])
    again = select.run(recipe, store, Serial(), "default")
    assert (there.counts, there.extra["funnel"]) == (again.counts, again.extra["funnel"])
