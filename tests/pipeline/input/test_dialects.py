import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import dialects
from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.reader import Dialect, Rows
from pairsieve.pipeline.unit import input_columns, plan_file
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import Input

Row = tuple[str, str]


def opened(path: Path, **options: Any) -> tuple[Dialect, list[tuple[str | None, str | None]]]:
    """Return how the file was taken to be written, and the pairs read of it."""
    chosen = Input.model_validate({"path": str(path), **options})
    found = find_files(chosen, "")
    assert found.reader.dialect
    assert not isinstance(found.reader.read, Rows)
    dialect = found.reader.dialect(found.files[0], chosen)
    records: Iterator[Any] = found.reader.read(found.files[0], chosen)
    return dialect, [(one.url, one.text) for one in records]


def tsv(path: Path, rows: list[Row], quoting: Any = csv.QUOTE_MINIMAL) -> Path:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter="\t", quoting=quoting, lineterminator="\n")
    writer.writerows([("url", "text"), *rows])
    path.write_text(sink.getvalue(), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("text", ['say "no"', "a\ttab", "two\nlines", 'a "b"\nc'])
def test_tsv_as_pandas_writes_it_is_read_as_quoted(tmp_path: Path, text: str) -> None:
    import pandas as pd

    path = tmp_path / "a.tsv"
    rows = [("a", "plain"), ("b", text), ("c", "end")]
    pd.DataFrame(rows, columns=["url", "text"]).to_csv(path, sep="\t", index=False)
    dialect, found = opened(path)
    assert dialect.quote == '"'
    assert found == rows


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_quoted_header_tells_that_quotes_mean_something(tmp_path: Path, quoting: int) -> None:
    rows = [("a", "plain"), ("b", "2"), ("c", 'an "odd" one')]
    dialect, found = opened(tsv(tmp_path / "a.tsv", rows, quoting))
    assert (dialect.quote, found) == ('"', rows)


@pytest.mark.parametrize(
    "text", ['"whole"', '5" screen', '"The" best', '"open', 'closed"', '"a" and "b"', '""']
)
def test_odd_quotes_in_plain_tsv_are_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"url\ttext\na\tplain\nb\t{text}\nc\tend\n")
    dialect, found = opened(path)
    assert dialect.quote is None
    assert found == [("a", "plain"), ("b", text), ("c", "end")]


def test_one_odd_quote_among_proper_ones_makes_all_of_them_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('url\ttext\na\t"say ""no"""\nb\t5" screen\n')
    assert opened(path)[1] == [("a", '"say ""no"""'), ("b", '5" screen')]


@pytest.mark.parametrize("text", ['say "no"', "two\nlines", "a\ttab"])
def test_proof_that_comes_late_is_refused_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(dialects, "SAMPLE_BYTES", 30)
    path = tsv(tmp_path / "a.tsv", [("a", "plain")] * 9 + [("b", text)])
    with pytest.raises(
        BadOption, match=r"input\.quote: .*a\.tsv, line 1[12]: .*say `input\.quote: "
    ):
        opened(path)
    assert opened(path, quote='"')[1][-1] == ("b", text)
    assert opened(path, quote="none")[1][:10] == [
        *[("a", "plain")] * 9,
        ("b", csv_cell(text).split("\n")[0].split("\t")[0]),
    ]


def csv_cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# Without a quote there may be no proof; nor where tabs make two columns of all that is in one.
PARTS = st.text(st.sampled_from('ab"\n ,é'), max_size=4)
CELLS = st.tuples(PARTS, PARTS).map('"'.join)


@given(texts=st.lists(CELLS, min_size=1, max_size=6), cut=st.integers(10, 60))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_quoted_file_is_read_as_written_or_refused_whatever_the_beginning_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], cut: int
) -> None:
    monkeypatch.setattr(dialects, "SAMPLE_BYTES", cut)
    rows = [("u", text) for text in texts]
    try:
        _, found = opened(tsv(tmp_path / "a.tsv", rows))
    except BadOption:
        return
    assert found == rows


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("a.csv", "url,text\n", {}, 'delimiter comma, quote `"`, encoding utf-8, with a header'),
        ("a.tsv", "url\ttext\n", {}, "delimiter tab, no quotes, encoding utf-8, with a header"),
        ("a.csv", "u;t\n", {"delimiter": ";", "header": False}, "delimiter semicolon, quote"),
        ("a.txt", "http://a/\n", {"encoding": "latin-1"}, "encoding iso8859-1"),
        ("a.jsonl", "{}\n", {}, "encoding utf-8"),
    ],
)
def test_what_was_taken_is_told(
    tmp_path: Path, name: str, content: str, options: dict[str, Any], told: str
) -> None:
    (tmp_path / name).write_text(content)
    chosen = Input.model_validate({"path": str(tmp_path / name), **options})
    found = find_files(chosen, "")
    assert found.reader.dialect
    assert str(found.reader.dialect(found.files[0], chosen)).startswith(told)


def test_the_plan_keeps_what_was_taken_of_each_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        tsv(tmp_path / f"in/{name}.tsv", [("u", "plain")])
    tsv(tmp_path / "in/c.tsv", [("u", 'a "b"')])
    store = Store.at(tmp_path / "out")
    plans.run(Recipe.model_validate({"input": {"path": str(tmp_path / "in")}}), store)
    kept = plan_file.read(store).dialects
    assert input_columns.dialect_sentences(kept) == [
        "Read with delimiter tab, no quotes, encoding utf-8, with a header: "
        "2 files, such as a.tsv.",
        'Read with delimiter tab, quote `"`, encoding utf-8, with a header: c.tsv.',
    ]
