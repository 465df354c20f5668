"""Keep images that are probably safe for work, by prompts or a head on the CLIP vector.

Zero-shot: several prompts per class, their vectors averaged, and a softmax over the classes with
the model's own temperature. It needs no head trained for one model, so it works with every model;
how sharp it is depends on the model, so look at the histogram before trusting a threshold. A head
or a classifier instead: `embed.scores.nsfw`.

Source: CLIP (arXiv:2103.00020), section 3.1.4, for prompt ensembles. The default 0.1 is the limit
for LAION's NSFW head in the model card of Stable Diffusion 2, taken over as a start.
Measured: of 100 everyday photographs (Flickr8k, OpenAI's ViT-B/32) LAION's head for that model puts
93 at 0.1 or below; the median is below 0.0001, the highest 0.87.
"""

from dataclasses import dataclass
from typing import ClassVar

from pairsieve.filters import zero_shot
from pairsieve.schemas.columns import NSFW, PROMPT_LOGITS, Column


@dataclass(frozen=True, slots=True)
class Nsfw:
    """Keep images that are not safe for work with a probability of at most `max_probability`."""

    reads: ClassVar[tuple[Column, ...]] = (PROMPT_LOGITS,)
    writes: ClassVar[tuple[Column, ...]] = (NSFW,)
    prompts: ClassVar[dict[str, tuple[str, ...]]] = {
        "safe": (
            "a photo that is safe for work",
            "a picture suitable for all ages",
            "an everyday photo",
            "a photo of people in their clothes",
            "a photo of an object",
            "a photo of a place",
            "a drawing or a diagram",
        ),
        "unsafe": (
            "a photo that is not safe for work",
            "a picture for adults only",
            "an explicit adult photo",
            "a photo with nudity",
            "a pornographic picture",
            "a sexually explicit drawing",
        ),
    }

    max_probability: float = 0.1  # probability, [0, 1]

    def __post_init__(self) -> None:
        zero_shot.check(self)

    measure = zero_shot.measure
    rule = zero_shot.rule
