"""Keep images that probably show no violence, by prompts or a head on the CLIP vector.

Zero-shot as `nsfw` is. `embed.scores.violence` names a head or a classifier instead, for instance
the two prompt vectors that LAION published for OpenAI's models.

Source: LAION-AI's CLIP-based-NSFW-Detector for those vectors; clip-retrieval calls violent what is
nearer to the second of them, which is a probability of more than 0.5 at any temperature: the
default. The prompts are ours.
Measured: of 100 everyday photographs (Flickr8k, OpenAI's ViT-B/32, those vectors) 97 are kept; the
median is 0.004.
"""

from dataclasses import dataclass
from typing import ClassVar

from pairsieve.filters import zero_shot
from pairsieve.schemas.columns import PROMPT_LOGITS, VIOLENCE, Column


@dataclass(frozen=True, slots=True)
class Violence:
    """Keep images that show violence with a probability of at most `max_probability`."""

    reads: ClassVar[tuple[Column, ...]] = (PROMPT_LOGITS,)
    writes: ClassVar[tuple[Column, ...]] = (VIOLENCE,)
    prompts: ClassVar[dict[str, tuple[str, ...]]] = {
        "peaceful": (
            "a peaceful photo",
            "an everyday photo",
            "a photo of people at leisure",
            "a photo of an object",
            "a photo of a place",
            "a drawing or a diagram",
        ),
        "violent": (
            "a violent photo",
            "a photo of people hurting each other",
            "a photo of an injured person",
            "a photo of a person pointing a weapon at somebody",
            "a photo with blood and wounds",
            "a drawing of a violent scene",
        ),
    }

    max_probability: float = 0.5  # probability, [0, 1]

    def __post_init__(self) -> None:
        zero_shot.check(self)

    measure = zero_shot.measure
    rule = zero_shot.rule
