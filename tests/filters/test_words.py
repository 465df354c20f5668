import pytest

from pairsieve.filters.words import SEGMENTED, count_words

# (text, words): by the rules of Unicode's annex 29, by hand.
CASES = [
    ("", 0),
    (" - !", 0),
    ("dog", 1),
    ("can't stop", 2),
    ("state-of-the-art", 4),
    ("img_0123.jpg", 1),
    ("1,234.5 km", 2),
    ("dog,cat", 2),
    ("l\u2019été", 1),
    ("हिन्दी भाषा", 2),  # vowel signs and viramas are marks
    ("犬 dog", 2),
    ("我爱北京", 3),  # 我 爱 北京
    ("iPhone手机", 2),
    ("สุนัขสีน้ำตาล", 3),  # dog, colour, brown
    ("ພາສາລາວ", 2),  # 7 code points of Lao, 5 to a word
    ("བོད་སྐད་", 2),  # two syllables
    ("한국어 문장", 2),
    ("e\u0301te\u0301", 1),
]


@pytest.mark.parametrize(("text", "words"), CASES)
def test_words_are_those_of_unicode(text: str, words: int) -> None:
    assert count_words(text) == words


def test_a_long_run_is_counted_by_its_beginning() -> None:
    once = count_words("我爱北京" * (SEGMENTED // 4))
    assert count_words("我爱北京" * SEGMENTED) == pytest.approx(4 * once, abs=1)


@pytest.mark.parametrize("text", ["a." * 500_000, "é'" * 500_000, "犬" * 1_000_000])
def test_long_texts_are_counted_in_linear_time(text: str) -> None:
    assert count_words(text) >= 1
