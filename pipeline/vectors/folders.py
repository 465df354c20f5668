"""How the folders of vectors and of scores are named."""

import re
from pathlib import Path

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.models import pretrained
from pairsieve.pipeline.vectors import scores
from pairsieve.schemas.recipe import Embed, Recipe


def folder(options: Embed) -> str:
    """Return the name of the model's folder: model and tag, and a hash where files are local.

    Raises:
        BadOption: a local file is missing.
    """
    names = [model_name(options.model), model_name(options.pretrained)]
    if hashed := pretrained.local_fingerprint(options):
        names.append(hashed)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "--".join(names)).lstrip(".-")


def scores_folder(options: Embed) -> str:
    """Return the name of the folder of the recipe's scores, in that of the model.

    Raises:
        BadOption: a local file is missing.
    """
    return scores_folder_in(folder(options), options)


def folders(recipe: Recipe) -> dict[str, str]:
    """Return the folder of the scores of each of the recipe's models, by name; "" is the main one.

    Raises:
        BadOption: a local file is missing.
    """
    return {model.name or "": scores_folder(model) for model in recipe.models}


def unscored_pieces(store: Store, recipe: Recipe) -> int:
    """Return how many pieces have vectors of a model of the recipe's and lack its scores."""
    unscored = 0
    for model in recipe.models:
        made, measured = (
            set(store.marker_names(vectors_folder(name)))
            for name in (folder(model), scores_folder(model))
        )
        unscored += len(made - measured)
    return unscored


def model_name(value: str) -> str:
    """Return a model or tag as people call it: of a file, its name without folder and suffix."""
    path = Path(value)
    return path.stem if path.suffix in pretrained.SUFFIXES else path.name


def scores_folder_in(model: str, options: Embed) -> str:
    """Return the folder of the recipe's scores in that of the model's vectors.

    Raises:
        BadOption: a file of a head or a classifier is missing.
    """
    return f"{model}/scores-{fingerprint(scores.shape(options))}"
