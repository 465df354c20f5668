"""How the folders under `embed/` are named: one per model, in it one per way of scoring.

A name says what shaped the content. A model of open_clip's is known by its name and tag; local
files also by a hash, because another training may have the same file name. What shapes scores but
not vectors (prompts, heads, classifiers) is in a folder of its own inside that of the vectors. So
another recipe never mixes its vectors or scores with those that are there.
"""

import re
from pathlib import Path

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.models import model_files
from pairsieve.pipeline.vectors import scores
from pairsieve.schemas.recipe import Embed, Recipe


def model_folder(options: Embed) -> str:
    """Return the folder of the model's vectors: model and tag, and a hash where files are local.

    Raises:
        BadOption: a local file is missing.
    """
    names = [model_name(options.model), model_name(options.pretrained)]
    if hashed := model_files.local_fingerprint(options):
        names.append(hashed)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "--".join(names)).lstrip(".-")


def model_name(value: str) -> str:
    """Return a model or tag as people call it: of a file, its name without folder and suffix."""
    path = Path(value)
    return path.stem if path.suffix in model_files.SUFFIXES else path.name


def scores_folder(options: Embed) -> str:
    """Return the folder of the recipe's scores on the model's vectors, inside `model_folder`.

    Raises:
        BadOption: a file of the model, of a head or of a classifier is missing.
    """
    return f"{model_folder(options)}/scores-{fingerprint(scores.identity(options))}"


def scores_folders(recipe: Recipe) -> dict[str, str]:
    """Return `scores_folder` of each of the recipe's models by its name; "" is the main one.

    Raises:
        BadOption: a local file is missing.
    """
    return {model.name or "": scores_folder(model) for model in recipe.models}


def unscored_slices(store: Store, recipe: Recipe) -> int:
    """Return how many task slices have vectors of a model of the recipe's and lack its scores."""
    unscored = 0
    for model in recipe.models:
        embedded = store.marker_names(vectors_folder(model_folder(model)))
        scored = store.marker_names(vectors_folder(scores_folder(model)))
        unscored += len(set(embedded) - set(scored))
    return unscored
