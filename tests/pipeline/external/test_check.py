from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline.external import check
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

MODEL = {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}


def recipe(*keep: dict[str, Any], **sections: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep, **sections})


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    hashes = {"uid": ["a"], "perceptual_hash": pa.array([1], pa.uint64())}
    pq.write_table(pa.table(hashes), tmp_path / "h.parquet")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    return {
        "known": {"datasets": [str(tmp_path / "h.parquet")]},
        "decontaminate": {"sets": [{"name": "val", "path": str(tmp_path / "a.png")}]},
    }


def test_a_rule_without_its_section_is_refused() -> None:
    with pytest.raises(BadOption, match="has no `known`; list there the earlier `datasets`"):
        check.check(recipe({"known": {}}))
    with pytest.raises(BadOption, match="has no `decontaminate`; list there the `sets`"):
        check.check(recipe({"eval_overlap": {}}))
    with pytest.raises(BadOption, match="has no `known`"):
        check.check(recipe({"where": "KNOWN_distance IS NULL"}))


def test_a_section_without_a_rule_is_worth_a_warning(sections: dict[str, Any]) -> None:
    known, evaluation = check.check(recipe(**sections))
    assert "no rule in `keep` decides on what it finds; `- known: {}` drops it" in known
    assert "`- eval_overlap: {}` drops it" in evaluation


def test_sections_with_their_rules_are_right(sections: dict[str, Any]) -> None:
    assert check.check(recipe({"known": {}}, {"eval_overlap": {}}, **sections)) == []


def test_to_keep_the_newer_and_to_drop_them_is_refused(sections: dict[str, Any]) -> None:
    newer = {"known": sections["known"] | {"keep": "newer"}}
    assert check.check(recipe(**newer)) == []
    with pytest.raises(BadOption, match="`newer` keeps what is known, and the rule `known` drops"):
        check.check(recipe({"known": {}}, **newer))


def test_cosines_need_vectors_and_vectors_a_model(sections: dict[str, Any]) -> None:
    rule = {"eval_overlap": {"min_cosine": 0.9}}
    with pytest.raises(BadOption, match="say `vectors: true` in `decontaminate`"):
        check.check(recipe(rule, embed=MODEL, **sections))
    sections["decontaminate"]["vectors"] = True
    with pytest.raises(BadOption, match=r"decontaminate.vectors: needs a model"):
        check.check(recipe({"eval_overlap": {}}, decontaminate=sections["decontaminate"]))
    assert check.check(recipe(rule, {"known": {}}, embed=MODEL, **sections)) == []


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    known = {"datasets": [str(tmp_path / "none.parquet")]}
    with pytest.raises(BadOption, match=r"known.datasets: .*none.parquet: no such file"):
        check.check(recipe({"known": {}}, known=known))
