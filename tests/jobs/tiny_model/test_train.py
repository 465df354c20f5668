"""How `pairsieve-tiny` is trained, and how well it tells captions apart."""

from pathlib import Path

import numpy as np
import pytest

from pairsieve.jobs.demo_web.hard_negatives import ATTRIBUTES, caption_pair, hard_negative
from pairsieve.jobs.demo_web.scenes import Ground, Scene, Shape, random_scene
from pairsieve.jobs.tiny_model import evaluate, train
from pairsieve.jobs.tiny_model.data import one_wrong
from pairsieve.pipeline.models import clip
from pairsieve.schemas.recipe import Embed

STEPS = (2, 3)  # of the image tower alone, of both
SEED = 11  # of scenes that no training saw: its seed is another


def rng(number: int = 0) -> np.random.Generator:
    return np.random.default_rng((SEED, number))


@pytest.fixture(scope="module")
def areas() -> dict[str, float]:
    """The areas under the curve of the built-in model, by 40 scenes of each kind."""
    return evaluate.measure_areas(
        clip.load(Embed(model="pairsieve-tiny", pretrained="demo")), 40, SEED
    )


def test_captions_of_other_scenes_are_told_from_true_ones(areas: dict[str, float]) -> None:
    assert areas[evaluate.RANDOM] >= 0.98
    assert areas[evaluate.EMPTY] >= 0.98


def test_captions_wrong_in_one_attribute_are_told_from_true_ones(areas: dict[str, float]) -> None:
    assert np.mean([areas[attribute] for attribute in ATTRIBUTES]) >= 0.9


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A folder with a model after a few steps, and the losses."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train.train(folder, *STEPS, pairs=32, workers=2)


def test_a_short_training_lowers_the_loss(trained: tuple[Path, list[float]]) -> None:
    _, losses = trained
    assert len(losses) == sum(STEPS)
    for part in (losses[: STEPS[0]], losses[STEPS[0] :]):  # the second has more to learn
        assert part[-1] < part[0]


def test_what_was_trained_loads_as_any_model_does(trained: tuple[Path, list[float]]) -> None:
    folder, _ = trained
    files = (str(folder / f"pairsieve-tiny{suffix}") for suffix in (".json", ".safetensors"))
    model = clip.load(Embed(model=next(files), pretrained=next(files)))
    vectors = model.texts(["a red star on a striped blue background", "photo"])
    assert vectors.shape == (2, model.dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_same_training_gives_the_same_weights(
    trained: tuple[Path, list[float]], tmp_path: Path
) -> None:
    folder, losses = trained
    assert train.train(tmp_path, *STEPS, pairs=32, workers=1) == losses
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_the_built_in_vocabulary_and_config_are_what_training_writes(
    trained: tuple[Path, list[float]],
) -> None:
    from pairsieve.pipeline.models.builtin import MODELS

    folder, _ = trained
    for suffix in (".json", ".bpe.gz"):
        name = f"pairsieve-tiny{suffix}"
        assert (folder / name).read_bytes() == (MODELS / name).read_bytes()


STAR = Shape("star", "red", 0.2, 0.2, 0.15, 0)
RING = Shape("ring", "blue", 0.7, 0.5, 0.15, 0)
SCENE = Scene((STAR, RING), Ground("striped", "white", 12, 30), 1)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_hard_negative_differs_in_its_attribute_alone(attribute: str) -> None:
    def of(scene: Scene) -> dict[str, object]:
        return {
            "colour": [shape.colour for shape in scene.shapes],
            "kind": [shape.kind for shape in scene.shapes],
            "ground colour": scene.ground.colour,
            "ground texture": scene.ground.texture,
            "location": [(shape.x, shape.y) for shape in scene.shapes],
        }

    other = hard_negative(SCENE, attribute, rng())
    assert other is not None
    if attribute == "count":
        assert sorted(len(s.shapes) for s in (SCENE, other)) == [2, 3]
        assert {g[1:] for g in other.groups} == {g[1:] for g in SCENE.groups}
        return
    changed = {name for name, value in of(SCENE).items() if of(other)[name] != value}
    assert changed == {"location" if attribute == "relation" else attribute}


def test_swapped_shapes_reverse_the_relation() -> None:
    other = hard_negative(SCENE, "relation", rng())
    assert other is not None
    texts = [caption_pair(SCENE, other, "relation", seed) for seed in range(40)]
    pairs = [pair for pair in texts if pair]
    assert pairs
    assert all("to the left of" in ours and "to the right of" in wrong for ours, wrong in pairs)


def test_a_number_is_never_told_wrong_by_a_caption_with_locations() -> None:
    where = ("corner", "left side", "right side", "in the middle", "at the top", "at the bottom")
    words = (*where, "left of", "right of", "above", "below")
    for number in range(60):
        for _, true, wrong in one_wrong(random_scene(rng(number)), "count", rng(number)):
            assert not any(word in text for word in words for text in (true, wrong))


def test_a_moved_shape_is_elsewhere_beyond_doubt() -> None:
    for number in range(60):
        scene = random_scene(rng(number))
        other = hard_negative(scene, "location", rng(number))
        if other:
            moved = zip(scene.shapes, other.shapes, strict=True)
            far = [max(abs(a.x - b.x), abs(a.y - b.y)) for a, b in moved if a != b]
            assert len(far) == 1
            assert far[0] >= 0.25


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [([3, 4], [1, 2], 1.0), ([1, 2], [3, 4], 0.0), ([1, 3], [2, 2], 0.5), ([1], [1], 0.5)],
)
def test_the_area_is_the_share_of_couples_in_order(
    right: list[float], wrong: list[float], expected: float
) -> None:
    assert evaluate.area(np.array(right, np.float32), np.array(wrong, np.float32)) == expected
