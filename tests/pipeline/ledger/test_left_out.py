from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.jobs.job import Job
from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.left_out import check_planned, check_used, unmeasured
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

OPTIONAL = ("exposure", "low_information", "sharpness", "text_coverage", "upscaled")


def recipe(measure: Any, *rules: str, path: str = "in.tar", **sections: Any) -> Recipe:
    keep: list[dict[str, Any]] = [{rule: {}} for rule in rules]
    content = {"input": {"path": path}, "image": {"measure": measure}, "keep": keep}
    return Recipe.model_validate(content | sections)


@pytest.mark.parametrize(
    ("measure", "rules", "expected"),
    [
        ("all", ("sharpness",), ()),
        ("used", (), OPTIONAL),
        ("used", ("sharpness", "aspect_ratio"), tuple(n for n in OPTIONAL if n != "sharpness")),
        (
            ["upscaled", "exposure"],
            ("exposure",),
            ("low_information", "sharpness", "text_coverage"),
        ),
        ([], (), OPTIONAL),
    ],
)
def test_what_is_left_out(measure: Any, rules: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert unmeasured(recipe(measure, *rules)) == expected


@pytest.mark.parametrize(
    "section",
    [
        {"group": {"prefer": ["-text_coverage", "uid"]}},
        {"shard": {"columns": ["text_coverage"]}},
        {"keep": [{"where": "text_coverage < 0.5"}]},
    ],
)
def test_what_is_read_elsewhere_is_used(section: dict[str, Any]) -> None:
    assert "text_coverage" not in unmeasured(recipe("used", **section))
    with pytest.raises(BadOption, match="leaves out `text_coverage`, and .* reads"):
        unmeasured(recipe(["sharpness"], **section))


def test_a_name_of_no_such_measure_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"image\.measure\.1: `sharpnes` .* `sharpness`\?"):
        unmeasured(recipe(["exposure", "sharpnes"]))
    with pytest.raises(BadOption, match=r"image\.measure\.0: `perceptual_hash` is no measure"):
        unmeasured(recipe(["perceptual_hash"]))


def test_a_plan_that_leaves_out_more_than_the_recipe_is_refused() -> None:
    check_planned(recipe("used", "sharpness"), ["exposure"])
    for measure in ("all", ["exposure"]):
        with pytest.raises(BadOption, match="was planned without `exposure`"):
            check_planned(recipe(measure), ["exposure"])
    with pytest.raises(BadOption, match="was planned without `exposure`"):
        check_planned(recipe("used", "exposure"), ["exposure", "sharpness"])


def test_a_dataset_lacks_what_was_left_out_and_a_rule_on_it_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(noise).save(tmp_path / "in/one.png")
    (tmp_path / "in/one.txt").write_text("a picture of noise")
    one = recipe("used", "sharpness", path=str(tmp_path / "in"))
    store = Store.at(tmp_path / "dataset")
    planned = plan.run(one, store)
    assert planned.sentences() == [
        "Not measured, as `image.measure` says: `exposure`, `low_information`, `text_coverage`, "
        "`upscaled`."
    ]
    for _ in gather.run(one, store, planned, Serial()):
        continue
    (marker,) = store.markers("gather").values()
    with store.reader(marker.file(".parquet")) as source:
        (row,) = pq.read_table(source).to_pylist()
    made = [name for name in ("sharpness", "perceptual_hash", "dhash") if row[name] is not None]
    assert made == ["sharpness", "perceptual_hash", "dhash"]
    assert row["outcome"] == "ok"
    assert row["text_coverage"] is row["upscaled"] is row["exposure_dark"] is None
    check_used(one, planned.left_out)
    later = tmp_path / "later.yaml"
    later.write_text(f"input: {{path: {one.input.path}}}\nkeep: [text_coverage: {{}}]\n")
    with pytest.raises(BadOption, match="the rule `text_coverage` in `keep` reads `text_coverage`"):
        Job(later, str(tmp_path / "dataset"), verbs=("select",))
