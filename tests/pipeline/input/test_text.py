import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.reader import BadFile, Record, Rows
from pairsieve.pipeline.input.text import MAX_LINE
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input


def read(tmp_path: Path, name: str, content: bytes, **options: Any) -> list[Record]:
    path = tmp_path / name
    path.write_bytes(content)
    chosen = Input(path=str(path), **options)
    records = find_files(chosen, "")
    assert not isinstance(records.reader.read, Rows)
    return list(records.reader.read(records.files[0], chosen))


def pairs(tmp_path: Path, name: str, content: bytes, **options: Any) -> list[tuple[Any, Any]]:
    return [(record.url, record.text) for record in read(tmp_path, name, content, **options)]


def test_csv_keeps_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    content = b'url,text\r\nhttp://a,"one, ""two""\r\nthree"\r\nhttp://b,say "no"\r\n'
    expected = [("http://a", 'one, "two"\r\nthree'), ("http://b", 'say "no"')]
    assert pairs(tmp_path, "a.csv", content) == expected


@pytest.mark.parametrize(
    ("name", "head", "line"),
    [
        ("a.csv", b"url,text,note\n", "{},{},{}\n"),
        ("a.tsv", b"url\ttext\tnote\n", "{}\t{}\t{}\n"),
        ("a.jsonl", b"", '{{"url": "{}", "text": "{}", "note": "{}"}}\n'),
    ],
)
def test_what_is_not_utf8_is_no_text_and_stays_escaped(
    tmp_path: Path, name: str, head: bytes, line: str
) -> None:
    rows = [("a", "na\u00efve \u202egpj.", "x"), ("b", "caf\udce9", "\udcff"), ("\udcfe", "t", "")]
    content = head + "".join(line.format(*row) for row in rows).encode("utf-8", "surrogateescape")
    first, second, third = read(tmp_path, name, content)
    assert (first.url, first.text, first.problem) == ("a", "na\u00efve \u202egpj.", None)
    assert (second.url, second.text) == ("b", None)
    assert second.problem == "`text` is not UTF-8: caf\\xe9"
    assert second.others["text"] == "caf\\xe9"
    assert (third.url, third.text, third.others["url"]) == (None, "t", "\\xfe")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_in_another_encoding_is_refused_with_the_likely_one_and_read_in_it(
    tmp_path: Path, name: str
) -> None:
    texts = ["caf\u00e9", "plain", "Stra\u00dfe"]
    if name == "a.csv":
        content = "url,text\n" + "".join(f"a,{text}\n" for text in texts)
    else:
        content = "".join(f'{{"url": "a", "text": "{text}"}}\n' for text in texts)
    with pytest.raises(BadOption, match=r"none of 2 values .* say `input.encoding: cp1252`"):
        read(tmp_path, name, content.encode("cp1252"))
    found = read(tmp_path, name, content.encode("cp1252"), encoding="cp1252")
    assert [one.text for one in found] == texts
    for encoding in ("utf-16", "utf-16-le"):
        with pytest.raises(BadFile, match=r"looks like UTF-16; say `input.encoding: utf-16`"):
            read(tmp_path, name, content.encode(encoding))
    found = read(tmp_path, name, content.encode("utf-16"), encoding="UTF16")
    assert [one.text for one in found] == texts
    with pytest.raises(BadFile, match="not utf-16"):
        read(tmp_path, name, content.encode("utf-16")[:-1], encoding="utf-16")


def test_other_separators_and_quotes_are_read_as_the_recipe_says(tmp_path: Path) -> None:
    content = b"url;text\na;'it''s; one'\n"
    with pytest.raises(BadOption, match=r"input.delimiter: .* one cell, 'url;text'.*say .*';'"):
        read(tmp_path, "a.csv", content)
    assert pairs(tmp_path, "a.csv", content, delimiter=";", quote="'") == [("a", "it's; one")]
    assert pairs(tmp_path, "a.csv", b'url,text\na,"b\n', quote="none") == [("a", '"b')]
    assert pairs(tmp_path, "a.csv", b"url|text\na|b,c\n", delimiter="|") == [("a", "b,c")]


