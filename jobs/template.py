"""The recipe that `pairsieve init` writes."""

import re
from importlib.resources import files

ON_VECTORS = ("clip_similarity", "nsfw")  # rules of the template that read what a model measures


def template(model: bool = True) -> str:
    """Return the template; without the model's section and the rules on it if not `model`."""
    text = (files("pairsieve.jobs") / "recipe.yaml").read_text(encoding="utf-8")
    if model:
        return text
    text = re.sub(r"^embed:\n(?:[ #].*\n)*\n", "", text, flags=re.MULTILINE)
    text = text.replace(
        "[pixels, clip_similarity, caption_words, uid]", "[pixels, caption_words, uid]"
    )
    return re.sub(rf"^  - (?:{'|'.join(ON_VECTORS)}): .*\n", "", text, flags=re.MULTILINE)
