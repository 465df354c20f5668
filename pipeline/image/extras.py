"""Packages that only some recipes need of `gather`: they are asked for before any work."""

from pairsieve.filters import text_reader
from pairsieve.pipeline.image import faces
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def check(recipe: Recipe) -> list[str]:
    """Refuse a recipe that asks for what is not installed; warn of nothing.

    Raises:
        BadOption: a package is missing.
    """
    if recipe.image.blur == "faces":
        faces.check()
    if recipe.image.read_text and (missing := text_reader.missing()):
        raise BadOption(
            f"image.read_text: needs {' and '.join(missing)}: pip install 'pairsieve[ocr]'"
        )
    return []