def test_tsv_as_pandas_writes_it(tmp_path: Path) -> None:
    import pandas as pd

    texts = ["plain", 'say "no"', "a\ttab", "two\nlines"]
    path = tmp_path / "b.tsv"
    pd.DataFrame({"url": list("abcd"), "text": texts}).to_csv(path, sep="\t", index=False)
    expected = list(zip("abcd", texts, strict=True))
    assert pairs(tmp_path, "a.tsv", path.read_bytes()) == expected
    assert pairs(tmp_path, "a.tsv", path.read_bytes(), quote='"') == expected


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    assert pairs(tmp_path, "a.csv", b"\xef\xbb\xbfurl,text\na,b\n") == [("a", "b")]
    assert pairs(tmp_path, "a.tsv", b"\xef\xbb\xbfurl\ttext\na\tb\n") == [("a", "b")]
    assert pairs(tmp_path, "a.txt", b"\xef\xbb\xbfa\n") == [("a", None)]
    assert pairs(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"url": "a", "text": "b"}\n') == [("a", "b")]


def test_ragged_rows_are_rows_and_keep_their_extra_cells(tmp_path: Path) -> None:
    records = read(tmp_path, "a.csv", b"url,lang,text\na\nb,en,t,5,6\n\nc,de,u\n")
    assert records == [
        Record("a", None, {"lang": None}),
        Record("b", "t", {"lang": "en", "extra_cells": ["5", "6"]}),
        Record("c", "u", {"lang": "de"}),
    ]


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (records,) = read(tmp_path, "a.csv", b"url,text,x,x,url\n1,2,3,4,5\n")
    assert records == Record("1", "2", {"x": "3", "x_2": "4", "url_2": "5"})


def test_without_a_header_columns_are_called_by_their_position(tmp_path: Path) -> None:
    content = b"first\thttp://a\tx\nsecond\thttp://b\ty\n"
    records = read(tmp_path, "a.tsv", content, header=False, url="1", text="0")
    assert records == [
        Record("http://a", "first", {"2": "x"}),
        Record("http://b", "second", {"2": "y"}),
    ]


def test_quotes_and_odd_line_breaks_in_tsv_are_text(tmp_path: Path) -> None:
    content = 'url\ttext\na\t"one\nb\ttwo"\r\nc\tx\ry\u2028z\n'.encode()
    expected = [("a", '"one'), ("b", 'two"'), ("c", "x\ry\u2028z")]
    assert pairs(tmp_path, "a.tsv", content) == expected


def test_a_missing_column_is_refused_with_those_there_are_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"input\.text: .* `text`; known: url, texts; .* `texts`"):
        pairs(tmp_path, "a.csv", b"url,texts\na,b\n")


def test_an_unbalanced_quote_does_not_swallow_a_huge_file(tmp_path: Path) -> None:
    content = b'url,text\na,"open\n' + b"b,line\n" * (MAX_LINE // 7 + 1)
    with pytest.raises(BadOption, match="line 2: a quote opens a cell.*field larger"):
        pairs(tmp_path, "a.csv", content)


def test_jsonl_lines_that_are_no_object_are_pairs_without_anything(tmp_path: Path) -> None:
    good = b'{"url": "a", "text": "b"}'
    lines = [good, b"{}", b"nonsense", b"[1]", b"7", b"", b"[" * 5000, b"9" * 5000, good[:15]]
    found = read(tmp_path, "a.jsonl", b"\n".join(lines))
    assert [(one.url, one.text) for one in found] == [("a", "b"), *[(None, None)] * 7]
    told = [one.problem or "" for one in found]
    assert told[:2] == ["", ""]
    assert told[3:5] == ["JSON, but no object"] * 2
    assert [told[index].startswith("no JSON: ") for index in (2, 5, 7)] == [True] * 3


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"URL": "a", "TEXT": "b"}\n' * 3, "no column `url`.*did you mean `URL`"),
        (b'{"url": "a", "caption": "b"}\n' * 3, "input.text: .*no column `text`.*url, caption"),
        (b'{\n  "url": "a",\n  "text": "b"\n}\n', "no line holds a JSON object.*several lines"),
    ],
)
def test_a_jsonl_that_lacks_a_column_in_every_line_is_refused(
    tmp_path: Path, content: bytes, match: str
) -> None:
    with pytest.raises(BadOption, match=match):
        pairs(tmp_path, "a.jsonl", content)


