"""Presets as people read them: their rules in YAML, their pass rate, comments, paragraphs."""

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from pairsieve.schemas import presets_captions, presets_datacomp, presets_laion
from pairsieve.schemas.preset import Preset
from pairsieve.schemas.presets import PRESETS

WIDTH = 98  # characters of a comment's line
HEAD = ("preset", "model", "published pass rate")
PROSE = (
    "# Presets",
    "The rules by which published datasets were chosen. `keep: {preset: NAME}` in a recipe takes "
    "them, also as an entry of the list beside other rules; `pairsieve init --preset NAME` writes "
    "them out; `pairsieve presets` lists them. `select` prints the published pass rate beside "
    "ours.",
)


def rules_of(preset: Preset) -> str:
    """Return the rules of a preset as a recipe has them."""
    return "\n".join(f"- {_written(entry)}" for entry in preset.keep)


def published(preset: Preset) -> str:
    """Return the published pass rate and of what it is, "-" where nothing is published."""
    if preset.pass_rate is None:
        return "-"
    return f"{100 * preset.pass_rate:.1f} % of {preset.passed_of}"


def comments(preset: Preset) -> Iterator[str]:
    """Yield what is to be known of a preset, as comments."""
    known = [f"{preset.title}: {preset.source}."]
    known += [f"Model: {preset.model_name}."] * (preset.model_name != "-")
    known += [f"Published: {published(preset)}."] * (preset.pass_rate is not None)
    for sentence in (*known, *preset.differs):
        yield from (f"# {line}" for line in textwrap.wrap(sentence, WIDTH))


def _written(entry: dict[str, Any]) -> str:
    """Return an entry of `keep` in one line of YAML."""
    text = yaml.safe_dump(entry, default_flow_style=True, width=1000, sort_keys=False).strip()
    return text[1:-1] if len(entry) == 1 else text


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield a row of `HEAD` for each preset."""
    for each in PRESETS.values():
        rate = "-" if each.pass_rate is None else f"{100 * each.pass_rate:.1f} %"
        yield each.name, each.model_name, rate


def paragraphs() -> Iterator[str]:
    """Yield what the documentation says of each preset, as Markdown."""
    for module in (presets_laion, presets_datacomp, presets_captions):
        yield (module.__doc__ or "").strip()
    times = Counter(sentence for preset in PRESETS.values() for sentence in preset.differs)
    shared = [sentence for sentence in times if times[sentence] > 1]
    yield "Differences that several have; all others stand with each:"
    yield "\n".join(f"- {_named(sentence)}: {sentence}" for sentence in shared)
    for preset in PRESETS.values():
        yield f"## {preset.name}"
        rate = f" Published pass rate: {published(preset)}." * (preset.pass_rate is not None)
        yield f"{preset.title}. Source: {preset.source}.{rate}"
        yield "```yaml\nkeep:\n" + textwrap.indent(rules_of(preset), "  ") + "\n```"
        if own := [sentence for sentence in preset.differs if sentence not in shared]:
            yield "\n".join(f"- {sentence}" for sentence in own)


def _named(sentence: str) -> str:
    """Return the names of the presets of which a sentence is to be known."""
    return ", ".join(f"`{name}`" for name, one in PRESETS.items() if sentence in one.differs)
