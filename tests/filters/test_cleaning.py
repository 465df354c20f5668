import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsieve.filters.cleaning import cleaned

_WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
CASES = [
    # entities, also escaped twice
    ("AT&amp;T", "AT&T"),
    ("caf&eacute; &#8211; &#x1F436;", "café – 🐶"),
    ("fish &amp;amp; chips", "fish & chips"),
    ("1 & 2 and R&D", "1 & 2 and R&D"),
    # tags; what only looks like one stays
    ("<b>b</b>old", "bold"),
    ("Jungle<br>Dress<br/>Rayon", "Jungle Dress Rayon"),
    ('<a href="x">a dog</a>', "a dog"),
    ("&lt;b&gt;dog&lt;/b&gt;", "dog"),
    ("<<b>b>dog", "dog"),
    ("a dog<script>alert(1)</script> <!-- hidden -->runs", "a dog runs"),
    ("I <3 dogs, 2 < 3 > 1, <dog> --> <!-- cat", "I <3 dogs, 2 < 3 > 1, <dog> --> <!-- cat"),
    # encodings
    ("schÃ¶n â€œhiâ€\x9d", "schön “hi”"),
    ("schön “hi”", "schön “hi”"),
    # what nobody sees
    ("a\x00b\u200bc\ufeff\u202e\xad\ud800d", "abcd"),
    ("a cat\U000e0061\U000e0062 and \U000e0001\U0001f3f4\U000e0061", "a cat and \U0001f3f4"),
    (_WALES, _WALES),
    ("می\u200cخواهم", "می\u200cخواهم"),
    # NFC, and nothing stronger
    ("e\u0301", "é"),
    ("ﬁ Ａ ½", "ﬁ Ａ ½"),
    # spaces
    (" a\t dog\r\n\u3000runs\xa0", "a dog runs"),
    ("", ""),
    ("<br>", ""),
]


@pytest.mark.parametrize(("text", "clean"), CASES)
def test_text_is_as_it_was_meant(text: str, clean: str) -> None:
    assert cleaned(text) == clean


@pytest.mark.parametrize("text", [clean for _, clean in CASES])
def test_clean_text_stays(text: str) -> None:
    assert cleaned(text) == text


@given(st.text(alphabet="ab <>/!-&;amp#0é\u0301Ã©\u200b\n"))
def test_no_text_gains_controls_or_double_spaces(text: str) -> None:
    clean = cleaned(text)
    assert clean == " ".join(clean.split())
    assert "\u200b" not in clean


@pytest.mark.parametrize("text", ["<script>", "<!--", "<!-- -->", "&amp;", "<b", "Ã©", "&lt;"])
def test_a_megabyte_takes_no_square_of_its_length(text: str) -> None:
    assert len(cleaned(text * (1_000_000 // len(text)))) <= 1_000_000
