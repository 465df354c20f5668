"""Any pairs with their images, in any format that holds some: all are read, or refused by name."""

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import parquet_images
from pairsieve.pipeline.input.extra_columns import IMAGE_LOCATION, PROBLEM
from pairsieve.pipeline.input.files import split_location
from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.forward_stream import ForwardStream
from pairsieve.pipeline.input.reader import Record
from pairsieve.pipeline.unit.plan_file import read_unit
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import Input

TEXTS = st.text(st.sampled_from("ab\"',\t {}é\u202e"), min_size=1, max_size=8)
BODIES = st.binary(max_size=3000)
PAIRS = st.lists(st.tuples(BODIES, TEXTS), min_size=1, max_size=8)
CODECS = {"gz": "gzip", "zst": "zstd"}
few = settings(deadline=None, max_examples=repeated(15, 40))


def records(path: Path) -> list[Record]:
    options = Input(path=str(path))
    found = find_files(options, "/elsewhere")
    read: Any = found.reader.read
    return [one for file in found.files for one in read(file, options)]


def body(record: Record) -> bytes | None:
    """Return the image that a record says it has."""
    if record.image is None:
        return None
    store, path = split_location(record.image[0])
    return store.read_ranges(path, [record.image[1]], [record.image[2]])[0]


def in_tar(pairs: list[tuple[bytes, str]]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for number, (image, text) in enumerate(pairs):
            for suffix, data in (("jpg", image), ("txt", text.encode())):
                member = tarfile.TarInfo(f"{number:04d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def packed(data: bytes, suffix: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, CODECS[suffix]) as stream:
        stream.write(data)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("suffix", CODECS)
@given(pairs=PAIRS)
@few
def test_every_sample_of_a_compressed_tar_is_read_once(
    suffix: str, pairs: list[tuple[bytes, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.tar.{suffix}")
        path.write_bytes(packed(in_tar(pairs), suffix))
        found = records(path)
        assert [one.text for one in found] == [text for _, text in pairs]
        with ForwardStream(str(path)) as stream:
            for one, (image, _) in zip(found, pairs, strict=True):
                assert (one.image is None) == (not image)
                if one.image:
                    stream.seek(one.image[1])
                    assert stream.take(one.image[2]) == image


@pytest.mark.parametrize("suffix", CODECS)
@given(pairs=PAIRS, share=st.floats(0, 1, exclude_max=True))
@few
def test_a_compressed_tar_that_is_cut_off_is_refused(
    suffix: str, pairs: list[tuple[bytes, str]], share: float
) -> None:
    data = packed(in_tar(pairs), suffix)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.tar.{suffix}")
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(BadOption, match=rf"a\.tar\.{suffix}"):
            records(path)


STEMS = st.dictionaries(
    st.text("abc/", min_size=1, max_size=4).filter(lambda s: all(s.split("/"))),
    st.tuples(st.none() | BODIES, st.none() | TEXTS, st.booleans()),
    min_size=1,
    max_size=8,
)


@given(stems=STEMS)
@few
def test_of_a_folder_every_picture_and_every_text_without_one_is_a_pair(
    stems: dict[str, tuple[bytes | None, str | None, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "first.jpg").write_bytes(b"so that it is a folder of pictures")
        expected: dict[str, tuple[bytes | None, str | None]] = {}
        for stem, (image, text, is_json) in stems.items():
            path = Path(folder, f"{stem}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            if image is not None:
                path.write_bytes(image)
            if text is not None and is_json:
                path.with_suffix(".json").write_text(json.dumps({"text": text}))
            elif text is not None:
                path.with_suffix(".txt").write_text(text, encoding="utf-8")
            if image is not None or text is not None:
                expected[stem] = image or None, text
        found = {one.others["file_name"].rpartition(".")[0]: one for one in records(Path(folder))}
        del found["first"]
        assert {stem: (body(one), one.text) for stem, one in found.items()} == expected
        assert all(one.image or one.problem for one in found.values())


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@given(
    names=st.lists(st.sampled_from("abcdef"), max_size=8),
    there=st.sets(st.sampled_from("abcdef"), min_size=1),
)
@few
def test_rows_of_a_table_and_pictures_without_a_row_are_all_pairs(
    kind: str, names: list[str], there: set[str]
) -> None:
    rows = [{"file_name": f"{name}.png", "text": f"t{n}"} for n, name in enumerate(names)]
    with tempfile.TemporaryDirectory() as folder:
        for name in there:
            Path(folder, f"{name}.png").write_bytes(name.encode())
        table = Path(folder, f"metadata.{kind}")
        schema = pa.schema([("file_name", pa.string()), ("text", pa.string())])
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows, schema), table)
        elif kind == "jsonl":
            table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            lines = [f"{row['file_name']},{row['text']}\n" for row in rows]
            table.write_text("".join(["file_name,text\n", *lines]))
        found = records(Path(folder))
    pairs = [(one.others["file_name"], one.text) for one in found]
    unnamed = [(f"{name}.png", None) for name in there - set(names)]
    assert sorted(pairs, key=str) == sorted(
        [*((row["file_name"], row["text"]) for row in rows), *unnamed], key=str
    )
    assert [name for name, _ in pairs] == sorted(name for name, _ in pairs)
    assert [one.image is not None for one in found] == [name[0] in there for name, _ in pairs]


ROWS = st.lists(
    st.tuples(
        st.none() | BODIES, st.none() | st.just("http://a/"), st.none() | st.binary(max_size=5)
    ),
    min_size=1,
    max_size=12,
)


@given(rows=ROWS, group=st.integers(1, 5), unit=st.integers(1, 6), struct=st.booleans())
@few
def test_rows_of_parquet_are_those_written_with_their_images_or_the_file_is_refused(
    rows: list[tuple[bytes | None, str | None, bytes | None]], group: int, unit: int, struct: bool
) -> None:
    bodies: list[Any] = [image for image, _, _ in rows]
    if struct:
        bodies = [{"path": "p", "bytes": image} for image in bodies]
    raw = pa.array([text for _, _, text in rows], pa.binary())
    kind = pa.struct([("path", pa.string()), ("bytes", pa.binary())]) if struct else pa.binary()
    columns = {
        "url": pa.array([url for _, url, _ in rows], pa.string()),
        "text": pa.Array.from_buffers(pa.string(), len(rows), raw.buffers()),
        "image": pa.array(bodies, kind),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.parquet")
        pq.write_table(pa.table(columns), path, row_group_size=group)
        options = {"path": str(path), "unit_pairs": unit, "image": "image"}
        try:
            plan = plans.run(Recipe.model_validate({"input": options}), Store.at(f"{folder}/out"))
        except BadOption as error:
            refusal = str(error)
        else:
            refusal = ""
            tables = [read_unit(plan, number) for number in range(len(plan.units))]
            found = pa.concat_tables(tables).to_pylist()
            places = [row[IMAGE_LOCATION[1]] for row in found]
            images = list(parquet_images.images(str(path), places, "image"))
    wrong = [text for _, _, text in rows if text and not is_utf8(text)]
    if refusal:
        assert wrong
        assert "a.parquet: row group 0" in refusal
        return
    assert [b if b is None else bytes(b) for b in images] == [image for image, _, _ in rows]
    for number, (row, (_, url, text)) in enumerate(zip(found, rows, strict=True)):
        assert row["url"] == (url or f"parquet:a.parquet#{number}")
        odd = text is not None and not is_utf8(text)
        assert row["text"] == (None if text is None or odd else text.decode())
        assert (row[PROBLEM] is not None) == odd


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
