"""Drop what may be unsafe and points to a minor, at a lower threshold than `nsfw` alone.

It always applies to a recipe with a model, before the listed rules; listing it may only make it
stricter. The score is that of `nsfw` where prompts find a minor in the image or the text names one,
and 0 elsewhere. It errs towards dropping, is no detector of illegal material and replaces no
blocklist: see docs/blocklist.md. The report shows no picture that it drops, and no shard has its
score.

Source: LAION-400M (arXiv:2111.02114), whose workers (crawlingathome) dropped what was possibly
unsafe if prompts found a minor in the image or the text held one of `teen`, `kid`, `child`, `baby`.
The prompts, the longer list of English words, whole words only, and both thresholds are ours: 0.05
is half of the limit of `nsfw`.
Measured: of 500 captions of everyday photographs (Flickr8k) the words name a minor in 55; LAION's
NSFW head for OpenAI's ViT-B/32 has 50 of the pairs above 0.05, of which the words drop 11.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.filters.base import probability
from pairsieve.schemas.arrays import Floats, Texts, Vectors
from pairsieve.schemas.columns import MINOR_SAFETY, NSFW, PROMPT_LOGITS, TEXT, Column

MAX_PROBABILITY = 0.05  # of `nsfw`; a recipe may ask for less, not for more
SEEN = 0.5  # probability from which on prompts find a minor: likelier than all else together
NAMED = re.compile(
    r"\b(?:pre-?teens?|teens?|teen-?age(?:d|rs?)?|kids?|kiddies|child(?:ren|hood)?|bab(?:y|ies)"
    r"|toddlers?|infants?|under-?aged?|minors|school-?(?:girl|boy|child)(?:s|ren)?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class MinorSafety:
    """Keep pairs that are unsafe and point to a minor with a probability of at most 0.05."""

    reads: ClassVar[tuple[Column, ...]] = (NSFW, PROMPT_LOGITS, TEXT)
    writes: ClassVar[tuple[Column, ...]] = (MINOR_SAFETY,)
    prompts: ClassVar[dict[str, tuple[str, ...]]] = {
        "nobody": (
            "a photo without people",
            "a photo of an object",
            "a photo of a place",
            "a photo of an animal",
            "a drawing or a diagram",
        ),
        "adult": (
            "a photo of an adult",
            "a photo of a woman",
            "a photo of a man",
            "a photo of grown-up people",
            "a photo of an elderly person",
        ),
        "minor": (
            "a photo of a child",
            "a photo of a baby",
            "a photo of a teenager",
            "a photo of children",
            "a drawing of a child",
        ),
    }

    max_probability: float = MAX_PROBABILITY  # probability of `nsfw`, [0, 0.05]

    def __post_init__(self) -> None:
        if not 0 <= self.max_probability <= MAX_PROBABILITY:
            raise ValueError(
                f"max_probability must be in [0, {MAX_PROBABILITY}], the limit that always holds; "
                f"got {self.max_probability}"
            )

    def measure(self, nsfw: Floats, prompt_logits: Vectors, text: Texts) -> Floats:
        """Return `nsfw` where the image or the text points to a minor, else 0; (n,), in [0, 1].

        `prompt_logits` has one column per class of `prompts`, (n, 3): cosine times temperature.
        """
        named = np.array([bool(NAMED.search(one)) for one in text], bool)
        seen = probability(prompt_logits, self.prompts, "minor") >= SEEN
        return np.where(named | seen, nsfw, 0).astype(np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{MINOR_SAFETY.name} <= {self.max_probability!r}"
