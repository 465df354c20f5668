"""How the folders under `captions/` are named, and the record beside each of what was asked.

A name says what shaped the answers: model, prompt and what else is in a request, not the address of
the service, its price or how many requests are under way. So the same question is asked once per
pair, whatever else the recipe says.
"""

import re
from typing import Any

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import CAPTION_FOLDER, captions_folder, captions_record
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.files import CAPTIONS
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_captions import Captions

SHAPING = (
    "model", "prompt", "system", "columns", "image", "max_tokens", "temperature", "parameters",
)  # fmt: skip
OF = "of"  # in a marker: of which pairs the model was asked; none while it is not finished


def folder(options: Captions) -> str:
    """Return the name of what is asked: the model's, and a hash of all that shapes answers."""
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", options.model).strip(".-")[:100]
    return f"{model}-{fingerprint(_shaping(options))}"


def measured_folders(recipe: Recipe) -> dict[str, str]:
    """Return the folders of the recipe's scores by model, and that of its captions.

    Raises:
        BadOption: a local file of a model is missing.
    """
    captions = {CAPTIONS: folder(recipe.captions)} if recipe.captions else {}
    return scores_folders(recipe) | captions


def claim(store: Store, options: Captions) -> str:
    """Return `folder`, once its record is written."""
    name = folder(options)
    content = checked_json.dumps(_shaping(options), indent=1)
    if store.marker_names(CAPTION_FOLDER).count(name) == 0:
        store.create(captions_record(name), content)
    return name


def read_record(store: Store, name: str) -> dict[str, Any]:
    """Return what was asked of which model.

    Raises:
        Stopped: the record is gone or damaged.
    """
    path = captions_record(name)
    try:
        return checked_json.loads(store.read(path))
    except FileNotFoundError as error:
        raise Stopped(f"{store.location(path)}: gone; put a copy back") from error
    except ValueError as error:
        raise Stopped(f"{store.location(path)}: damaged: {error}; put a copy back") from error


def unfinished_slices(store: Store, recipe: Recipe, gathered: int) -> int:
    """Return of how many of so many gathered task slices not all has been asked."""
    if recipe.captions is None:
        return 0
    markers = store.markers(captions_folder(folder(recipe.captions))).values()
    return gathered - sum(marker.extra[OF] is not None for marker in markers)


def _shaping(options: Captions) -> dict[str, Any]:
    return options.model_dump(mode="json", include=set(SHAPING))
