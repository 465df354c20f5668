"""How well a model tells true captions of drawn scenes from wrong ones, on scenes kept aside.

The figure is the area under the ROC curve over all pictures together, as one threshold serves all
of them: the share of (true, wrong) couples, of any two pictures, in which the true one scores more.

    python -m pairsieve.jobs.tiny_model.evaluate
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pairsieve.jobs.demo_web.captions import true_caption
from pairsieve.jobs.demo_web.hard_negatives import ATTRIBUTES
from pairsieve.jobs.demo_web.scenes import Scene, random_scene
from pairsieve.jobs.tiny_model.data import empty_captions, one_wrong, picture
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.builtin import MODELS, TINY
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.schemas.arrays import Floats
from pairsieve.schemas.recipe import Embed

RANDOM, EMPTY = "another scene", "empty"


def measure_areas(model: ClipModel, scenes: int, seed: int) -> dict[str, float]:
    """Return the area under the curve per kind of wrong caption, of so many scenes each.

    Its keys are RANDOM (a true caption of another scene), EMPTY (one that says nothing) and
    ATTRIBUTES (wrong in one attribute, right in everything else).
    """
    rng = np.random.default_rng((seed, 2))
    drawn = [random_scene(rng) for _ in range(scenes)]
    texts = [true_caption(scene, rng) for scene in drawn]
    images = _images(model, drawn, rng)
    right = _cosines(images, model.texts(texts))
    wrong = {
        RANDOM: np.roll(texts, 1).tolist(),
        EMPTY: empty_captions(rng, scenes),
    }
    areas = {
        name: area(right, _cosines(images, model.texts(captions)))
        for name, captions in wrong.items()
    }
    return areas | {name: _attribute(model, name, scenes, seed) for name in ATTRIBUTES}


def _attribute(model: ClipModel, attribute: str, scenes: int, seed: int) -> float:
    """Return the area for captions that are wrong in `attribute` alone."""
    rng = np.random.default_rng((seed, 3))
    drawn: list[Scene] = []
    right, wrong = [], []
    while len(drawn) < scenes:
        scene = random_scene(rng)
        for _, true, false in one_wrong(scene, attribute, rng):
            drawn.append(scene)
            right.append(true)
            wrong.append(false)
    images = _images(model, drawn, rng)
    return area(*(_cosines(images, model.texts(texts)) for texts in (right, wrong)))


def _images(model: ClipModel, scenes: list[Scene], rng: np.random.Generator) -> NDArray[np.float32]:
    return model.images(picture(scene, rng, degraded=False) for scene in scenes)


def _cosines(images: NDArray[np.float32], texts: NDArray[np.float32]) -> Floats:
    """Return the cosine of each image to its text, (n,)."""
    cosines: Floats = np.einsum("nd,nd->n", images, texts)
    return cosines


def area(right: Floats, wrong: Floats) -> float:
    """Return the chance that one of `right` is larger than one of `wrong`; a tie is a half."""
    ordered = np.sort(wrong)
    below = np.searchsorted(ordered, right, "left") + np.searchsorted(ordered, right, "right")
    return float(below.mean() / 2 / len(wrong))


def main(
    folder: Annotated[Path, typer.Argument(help="Where the model is.")] = MODELS,
    scenes: Annotated[int, typer.Option("--scenes", min=2, help="Scenes of each kind.")] = 500,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes.")] = 1,
) -> None:
    """Print the areas under the curve."""
    files = [str(folder / f"{TINY}{suffix}") for suffix in (".json", ".safetensors")]
    areas = measure_areas(clip.load(Embed(model=files[0], pretrained=files[1])), scenes, seed)
    for name, each in areas.items():
        typer.echo(f"{name:16} {each:.3f}")
    typer.echo(f"{'mean attribute':16} {np.mean([areas[name] for name in ATTRIBUTES]):.3f}")


if __name__ == "__main__":
    typer.run(main)
