"""Keep images by the probability of a concept of your own.

The recipe defines the concept under `embed.concepts`: prompts, a head or a classifier. Every
concept is one entry of the column `concepts`; a rule may also read it as `concepts['cartoon']`.

Source: CLIP (arXiv:2103.00020), section 3.1.4, for prompt ensembles. The defaults keep everything
that is measured; a threshold depends on the concept, on how it is measured and on the model.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import CONCEPTS


@dataclass(frozen=True, slots=True)
class Concept:
    """Keep images in which the concept `name` has a probability within bounds."""

    name: str = ""  # a name under `embed.concepts`
    min_probability: float = 0.0  # probability, [0, 1]
    max_probability: float = 1.0  # probability, [0, 1]

    def __post_init__(self) -> None:
        if not 0 <= self.min_probability <= self.max_probability <= 1:
            raise ValueError(
                "min_probability and max_probability must be in [0, 1] and in this order, got "
                f"{self.min_probability} and {self.max_probability}"
            )

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bounds themselves are kept."""
        name = self.name.replace("'", "''")
        probability = f"{CONCEPTS.name}['{name}']"
        return f"{probability} BETWEEN {self.min_probability!r} AND {self.max_probability!r}"
