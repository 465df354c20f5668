"""Drop captions by classifiers of texts, before the image is fetched.

pairsieve ships none: `text.classifiers` names folders of models that read a text and give classes,
e.g. of toxic or sexual language, with the classes whose probability counts. Any model that the
package transformers knows for this will do. Measured of the cleaned text, on the CPU.

Source: C4's successors and LAION's safety sets use such classifiers of text, e.g. Detoxify
(github.com/unitaryai/detoxify); the bound is ours.
Measured: a network of 12 layers and 768 dimensions takes 44 ms per caption and core, so gate
by words and language first. How well unsafe captions are told is a question of the model.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.filters.sequence_classifier import Positive, loaded
from pairsieve.schemas.arrays import Texts
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CLEAN_TEXT, TEXT_CLASSES


@dataclass(frozen=True, slots=True)
class Classified:
    """Gives the probabilities of classifiers, each as name, folder and positive classes."""

    reads: ClassVar[tuple[Column, ...]] = (CLEAN_TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (TEXT_CLASSES,)

    models: tuple[tuple[str, str, Positive], ...] = ()

    def measure(self, clean_text: Texts) -> Texts:
        """Return pairs of classifier and probability, in [0, 1], of each text, (n,)."""
        scores = [
            (name, loaded(path, positive).probabilities(clean_text))
            for name, path, positive in self.models
        ]
        rows = np.empty(len(clean_text), object)
        for index in range(len(clean_text)):
            rows[index] = [(name, float(of[index])) for name, of in scores]
        return rows


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """Keep captions to which `classifiers` give a probability of at most `max_probability`."""

    reads: ClassVar[tuple[Column, ...]] = Classified.reads
    writes: ClassVar[tuple[Column, ...]] = Classified.writes
    needs: ClassVar[str] = "text: {classifiers: {unsafe: {model: FOLDER, positive: CLASS}}}"

    classifiers: tuple[str, ...] = ()  # names under `text.classifiers`; none listed: all
    max_probability: float = 0.5  # [0, 1]

    def __post_init__(self) -> None:
        if isinstance(self.classifiers, str):
            raise ValueError(f"classifiers must be a list of names, got {self.classifiers!r}")
        object.__setattr__(self, "classifiers", tuple(self.classifiers))
        if not 0 <= self.max_probability <= 1:
            raise ValueError(f"max_probability must be in [0, 1], got {self.max_probability}")

    def configured(self, recipe: Recipe) -> Classified | None:
        """Return what classifies with the recipe's models, if it has any."""
        models = recipe.text.classifiers if recipe.text else {}
        named = ((name, one.model, one.positive) for name, one in sorted(models.items()))
        return Classified(tuple(named)) if models else None

    def measure(self, clean_text: Texts) -> Texts:
        """Return what `Classified` does without a model, (n,)."""
        return Classified().measure(clean_text)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        name, bound = TEXT_CLASSES.name, f"{self.max_probability!r}::FLOAT"
        if not self.classifiers:
            return f"list_max(map_values({name})) <= {bound}"
        escaped = (str(one).replace("'", "''") for one in self.classifiers)
        return " AND ".join(f"{name}['{one}'] <= {bound}" for one in escaped)
