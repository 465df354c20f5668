"""Keep images that probably bear no watermark, by prompts or a head on the CLIP vector.

Zero-shot as `nsfw` is, and weaker: a watermark is a detail, of which one vector keeps little. LAION
scored its datasets by an image classifier instead: `embed.scores.watermark`.

Source: the default 0.5 is the limit in the model card of Stable Diffusion 1.2, for LAION's own
classifier, taken over as a start. The prompts are ours.
"""

from dataclasses import dataclass
from typing import ClassVar

from pairsieve.filters import zero_shot
from pairsieve.schemas.columns import PROMPT_LOGITS, WATERMARK, Column


@dataclass(frozen=True, slots=True)
class Watermark:
    """Keep images that bear a watermark with a probability of at most `max_probability`."""

    reads: ClassVar[tuple[Column, ...]] = (PROMPT_LOGITS,)
    writes: ClassVar[tuple[Column, ...]] = (WATERMARK,)
    prompts: ClassVar[dict[str, tuple[str, ...]]] = {
        "clean": (
            "a photo without any text on it",
            "a clean photo",
            "a photo without a watermark",
            "a drawing without a watermark",
        ),
        "watermarked": (
            "a photo with a watermark across it",
            "a stock photo with a watermark",
            "a photo with a copyright notice laid over it",
            "a preview image with a transparent logo over it",
        ),
    }

    max_probability: float = 0.5  # probability, [0, 1]

    def __post_init__(self) -> None:
        zero_shot.check(self)

    measure = zero_shot.measure
    rule = zero_shot.rule
