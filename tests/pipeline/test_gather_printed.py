import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.filters.printed_cards import card
from tests.gathering import rows_of_one_unit

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def recipe(path: Path, **sections: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": str(path), "image": "image"}} | sections)


def ledger(folder: Path, **image: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    Image.fromarray(card("Summer sale")).save(file, "PNG")
    rows = {
        "url": ["http://example.org/a.png", "http://example.org/b.png"],
        "text": ["Summer sale", "a grey card"],
        "image": [file.getvalue()] * 2,
    }
    pq.write_table(pa.table(rows), folder / "pairs.parquet")
    made = recipe(folder / "pairs.parquet", image=image)
    store = Store.at(folder / "dataset")
    return rows_of_one_unit(made, store)


def test_what_is_printed_is_read_and_compared_with_the_caption(tmp_path: Path) -> None:
    rows = ledger(tmp_path, read_text=True)
    assert [row["printed_text"] for row in rows] == ["Summer sale"] * 2
    assert [row["printed_share"] for row in rows] == [1, 0]
    assert rows[0]["printed_area"] == rows[1]["printed_area"] > 0


def test_nothing_is_read_where_the_recipe_does_not_say_so(tmp_path: Path) -> None:
    for row in ledger(tmp_path):
        assert row["printed_text"] is row["printed_share"] is row["printed_area"] is None
        assert row["sharpness"] is not None


@pytest.mark.parametrize("rule", [{"printed_share": {}}, {"where": "printed_area < 0.1"}])
def test_a_rule_on_what_is_not_read_is_refused(tmp_path: Path, rule: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=r"is only measured with `image: \{read_text: true\}`"):
        rules(recipe(tmp_path, keep=[rule]))
    rules(recipe(tmp_path, keep=[rule], image={"read_text": True}))
