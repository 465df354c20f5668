"""The recipe that `pairsieve init` writes."""

import re
import textwrap
from importlib.resources import files

from pairsieve.jobs.recipes.preset_text import comments, rules_of
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.presets import find

CLASSIFIER = """\
text:                       # a classifier's folder, and which of its classes are unsafe
  classifiers: {unsafe: {model: detoxify, positive: [toxicity]}}
"""
ON_VECTORS = ("clip_similarity", "nsfw")  # rules of the template that read what a model measures


def template(model: bool = True) -> str:
    """Return the template; without the model's section and the rules on it if not `model`."""
    text = (files("pairsieve.jobs.recipes") / "recipe.yaml").read_text(encoding="utf-8")
    if model:
        return text
    text = re.sub(r"^embed:\n(?:[ #].*\n)*\n", "", text, flags=re.MULTILINE)
    text = text.replace(
        "[pixels, clip_similarity, caption_words, uid]", "[pixels, caption_words, uid]"
    )
    return re.sub(rf"^  - (?:{'|'.join(ON_VECTORS)}): .*\n", "", text, flags=re.MULTILINE)


def preset_template(name: str, model: bool = True) -> str:
    """Return the template with the rules of a preset written out, and with the preset's model.

    Raises:
        BadOption: there is no such preset, or it needs a model.
    """
    preset = find(name, "--preset")
    if preset.model_name != "-" and not model:
        raise BadOption(f"--preset: `{name}` reads scores of a model; leave out --no-model")
    text = template(model)
    if preset.model:
        for key, value in zip(("model", "pretrained"), preset.model, strict=True):
            text = re.sub(rf"^  {key}: \S+", f"  {key}: {value}", text, count=1, flags=re.MULTILINE)
    if any("concept_balance" in entry for entry in preset.keep):
        text = text.replace("  # entries:", "  entries:")
    if any("text_classifier" in entry for entry in preset.keep):
        text = re.sub(r"^# text: .*\n", CLASSIFIER, text, flags=re.MULTILINE)
    if any("image_cluster" in entry for entry in preset.keep):
        text = text.replace("  # centroids:", "  centroids:")
    keep = "\n".join((*comments(preset), "keep:", textwrap.indent(rules_of(preset), "  "))) + "\n\n"
    return re.sub(r"^keep:.*?\n\n", lambda _: keep, text, flags=re.MULTILINE | re.DOTALL)
