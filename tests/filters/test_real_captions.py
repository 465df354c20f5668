"""What is known of real captions, where they are: languages and words of `languages.tsv` and alts.

Expected are the labels of the file and the bounds that were set before anything was measured.
"""

from collections import defaultdict
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.language import Language
from pairsieve.filters.words import count_words
from pairsieve.schemas.arrays import Texts
from pairsieve.schemas.columns import LANGUAGE, LANGUAGE_CONFIDENCE


def lines(file: Path) -> list[list[str]]:
    return [line.split("\t") for line in file.read_text(encoding="utf-8").split("\n") if line]


def labelled(real: Path, kind: str) -> tuple[list[str], Texts]:
    rows = [line for line in lines(real / "languages.tsv") if line[1] == kind]
    return [row[0] for row in rows], np.array([row[2] for row in rows], object)


def kept(texts: Texts) -> list[bool]:
    """Return of which texts the default rule for English keeps."""
    codes, confidences, *_ = Language().measure(text=texts)
    ledger = pa.table(
        {LANGUAGE.name: codes, LANGUAGE_CONFIDENCE.name: confidences.astype(np.float32)}
    )
    return [row[0] for row in duckdb.from_arrow(ledger).project(Language().rule()).fetchall()]


@pytest.mark.parametrize(("kind", "most"), [("sentence", 0.01), ("two words", 0.05)])
def test_few_texts_of_other_languages_are_let_in(real: Path, kind: str, most: float) -> None:
    languages, texts = labelled(real, kind)
    others = texts[np.array(languages) != "en"]
    assert len(others) == 960
    assert np.mean(kept(others)) <= most


def test_few_alt_texts_are_refused(real: Path) -> None:
    texts = np.array([line[0] for line in lines(real / "laion_captions.tsv")], object)
    assert 1 - np.mean(kept(texts)) <= 0.14


def test_sentences_have_the_right_label_in_the_best_languages(real: Path) -> None:
    languages, texts = labelled(real, "sentence")
    right = defaultdict(list)
    for language, code in zip(languages, Language().measure(text=texts)[0], strict=True):
        right[language].append(language == code)
    shares = sorted((float(np.mean(each)) for each in right.values()), reverse=True)
    assert len(shares) == 25
    assert np.mean(shares[:20]) >= 0.98


def test_no_sentence_falls_below_three_words_for_its_script(real: Path) -> None:
    _, texts = labelled(real, "sentence")
    short = [text for text in texts if count_words(text) < 3]
    assert len(short) == 3
    assert [len(text.split()) for text in short] == [2, 2, 2]  # spaces part all their words
