"""Which classes a scorer adds up, and what it makes of its numbers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pairsieve.pipeline.vectors import scorers
from pairsieve.pipeline.vectors.scorers import LoadedScorer, PromptClasses, StoredImages
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

WIDTH = 24
RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def no_images() -> Iterator[NDArray[np.uint8]]:
    raise AssertionError("no image is needed")


UNREAD = StoredImages(no_images, np.zeros(0, np.intp))


def scorer_of(outputs: list[list[float]], positive: tuple[int, ...], rating: bool) -> LoadedScorer:
    return LoadedScorer(lambda *_: np.array(outputs), positive, rating)


def test_a_rating_is_the_number_itself() -> None:
    rating = scorer_of([[5.5], [-1]], (0,), True)
    assert rating.values(np.zeros((2, 1), np.float32), UNREAD).tolist() == [5.5, -1]


def test_one_output_is_a_logit() -> None:
    values = scorer_of([[0.0], [np.log(3)]], (1,), False).values(
        np.zeros((2, 1), np.float32), UNREAD
    )
    assert values.tolist() == pytest.approx([0.5, 0.75])


def test_probabilities_of_the_positive_classes_are_added_up() -> None:
    values = scorer_of([[0.0, 0.0, np.log(2)]], (0, 2), False).values(
        np.zeros((1, 1), np.float32), UNREAD
    )
    assert values.tolist() == pytest.approx([0.75])  # (1 + 2) of 1 + 1 + 2


def test_logits_of_prompts_are_scaled_cosines() -> None:
    classes = PromptClasses(np.array([[1, 0], [0.6, 0.8]], np.float32), 10.0)
    logits = classes.logits(np.array([[0, 1], [1, 0]], np.float32))
    assert logits.tolist() == [pytest.approx([0, 8]), pytest.approx([10, 6])]


def test_scorers_are_found_by_their_key() -> None:
    prompts = {"prompts": {"a": ["x"], "b": ["y"]}}
    scores, concepts = {"nsfw": prompts}, {"cartoon": prompts}
    options = Embed(model="m", pretrained="t", scores=scores, concepts=concepts)
    assert list(scorers.by_key(options)) == ["embed.scores.nsfw", "embed.concepts.cartoon"]


@pytest.fixture
def two_outputs(tmp_path: Path, random_model: RandomModel) -> dict[str, Any]:
    """Return the recipe's keys of a model and, at `head`, a head with two outputs for it."""
    torch.save({"weight": torch.ones(2, WIDTH), "bias": torch.zeros(2)}, tmp_path / "head.pth")
    return random_model(tmp_path, CONFIG) | {"head": str(tmp_path / "head.pth")}


def options_with(keys: dict[str, Any], **scorer: Any) -> Embed:
    files = {name: value for name, value in keys.items() if name != "head"}
    return Embed.model_validate(files | {"scores": {"nsfw": {"head": keys["head"]} | scorer}})


@pytest.mark.parametrize("scorer", [{}, {"positive": 0}, {"positive": [0, 1]}])
def test_outputs_of_a_head_are_named_by_their_index(
    two_outputs: dict[str, Any], scorer: dict[str, Any]
) -> None:
    scorers.check(options_with(two_outputs, **scorer))


@pytest.mark.parametrize("positive", [2, -1, "unsafe"])
def test_an_output_that_there_is_not_is_refused_with_the_indices(
    two_outputs: dict[str, Any], positive: int | str
) -> None:
    message = rf"nsfw\.positive: there is no class {positive!r}; indices count from 0 to 1"
    with pytest.raises(BadOption, match=message):
        scorers.check(options_with(two_outputs, positive=positive))