@pytest.mark.parametrize(
    ("content", "first", "last"),
    [
        (b'url,text\na,b\nc,"open\ne,f\n', 3, 4),
        (b'url,text\na,"open\nc,"d"\ne,f\n', 2, 3),
        (b'url,text\na,b\nc,"open', 3, 3),
        (b'url,text\na,"x"y,"more\nlines"\n', 2, 2),
    ],
)
def test_a_quote_that_swallows_lines_is_refused_with_both(
    tmp_path: Path, content: bytes, first: int, last: int
) -> None:
    match = f"a.csv, line {first}: a quote opens a cell and none closes it up to line {last}"
    with pytest.raises(BadFile, match=match):
        pairs(tmp_path, "a.csv", content)


def test_a_stray_quote_within_a_line_is_read_as_it_stands(tmp_path: Path) -> None:
    content = b'url,text\na,"x"y\nb,5" disc\nc,"two\nlines"\nd,"1"" wide"\n'
    assert pairs(tmp_path, "a.csv", content) == [
        ("a", "xy"), ("b", '5" disc'), ("c", "two\nlines"), ("d", '1" wide'),
    ]  # fmt: skip


def test_jsonl_url_and_text_are_strings_or_nothing(tmp_path: Path) -> None:
    content = b'{"url": 5, "text": {"en": "b"}, "n": {"m": 1}}\n{"url": "a", "text": 2023}\n'
    assert read(tmp_path, "a.jsonl", content) == [
        Record(
            None,
            None,
            {"url": 5, "text": {"en": "b"}, "n": {"m": 1}},
            None,
            "`url` is a number: 5",
        ),
        Record("a", None, {"text": 2023}, None, "`text` is a number: 2023"),
    ]


@pytest.mark.parametrize(
    ("rule", "text"), [("first", "one"), ("longest", "the third"), ("random(3)", None)]
)
def test_of_several_captions_one_is_the_text_and_all_stay(
    tmp_path: Path, rule: str, text: str | None
) -> None:
    captions = [" ", "one", None, "two", "the third"]
    content = json.dumps({"url": "a", "text": captions}).encode()
    (found,) = read(tmp_path, "a.jsonl", content, caption=rule)
    assert found.others == {"text": captions}
    assert found.problem is None
    assert found.text == text if text else found.text in ("one", "two", "the third")
    assert read(tmp_path, "a.jsonl", content, caption=rule) == [found]


def test_jsonl_keeps_raw_control_characters_and_surrogates_that_are_written(tmp_path: Path) -> None:
    content = b'{"url": "a\tb\x00", "text": "x\\udcff\\ud800"}\n'
    assert pairs(tmp_path, "a.jsonl", content) == [("a\tb\0", "x\udcff\ud800")]


def test_one_json_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="one object a line"):
        pairs(tmp_path, "a.json", b'[{"url": "a"},\n{"url": "b"}]')


def test_a_line_beyond_the_limit_is_one_pair_without_anything(tmp_path: Path) -> None:
    long = json.dumps({"url": "a", "text": "x" * (MAX_LINE + 5)}).encode()
    content = long + b'\n{"url": "b", "text": "c"}\n'
    assert pairs(tmp_path, "a.jsonl", content) == [(None, None), ("b", "c")]


def test_txt_is_one_url_per_line(tmp_path: Path) -> None:
    assert pairs(tmp_path, "a.txt", b"http://a\r\n\nhttp://b") == [
        ("http://a", None),
        ("http://b", None),
    ]


def test_an_empty_file_has_no_pairs(tmp_path: Path) -> None:
    assert [pairs(tmp_path, f"a.{kind}", b"") for kind in ("csv", "tsv", "jsonl", "txt")] == [
        []
    ] * 4


def test_compressed_data_that_end_early_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"http://a/%d\n" % n for n in range(9999)))
    with pytest.raises(BadOption, match="cannot be read to its end"):
        pairs(tmp_path, "a.txt.gz", whole[:-100])


def test_cells_beyond_the_header_take_no_columns_name(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a.csv", b"url,text,extra_cells\na,b,KEEP,more\n")
    assert found.others == {"extra_cells": "KEEP", "extra_cells_2": ["more"]}


def test_urls_may_end_in_a_carriage_return_alone(tmp_path: Path) -> None:
    assert pairs(tmp_path, "a.txt", b"a\rb\r\nc\r") == [("a", None), ("b", None), ("c", None)]
