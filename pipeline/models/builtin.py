"""The models that come with pairsieve: their files, found by the name and tag that a recipe says.

There is one, `pairsieve-tiny` with the tag `demo`: trained on the demo's drawn scenes
(`jobs/tiny_model/train.py`) for the demo and the tests, and of no use for real pictures.
"""

from pathlib import Path

from pairsieve.pipeline.models.model_files import CHECKPOINTS
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed

TINY, DEMO = "pairsieve-tiny", "demo"
TAGS = {TINY: (DEMO,)}
MODELS = Path(__file__).parent


def is_complete(options: Embed) -> bool:
    """Return True where both architecture and weights are a model of ours."""
    return options.pretrained in TAGS.get(options.model, ())


def as_files(options: Embed) -> Embed:
    """Return `options` with the paths of config and weights where they name a model of ours.

    A checkpoint of the user's own stays: `pretrained` may name one for our architecture too.

    Raises:
        BadOption: a model of ours has no such tag.
    """
    tags = TAGS.get(options.model)
    if tags is None:
        return options
    files = {"model": str(MODELS / f"{options.model}.json")}
    if options.pretrained in tags:
        files["pretrained"] = str(MODELS / f"{options.model}.safetensors")
    elif not options.pretrained.endswith(CHECKPOINTS):
        raise BadOption(
            f"embed.pretrained: `{options.model}` has no pretrained tag `{options.pretrained}`; "
            f"{nearest(options.pretrained, list(tags))}"
        )
    return options.model_copy(update=files)
