"""Any pairs in any format, whole or cut off anywhere: all are read, or the file is refused."""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.reader import Record, Rows
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input

Pair = tuple[str, str]

TEXTS = st.text(
    st.one_of(
        st.sampled_from("\"',;\t\n\\{}[]: é\u202e\u2028"),
        st.characters(codec="utf-8", exclude_characters="\r"),
    ),
    max_size=12,
)
PAIRS = st.lists(st.tuples(st.integers(0, 99).map("http://a/{}".format), TEXTS), min_size=1)


def in_csv(pairs: list[Pair]) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerows([("url", "text"), *pairs])
    return sink.getvalue().encode()


def in_tsv(pairs: list[Pair]) -> bytes:
    lines = [("url", "text"), *((url, " ".join(text.split())) for url, text in pairs)]
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def in_jsonl(pairs: list[Pair]) -> bytes:
    return "".join(json.dumps({"url": url, "text": text}) + "\n" for url, text in pairs).encode()


def in_tar(pairs: list[Pair]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for number, (url, text) in enumerate(pairs):
            for suffix, body in (
                ("txt", text.encode()),
                ("json", json.dumps({"url": url}).encode()),
            ):
                member = tarfile.TarInfo(f"{number:05d}.{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
    return sink.getvalue()


WRITERS: dict[str, Callable[[list[Pair]], bytes]] = {
    "csv": in_csv,
    "tsv": in_tsv,
    "jsonl": in_jsonl,
    "tar": in_tar,
}
here = settings(
    deadline=None,
    max_examples=repeated(20, 60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read(path: Path, body: bytes) -> list[Record]:
    path.write_bytes(body)
    options = Input(path=str(path))
    found = find_files(options, "")
    assert not isinstance(found.reader.read, Rows)
    return list(found.reader.read(found.files[0], options))


@pytest.mark.parametrize("format", WRITERS)
@given(pairs=PAIRS)
@here
def test_every_pair_that_was_written_is_read_once(
    tmp_path: Path, format: str, pairs: list[Pair]
) -> None:
    found = read(tmp_path / f"a.{format}", WRITERS[format](pairs))
    if format == "tsv":
        pairs = [(url, " ".join(text.split())) for url, text in pairs]
    assert [(one.url, one.text) for one in found] == pairs
    assert [one.problem for one in found if one.problem and format != "tar"] == []


def read_or_refusal(path: Path, body: bytes) -> list[Record] | str:
    try:
        return read(path, body)
    except BadOption as error:
        return str(error)


@pytest.mark.parametrize("format", WRITERS)
@given(pairs=PAIRS, share=st.floats(0, 1, exclude_max=True))
@here
def test_of_a_file_that_is_cut_off_every_whole_pair_is_read_or_it_is_refused(
    tmp_path: Path, format: str, pairs: list[Pair], share: float
) -> None:
    write = WRITERS[format]
    body = write(pairs)
    base = len(write([])) if format in ("csv", "tsv") else 0  # the header
    cut = base + int(share * (len(body) - base))
    whole = sum(len(write(pairs[:count])) <= cut for count in range(1, len(pairs) + 1))
    found = read_or_refusal(tmp_path / f"a.{format}", body[:cut])
    if isinstance(found, str):
        assert f"a.{format}" in found
    else:
        assert whole <= len(found) <= (len(pairs) if format == "tar" else whole + 1)
        assert [one.url for one in found[:whole]] == [url for url, _ in pairs[:whole]]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@given(pairs=PAIRS, others=PAIRS, share=st.floats(0, 1, exclude_max=True))
@here
def test_what_is_cut_off_and_goes_on_with_another_file_loses_no_pair_in_silence(
    tmp_path: Path, format: str, pairs: list[Pair], others: list[Pair], share: float
) -> None:
    write = WRITERS[format]
    head, tail = write(pairs), write(others).removeprefix(b"url,text\r\n")
    body = head[: int(share * len(head))] + tail
    assume(body.startswith(head[:10]))
    found = read_or_refusal(tmp_path / f"a.{format}", body)
    if isinstance(found, str):
        assert f"a.{format}" in found
    else:
        urls = {url for url, _ in others}
        assert sum(one.url in urls for one in found) + 1 >= len(others)
