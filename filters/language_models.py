"""Models of a language by KenLM: how surprising a text is to one.

Read by `kenlm`, of which the package ufal-kenlm has wheels. What it prints while it reads goes
nowhere, since a task's output is not the place for it.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pairsieve.filters.word_lists import CHARS_READ

PACKAGE = "kenlm"


class _Model(Protocol):
    def perplexity(self, sentence: str) -> float: ...


class LanguageModel:
    """Tells the perplexity of texts, cut into pieces by a model of SentencePiece, or at spaces."""

    def __init__(self, model: str, pieces: str | None, ignore_case: bool) -> None:
        """Read the models.

        Raises:
            OSError: one cannot be read.
        """
        import kenlm

        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        self._model: _Model = kenlm.Model(model, config)
        self._pieces: Any = _pieces(pieces) if pieces else None
        self._ignore_case = ignore_case

    def perplexity(self, text: str) -> float:
        """Return the perplexity of the first 10,000 code points of a text, at least 1."""
        text = text[:CHARS_READ].encode("utf-8", "ignore").decode().replace("\0", " ")
        text = text.casefold() if self._ignore_case else text
        if self._pieces:
            text = " ".join(self._pieces.encode(text, out_type=str))
        return self._model.perplexity(text)


def _pieces(path: str) -> Any:
    """Return a model of SentencePiece."""
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=path)


@lru_cache(maxsize=1)
def loaded(model: str, pieces: str | None, ignore_case: bool) -> LanguageModel:
    """Return a model, read once per process."""
    return LanguageModel(model, pieces, ignore_case)


def check(model: str, pieces: str | None) -> None:
    """Refuse models that cannot be read here.

    Raises:
        ValueError: saying why, and what to install.
    """
    if find_spec(PACKAGE) is None:
        raise ValueError("needs the package ufal-kenlm: pip install 'pairsieve[kenlm]'")
    if pieces and find_spec("sentencepiece") is None:
        raise ValueError("`pieces` needs sentencepiece: pip install 'pairsieve[kenlm]'")
    for path in (model, pieces):
        if path and not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
    try:
        LanguageModel(model, pieces, False)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{model}: not a model of KenLM: {error}") from error
