import pytest

from pairsieve.pipeline.counts.caption_ngrams import CHARS_READ, ngrams, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello_World, it's 3,5!", ["hello", "world", "it", "s", "3", "5"]),
        ("Naïve Ｗｉｄｅ STRASSE Straße", ["naïve", "wide", "strasse", "strasse"]),
        ("日本 dog犬", ["日", "本", "dog", "犬"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("हिन्दी का", ["हिन्दी", "का"]),  # marks belong to their letters
        ("a\0b \u202ec \U0001f600", ["a", "b", "c"]),
        ("x " * 10_000, ["x"] * (CHARS_READ // 2)),
        ("!? _", []),
    ],
)
def test_words_are_letters_and_digits_in_a_row(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_pairs_are_of_neighbours_in_order_within_a_caption() -> None:
    both = ngrams(["red dog", None, "dog red", "!"])
    assert both.sizes.tolist() == [3, 0, 3, 0]
    one, other = set(both.keys[:3].tolist()), set(both.keys[3:].tolist())
    assert len(one & other) == 2
    assert ngrams(["red dog"]).keys.tolist() == both.keys[:3].tolist()
