import io
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import parquet, parquet_images
from pairsieve.pipeline.input.extra_columns import IMAGE_LOCATION
from pairsieve.pipeline.input.parquet import PARQUET
from pairsieve.pipeline.unit.plan_file import Plan, read_unit
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BODIES = [bytes([n]) * (n * 1000) if n % 3 else None for n in range(20)]


def write(path: Path, type: pa.DataType = STRUCT, group: int = 6, **others: Any) -> Path:
    values: Any = BODIES
    if pa.types.is_struct(type):
        values = [{"bytes": body, "path": f"{n}.png"} for n, body in enumerate(BODIES)]
        values[3] = None  # no struct at all
    texts = [f"text {n}" for n in range(20)]
    table = pa.table({"image": pa.array(values, type), "text": texts, **others})
    pq.write_table(table, path, row_group_size=group)
    return path


def read(path: Path, rows: list[int]) -> list[bytes | None]:
    found = parquet_images.images(str(path), rows, "image")
    return [None if buffer is None else bytes(buffer) for buffer in found]


def planned(path: Path, **options: Any) -> Plan:
    recipe = {"input": {"path": str(path), "unit_pairs": 8, "image": "image", **options}}
    return plans.run(Recipe.model_validate(recipe), Store.at(path.parent / "out"))


@pytest.mark.parametrize("type", [pa.binary(), pa.large_binary(), pa.binary_view(), STRUCT])
@pytest.mark.parametrize("rows", [list(range(20)), [5, 6, 13, 19], [7], []])
def test_images_of_any_rows_are_those_that_were_written(
    tmp_path: Path, type: pa.DataType, rows: list[int]
) -> None:
    path = write(tmp_path / "a.parquet", type)
    assert read(path, rows) == [BODIES[row] for row in rows]


def test_large_images_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.parquet", group=20)
    monkeypatch.setattr(parquet_images, "BATCH_BYTES", 1000)
    metadata = pq.read_metadata(path).row_group(0)
    assert parquet_images._batch_rows(metadata, "image.bytes") == 1
    assert read(path, list(range(20))) == BODIES


def test_images_in_an_object_store_are_read_there(s3: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    Store.at(s3).write("images/a.parquet", path.read_bytes())
    found = parquet_images.images(f"{s3}/images/a.parquet", [1, 7], "image")
    assert [buffer and bytes(buffer) for buffer in found] == [BODIES[1], BODIES[7]]


def test_pairs_without_a_url_have_the_address_of_their_row(tmp_path: Path) -> None:
    plan = planned(write(tmp_path / "a.parquet"))
    assert (plan.images, plan.fetch, plan.staged) == (True, False, [])
    rows = read_unit(plan, 1).to_pylist()
    assert [row["url"] for row in rows] == [f"parquet:a.parquet#{n}" for n in range(8, 16)]
    assert [row[IMAGE_LOCATION[1]] for row in rows] == list(range(8, 16))
    assert {row[IMAGE_LOCATION[0]] for row in rows} == {str(tmp_path / "a.parquet")}


def test_urls_beside_images_are_the_pairs_own(tmp_path: Path) -> None:
    urls = [None, "", *(f"http://a/{n}" for n in range(18))]
    plan = planned(write(tmp_path / "a.parquet", url=urls))
    assert (plan.images, plan.fetch) == (True, True)
    assert read_unit(plan, 0, 0, 4)["url"].to_pylist() == [
        *("parquet:a.parquet#0", "parquet:a.parquet#1"),
        *("http://a/0", "http://a/1"),
    ]


def test_what_lies_beside_the_bytes_is_an_extra_column_and_the_bytes_are_none(
    tmp_path: Path,
) -> None:
    plan = planned(write(tmp_path / "a.parquet", n=list(range(20))))
    assert plan.schema.names == ["image.path", "n"]
    rows = read_unit(plan, 0).to_pylist()
    assert [row["image.path"] for row in rows[:4]] == ["0.png", "1.png", "2.png", None]
    assert [row["n"] for row in rows] == list(range(8))
    (tmp_path / "b").mkdir()
    assert planned(write(tmp_path / "b/a.parquet", pa.binary())).schema.names == []


def test_neither_the_plan_nor_a_unit_reads_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    column = pq.read_metadata(path).row_group(0).column(0)
    assert column.path_in_schema == "image.bytes"
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 40] = b"\xff" * 40  # the page's header
    path.write_bytes(data)
    assert read_unit(planned(path), 0)["text"].to_pylist() == [f"text {n}" for n in range(8)]
    with pytest.raises(Stopped, match=r"a\.parquet: cannot be read"):
        read(path, [1])


@pytest.mark.parametrize(
    ("options", "columns", "error"),
    [
        ({"image": "imgae"}, {}, r"input\.image: .* no column `imgae`; .*did you mean `image`"),
        ({"image": "text"}, {}, r"input\.image: column `text` of .* is string, neither bytes nor"),
        ({"url": "link"}, {}, r"input\.url: .* has no column `link`"),
        ({"image": None}, {}, r"has no column `url`; .*if the images are in `image`, say `input"),
        (
            {"image": None},
            {"url": ["http://a/"] * 20},
            r"column `image` holds binary: .*; if it holds the images, `input\.image: image`",
        ),
    ],
)
def test_what_holds_no_images_is_refused(
    tmp_path: Path, options: dict[str, Any], columns: dict[str, Any], error: str
) -> None:
    with pytest.raises(BadOption, match=error):
        planned(write(tmp_path / "a.parquet", **columns), **options)


def test_a_column_of_images_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([[b"a"], [b"b"], ["t"]], names=["image", "image", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(BadOption, match="has the column `image` 2 times"):
        planned(tmp_path / "a.parquet")


def test_a_format_without_images_has_no_such_key(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,text\nhttp://a/,t\n")
    with pytest.raises(BadOption, match=r"input\.image: csv files hold no images"):
        planned(tmp_path / "a.csv")
    assert PARQUET.takes_image


class Counted(io.FileIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def readinto(self, buffer: Any) -> int:
        found = super().readinto(buffer) or 0
        Counted.count += found
        return found

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(-1 if size is None else size) or b""
        Counted.count += len(found)
        return found


def test_the_first_rows_of_a_large_row_group_are_read_without_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (parquet, parquet_images):
        monkeypatch.setattr(module, "open_file", Counted)
    monkeypatch.setattr(parquet, "COLUMN_BUFFER", 1 << 16)
    monkeypatch.setattr(parquet_images, "PAGE_BUFFER", 1 << 16)
    bodies = [os.urandom(10_000) for _ in range(2000)]
    texts = [body[:500].hex() for body in bodies]
    path = str(tmp_path / "a.parquet")
    table = pa.table({"image": bodies, "text": texts})
    pq.write_table(table, path, data_page_size=10_000, write_batch_size=10, use_dictionary=False)
    (first,) = parquet_images.images(path, [0], "image")
    assert first is not None
    assert bytes(first) == bodies[0]
    assert Counted.count < 6_000_000  # of 20,000,000: the footer, and a batch of 256 at most
    Counted.count = 0
    assert parquet.read(path, 0, 1, 2000, "image")["text"].to_pylist() == texts[:1]
    assert Counted.count < 1_700_000  # of 2,000,000: a batch of 1024
