"""Which scores of a head look like those of a head of another model."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import head_check
from pairsieve.pipeline.vectors.head_check import HeadScores
from pairsieve.schemas.recipe import Embed

FOLDER = f"m--p/scores-{'0' * 16}"
HEADS = {
    "violence": HeadScores("the head v.npy (abc)"),
    "concepts.cute": HeadScores("the head c; d.npy (def)"),
    "concepts.good": HeadScores("the head g.safetensors (012)", (0.32, 0.68)),
}


def told(tmp_path: Path, **of_slices: list[list[float]]) -> list[str]:
    """Return what is said of a dataset whose head gave these scores, a list per task slice."""
    store = Store.at(tmp_path / "dataset")
    ((name, slices),) = of_slices.items()
    name = name.replace("_", ".")
    concept = name.removeprefix("concepts.")
    for number, scores in enumerate(slices):
        count = len(scores)
        rows = [[(concept, value)] for value in scores] if concept != name else [None] * count
        concepts = pa.array(rows, pa.map_(pa.string(), pa.float32()))
        heads = {name: HEADS.get(name, HeadScores("its head"))}
        extra = head_check.to_json(pa.table({name: scores, "concepts": concepts}), heads)
        path = f"embed/{FOLDER}/{number:08d}.json"
        store.create(path, Marker(count, {}, {"scored": count}, extra).dumps())
    return list(head_check.sentences(store, [FOLDER]))


def test_a_head_that_finds_violence_in_most_pictures_is_told(tmp_path: Path) -> None:
    (said,) = told(tmp_path, violence=[[0.9] * 93 + [0.1] * 7, [0.97] * 100])
    assert said.startswith(
        "violence: the head v.npy (abc) gives half of 200 images a score of about 0.9 or more, "
        "and a median from 0 to 0.3 is usual;"
    )


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("violence", [0.0] * 60 + [0.9] * 40),
        ("violence", [0.9] * 99),  # too few to say
        ("nsfw", [0.0] * 999),  # too few for one to be expected
        ("nsfw", [0.0] * 999 + [0.05]),
        ("concepts_good", [0.66] * 100),
        ("concepts_good", [0.34] * 100),
        ("aesthetic", [5.6] * 100),
        ("concepts_cute", [0.9] * 98 + [0.1] * 2),
    ],
)
def test_what_such_a_head_may_give_is_not_told(
    name: str, scores: list[float], tmp_path: Path
) -> None:
    assert told(tmp_path, **{name: [scores]}) == []


@pytest.mark.parametrize("rating", [-2.0, 3.4, 7.2, 40.0])
def test_ratings_that_nobody_gives_are_told(rating: float, tmp_path: Path) -> None:
    (said,) = told(tmp_path, aesthetic=[[rating] * 100])
    assert said.startswith("aesthetic: its head gives half of 100 images")


def test_a_concept_that_is_in_every_picture_is_told(tmp_path: Path) -> None:
    (said,) = told(tmp_path, concepts_cute=[[0.8] * 300])
    assert said.startswith(
        "concepts.cute: the head c; d.npy (def) gives more than 0.5 to 100% of 300 images;"
    )


@pytest.mark.parametrize("score", [0.71, 0.29])
def test_a_learned_head_is_held_to_what_it_gave_where_it_was_learnt(
    score: float, tmp_path: Path
) -> None:
    (said,) = told(tmp_path, concepts_good=[[score] * 60, [0.5] * 40])
    assert "a median from 0.32 to 0.68 is usual; these pairs are unlike those" in said


def test_a_head_that_finds_nothing_in_a_thousand_pictures_is_told(tmp_path: Path) -> None:
    (said,) = told(tmp_path, nsfw=[[0.0] * 600, [0.049] * 400])
    assert "gives none of 1,000 images a score of 0.05; this is what a head of" in said


def test_only_what_heads_measure_is_looked_at(tmp_path: Path) -> None:
    head, prompts = tmp_path / "n.pth", {"prompts": {"a": ["a"], "b": ["b"]}}
    head.touch()
    scores = {"nsfw": {"head": str(head)}, "violence": prompts}
    concepts = {"cute": {"head": str(head)}, "map": prompts}
    model = {"model": "m", "pretrained": "p", "scores": scores, "concepts": concepts}
    heads = head_check.heads_of(Embed.model_validate(model))
    assert list(heads) == ["nsfw", "concepts.cute"]
    assert heads["nsfw"].head.startswith("the head n.pth (")
    assert head_check.to_json(pa.table({"nsfw": [0.5]}), {}) == {}
    kept = head_check.to_json(pa.table({"nsfw": [0.0, 1.0, None], "concepts": [None] * 3}), heads)
    assert np.array(kept["heads"]["nsfw"]["counts"]).nonzero()[0].tolist() == [0, 19]


def test_status_and_the_end_of_a_run_look_at_the_scores_of_the_selection() -> None:
    from pairsieve.pipeline.status import _scores

    made = {"scores": {"": FOLDER}}
    marker = Marker(1, {}, {}, {"made_by": made})
    assert _scores(Store.at("nowhere"), marker) == [FOLDER]
