"""Encodings, by the steps of the HTML standard and the labels of the Encoding standard."""

import pytest

from pairsieve.pipeline.pages.charset import decoded, encoding_of

META = b'<meta charset="%s">'
PRAGMA = b"<META http-equiv='Content-Type' content='text/html; charset=%s'>"


def test_a_byte_order_mark_is_believed_before_all_else() -> None:
    text = "<p>é"
    assert decoded(b"\xef\xbb\xbf" + text.encode(), "text/html; charset=big5") == text
    assert decoded(b"\xff\xfe" + text.encode("utf-16-le"), None) == text


def test_the_header_is_believed_before_the_page() -> None:
    assert decoded(META % b"utf-8" + "é".encode("cp1252"), "text/html;charset=latin1")[-1] == "é"


@pytest.mark.parametrize("meta", [META, PRAGMA])
def test_the_page_says_what_the_header_does_not(meta: bytes) -> None:
    assert decoded(meta % b"Shift_JIS" + "日本".encode("cp932"), "text/html")[-2:] == "日本"


def test_a_commented_meta_says_nothing() -> None:
    page = b"<!-- " + META % b"big5" + b" -->" + META % b"koi8-r" + "ё".encode("koi8-r")
    assert decoded(page, None)[-1] == "ё"


def test_a_meta_in_utf_16_is_in_fact_utf_8() -> None:
    assert decoded(META % b"utf-16" + "é".encode(), None)[-1] == "é"


def test_a_meta_behind_the_first_1024_bytes_is_not_looked_for() -> None:
    assert decoded(b" " * 1024 + META % b"koi8-r" + b"\xa3", None)[-1] == "£"


def test_without_a_word_it_is_utf_8_or_else_windows_1252() -> None:
    assert decoded("<p>é".encode(), None) == "<p>é"
    assert decoded(b"\x80\x81\xe9", None) == "€\x81é"


def test_bytes_that_an_encoding_does_not_know_are_replaced() -> None:
    assert decoded(b"a\xffb", "text/html; charset=utf-8") == "a�b"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("GB2312", "gb18030"),
        (" iso-8859-1\n", "cp1252"),
        ("ks_c_5601-1987", "cp949"),
        ("x-sjis", "cp932"),
        ("Big5", "big5hkscs"),
        ("windows-1251", "cp1251"),
        ("iso-8859-9", "cp1254"),
        ("unicode-1-1-utf-8", "utf-8"),
        ("EUC-JP", "euc_jp"),
    ],
)
def test_labels_mean_what_the_standard_says(label: str, name: str) -> None:
    assert encoding_of(label) == name


@pytest.mark.parametrize("label", ["", "utf-7", "rot13", "hex", "idna", "zip", "no such", "utf_32"])
def test_what_is_no_encoding_of_the_web_is_none(label: str) -> None:
    assert encoding_of(label) is None
