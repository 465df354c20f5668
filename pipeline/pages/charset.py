"""The text of an HTML page: which encoding its bytes are in, by the rules of the HTML standard.

A byte order mark is believed first, then the HTTP header, then a `meta` in the first 1,024 bytes.
Where none says anything, what is UTF-8 is that and everything else Windows-1252. Bytes that the
encoding does not know become U+FFFD, as in a browser.

Source: https://html.spec.whatwg.org/multipage/parsing.html#determining-the-character-encoding and
https://encoding.spec.whatwg.org/#names-and-labels
"""

import codecs
import re

PRESCANNED_BYTES = 1024
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"))
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[\s/]+((?:\"[^\"]*\"|'[^']*'|[^>\"'])*)>?", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([^\s/>=]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]*)))?")
_CHARSET = re.compile(rb"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))", re.IGNORECASE)
_HTTP_CHARSET = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]+))", re.IGNORECASE)

# Labels of the standard that mean something else, or nothing, to Python.
_LABELS = {
    **dict.fromkeys(
        ("ascii", "us-ascii", "ansi_x3.4-1968", "cp819", "ibm819", "iso_8859-1", "iso_8859-1:1987",
         "iso-8859-1", "iso-ir-100", "iso88591", "iso8859-1", "l1", "latin1", "csisolatin1",
         "windows-1252", "cp1252", "x-cp1252", "x-user-defined"),
        "cp1252",
    ),
    **dict.fromkeys(
        ("iso-8859-9", "iso8859-9", "iso88599", "iso_8859-9", "latin5", "l5", "csisolatin5",
         "x-cp1254"),
        "cp1254",
    ),
    **dict.fromkeys(("tis-620", "iso-8859-11", "iso8859-11", "dos-874", "windows-874"), "cp874"),
    **dict.fromkeys(
        ("gb2312", "gbk", "x-gbk", "gb_2312", "gb_2312-80", "chinese", "csgb2312", "iso-ir-58",
         "csiso58gb231280"),
        "gb18030",
    ),
    **dict.fromkeys(("big5", "big5-hkscs", "cn-big5", "csbig5", "x-x-big5"), "big5hkscs"),
    **dict.fromkeys(
        ("euc-kr", "korean", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "ksc_5601",
         "windows-949", "cseuckr", "csksc56011987", "iso-ir-149"),
        "cp949",
    ),
    **dict.fromkeys(
        ("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "ms932", "windows-31j",
         "csshiftjis"),
        "cp932",
    ),
    **dict.fromkeys(("x-euc-jp", "cseucpkdfmtjapanese"), "euc_jp"),
    **dict.fromkeys(("utf-16", "utf-16le", "unicode", "ucs-2", "csunicode"), "utf-16-le"),
    **dict.fromkeys(("utf-16be", "unicodefffe"), "utf-16-be"),
    **dict.fromkeys(("unicode-1-1-utf-8", "x-unicode20utf8", "unicode11utf8"), "utf-8"),
    **{f"x-cp125{digit}": f"cp125{digit}" for digit in (0, 1, 3, 5, 6, 7, 8)},
    **dict.fromkeys(("x-mac-cyrillic", "x-mac-ukrainian"), "mac_cyrillic"),
    **dict.fromkeys(("macintosh", "mac", "x-mac-roman", "csmacintosh"), "mac_roman"),
    **dict.fromkeys(("koi", "koi8", "koi8-r", "koi8_r", "cskoi8r"), "koi8_r"),
    **dict.fromkeys(("koi8-ru", "koi8-u"), "koi8_u"),
    **dict.fromkeys(("iso-8859-8-i", "logical", "visual", "csiso88598i"), "iso8859_8"),
    "arabic": "iso8859_6",
    "greek": "iso8859_7",
    "hebrew": "iso8859_8",
    "cyrillic": "iso8859_5",
}  # fmt: skip
_KNOWN = re.compile(  # Python's own codecs that are encodings of the web too
    r"utf-?8|(?:windows-|cp)(?:125[0-8]|866)|ibm866|iso-?8859-?(?:[2-8]|1[03-6])|euc[-_]jp"
    r"|gb18030|iso-2022-jp|latin[246]|sun_eu_greek|ecma-11[48]|elot_928"
)


def decoded(body: bytes, content_type: str | None) -> str:
    """Return the text of a page, given the Content-Type of its response."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    declared = _of_header(content_type) or _of_meta(body[:PRESCANNED_BYTES])
    if declared:
        return _text(body, declared)
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _text(body, "cp1252")


def encoding_of(label: str) -> str | None:
    """Return Python's name of the encoding that a label stands for, None where it is unknown."""
    folded = label.strip("\t\n\f\r ").lower()
    if name := _LABELS.get(folded):
        return name
    if not _KNOWN.fullmatch(folded):
        return None
    try:
        return codecs.lookup(folded).name
    except LookupError:
        return None


def _text(body: bytes, encoding: str) -> str:
    """Return the text; bytes that Windows code pages leave open are control characters."""
    if encoding != "cp1252":
        return body.decode(encoding, "replace")
    return body.decode("latin-1").translate(_WINDOWS_1252)


_WINDOWS_1252 = {
    byte: bytes([byte]).decode("cp1252")
    for byte in range(0x80, 0xA0)
    if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def _of_header(content_type: str | None) -> str | None:
    """Return the encoding that an HTTP header names."""
    found = _HTTP_CHARSET.search(content_type or "")
    return encoding_of(found[1] or found[2] or "") if found else None


def _of_meta(beginning: bytes) -> str | None:
    """Return the encoding that the first `meta` with a known one names."""
    for meta in _META.finditer(_COMMENT.sub(b"", beginning)):
        values: dict[bytes, bytes] = {}
        for name, *quoted in _ATTRIBUTE.findall(meta[1]):
            values.setdefault(name.lower(), b"".join(quoted))
        label = values.get(b"charset")
        if label is None and values.get(b"http-equiv", b"").lower() == b"content-type":
            found = _CHARSET.search(values.get(b"content", b""))
            label = b"".join(part or b"" for part in found.groups()) if found else None
        name = encoding_of(label.decode("latin-1")) if label else None
        if name:  # a page in UTF-16 could not have been read so far
            return "utf-8" if name.startswith("utf-16") else name
    return None
