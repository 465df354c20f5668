"""Evaluation sets drawn like the demo's web: kinds and colours of a shape, scenes to retrieve.

    python -m pairsieve.jobs.evaluation.drawn_sets FOLDER

They are for models that were trained on such drawings; no scene of a demo is among them.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import simplejpeg
import typer

from pairsieve.jobs.demo_web.captions import true_caption
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import COLOURS, KINDS, Scene, random_scene

SIDE = 256  # px
SHADE = 7  # of the seed: that no scene is drawn as one of a web
TEMPLATES = {
    "kinds": ("a picture of a {c}", "a {c} on a background", "photo of a {c} against a wall"),
    "colours": ("a picture of a {c} shape", "a {c} shape on a background", "{c} shapes"),
}
NAMES = {"kinds": KINDS, "colours": tuple(COLOURS)}
SETS = """\
kinds: {zero_shot: kinds}
colours: {zero_shot: colours}
scenes: {retrieval: scenes}
"""


def write(folder: Path, of_class: int, scenes: int, seed: int = 0) -> Path:
    """Write the sets into `folder`; return the file that names them, for `--sets`.

    Args:
        folder: Where to.
        of_class: Pictures of each class.
        scenes: Scenes to retrieve.
        seed: Of all that is drawn.
    """
    for name, classes in NAMES.items():
        rng = np.random.default_rng((seed, SHADE, len(classes)))
        root = folder / name
        for number, each in enumerate(sorted(classes)):
            for picture in range(of_class):
                scene = _single(rng, name, each)
                _save(root / f"{number:02d}" / f"{picture:04d}.jpg", scene)
        (root / "classnames.txt").write_text("\n".join(sorted(classes)))
        (root / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES[name]))
    rng = np.random.default_rng((seed, SHADE))
    for number in range(scenes):
        scene = random_scene(rng)
        path = folder / "scenes" / f"{number:05d}.jpg"
        _save(path, scene)
        path.with_suffix(".txt").write_text(true_caption(scene, rng))
    (folder / "sets.yaml").write_text(SETS)
    return folder / "sets.yaml"


def _single(rng: np.random.Generator, what: str, wanted: str) -> Scene:
    """Return a scene of one shape, or of several that are alike, of this kind or colour."""
    while True:
        scene = random_scene(rng)
        if len(scene.groups) == 1:
            _, colour, kind = scene.groups[0]
            if (kind if what == "kinds" else colour) == wanted:
                return scene


def _save(path: Path, scene: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ascontiguousarray(draw(scene, SIDE, SIDE))
    path.write_bytes(simplejpeg.encode_jpeg(pixels, 85, "RGB"))


def main(
    folder: Annotated[Path, typer.Argument(help="Where to write.")],
    of_class: Annotated[int, typer.Option("--of-class", min=1, help="Pictures of a class.")] = 50,
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="Scenes to retrieve.")] = 500,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the scenes.")] = 0,
) -> None:
    """Write the sets and say where the file is that names them."""
    typer.echo(write(folder, of_class, scenes, seed))


if __name__ == "__main__":
    typer.run(main)
