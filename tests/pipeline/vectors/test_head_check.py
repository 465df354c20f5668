"""Which scores of a head look like those of a head of another model."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import head_check
from pairsieve.schemas.recipe import Embed

FOLDER = f"m--p/scores-{'0' * 16}"
HOW = {"violence": "the head v.npy (abc)", "concepts": "cute: the head c.npy (def); new: prompts"}


def told(tmp_path: Path, **of_slices: list[list[float]]) -> list[str]:
    """Return what is said of a dataset whose heads gave these scores, a list per task slice."""
    store = Store.at(tmp_path / "dataset")
    for number, scores in enumerate(zip(*of_slices.values(), strict=True)):
        names = [name.replace("_", ".") for name in of_slices]
        columns: dict[str, Any] = dict(zip(names, scores, strict=True))
        concept = columns.pop("concepts.cute", None)
        count = len(scores[0])
        columns["concepts"] = pa.array(
            [[("cute", value)] for value in concept] if concept else [None] * count,
            pa.map_(pa.string(), pa.float32()),
        )
        extra = {"how": HOW} | head_check.to_json(pa.table(columns), names)
        path = f"embed/{FOLDER}/{number:08d}.json"
        store.create(path, Marker(count, {}, {"scored": count}, extra).dumps())
    return list(head_check.sentences(store, [FOLDER]))


def test_a_head_that_finds_violence_in_most_pictures_is_told(tmp_path: Path) -> None:
    (said,) = told(tmp_path, violence=[[0.9] * 93 + [0.1] * 7, [0.97] * 100])
    assert said.startswith(
        "violence: the head v.npy (abc) gives half of 200 images a score of about 0.9 or more, "
        "and a median from 0 to 0.5 is usual;"
    )


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("violence", [0.0] * 60 + [0.9] * 40),
        ("violence", [0.9] * 99),  # too few to say
        ("aesthetic", [5.6] * 100),
        ("concepts_cute", [0.9] * 98 + [0.1] * 2),
    ],
)
def test_what_such_a_head_may_give_is_not_told(
    name: str, scores: list[float], tmp_path: Path
) -> None:
    assert told(tmp_path, **{name: [scores]}) == []


@pytest.mark.parametrize("rating", [-2.0, 0.4, 8.2, 40.0])
def test_ratings_that_nobody_gives_are_told(rating: float, tmp_path: Path) -> None:
    (said,) = told(tmp_path, aesthetic=[[rating] * 100])
    assert said.startswith("aesthetic: its head gives half of 100 images")


def test_a_concept_that_is_in_every_picture_is_told(tmp_path: Path) -> None:
    (said,) = told(tmp_path, concepts_cute=[[0.8] * 300])
    assert said.startswith(
        "concepts.cute: the head c.npy (def) gives more than 0.5 to 100% of 300 images;"
    )


def test_only_what_heads_measure_is_looked_at() -> None:
    scores = {"nsfw": {"head": "n.pth"}, "violence": {"prompts": {"a": ["a"], "b": ["b"]}}}
    concepts = {"cute": {"head": "c.npy"}, "map": {"prompts": {"a": ["a"], "b": ["b"]}}}
    model = {"model": "m", "pretrained": "p", "scores": scores, "concepts": concepts}
    heads = head_check.heads_of(Embed.model_validate(model))
    assert heads == ("nsfw", "concepts.cute")
    assert head_check.to_json(pa.table({"nsfw": [0.5]}), ()) == {}
    kept = head_check.to_json(pa.table({"nsfw": [0.0, 1.0, None], "concepts": [None] * 3}), heads)
    assert np.array(kept["head_scores"]["nsfw"]).nonzero()[0].tolist() == [0, 19]


def test_status_and_the_end_of_a_run_look_at_the_scores_of_the_selection() -> None:
    from pairsieve.pipeline.status import _scores

    made = {"scores": {"": FOLDER}}
    marker = Marker(1, {}, {}, {"made_by": made})
    assert _scores(Store.at("nowhere"), marker) == [FOLDER]
