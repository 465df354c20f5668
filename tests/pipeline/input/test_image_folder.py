import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.reader import Record
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input


def write(folder: Path, **files: bytes | str) -> Path:
    """Write files; `__` in a name is a slash, `_` before a suffix its dot."""
    for name, body in files.items():
        path = folder / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return folder


def read(path: str | Path, **options: Any) -> list[Record]:
    chosen = Input.model_validate({"path": str(path), **options})
    found = find_files(chosen, "/elsewhere")
    assert found.reader.format == "images"
    read: Any = found.reader.read
    return [record for file in found.files for record in read(file, chosen)]


def told(records: list[Record]) -> list[tuple[Any, ...]]:
    """Return what the tests compare: file, text, the image's name and size, problem."""
    return [
        (
            one.others["file_name"],
            one.text,
            one.image and (Path(one.image[0]).name, *one.image[1:]),
            one.problem,
        )
        for one in records
    ]


def test_texts_beside_pictures_are_theirs_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path, b_jpg=b"22", b_txt="two\n", a__x_png=b"1", a__x_txt="\ufeffone", c_JPG=b"333")
    write(tmp_path, c_txt="drei \u00fc\r\n")
    found = read(tmp_path)
    assert told(found) == [
        ("b.jpg", "two", ("b.jpg", 0, 2), None),
        ("c.JPG", "drei ü", ("c.JPG", 0, 3), None),
        ("a/x.png", "one", ("x.png", 0, 1), None),
    ]
    assert [one.url for one in found] == ["images:b.jpg", "images:c.JPG", "images:a/x.png"]


def test_json_beside_a_picture_gives_text_url_and_extra_columns(tmp_path: Path) -> None:
    write(tmp_path, a_jpg=b"1", a_json=json.dumps({"text": "t", "url": "http://a/", "n": 3}))
    write(tmp_path, b_jpg=b"1", b_json='{"caption": ["x", "y"]}', b_webp=b"22")
    one, two, three = read(tmp_path, caption="first")
    assert (one.url, one.text, one.others) == ("http://a/", "t", {"n": 3, "file_name": "a.jpg"})
    assert (two.url, two.text, three.text) == ("images:b.jpg", "x", "x")
    assert three.others["file_name"] == "b.webp"


def test_every_file_is_answered_for(tmp_path: Path) -> None:
    write(tmp_path, a_jpg=b"1", b_txt="t", c_json="[1]", d_jpg=b"", d_txt="t")
    write(tmp_path, e_jpg=b"1", e_txt=b"caf\xe9", f_jpg=b"1", f_json="no JSON")
    assert told(read(tmp_path)) == [
        ("a.jpg", None, ("a.jpg", 0, 1), None),
        ("b.txt", "t", None, "no image beside b.txt"),
        ("c.json", None, None, "JSON, but no object"),
        ("d.jpg", "t", None, "d.jpg is empty"),
        ("e.jpg", None, ("e.jpg", 0, 1), "the text is not utf-8: caf\\xe9"),
        ("f.jpg", None, ("f.jpg", 0, 1), "no JSON: Expecting value: line 1 column 1 (char 0)"),
    ]
    assert read(tmp_path, encoding="cp1252")[4].text == "café"


def table(folder: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (folder / "metadata.csv").write_text("\n".join(lines))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_names_files_in_its_folder_and_below(tmp_path: Path, kind: str) -> None:
    write(tmp_path, b_jpg=b"1", a__x_png=b"22", unnamed_jpg=b"1")
    rows = [
        {"file_name": "b.jpg", "text": "two", "n": 2},
        {"file_name": "gone.jpg", "text": "three", "n": 3},
        {"file_name": "./a/x.png", "text": "one", "n": 1},
        {"file_name": "b.jpg", "text": "again", "n": 4},
        {"file_name": "../b.jpg", "text": "out", "n": 5},
    ]
    table(tmp_path, kind, rows)
    found = read(tmp_path)
    assert told(found) == [
        ("../b.jpg", "out", None, "no file '../b.jpg' in ."),
        ("a/x.png", "one", ("x.png", 0, 2), None),
        ("b.jpg", "two", ("b.jpg", 0, 1), None),
        ("b.jpg", "again", ("b.jpg", 0, 1), None),
        ("gone.jpg", "three", None, "no file 'gone.jpg' in ."),
        (
            *("unnamed.jpg", None, ("unnamed.jpg", 0, 1)),
            f"metadata.{kind} has no row for unnamed.jpg",
        ),
    ]
    assert [str(one.others.get("n")) for one in found] == ["5", "1", "2", "4", "3", "None"]


def test_the_nearest_table_above_counts(tmp_path: Path) -> None:
    write(tmp_path, a__x_jpg=b"1", a__b__y_jpg=b"1", c__z_jpg=b"1", c__z_txt="z")
    table(tmp_path / "a", "csv", [{"file_name": "b/y.jpg", "text": "outer"}])
    table(tmp_path / "a/b", "csv", [{"file_name": "y.jpg", "text": "inner"}])
    assert [(one.url, one.text) for one in read(tmp_path)] == [
        ("images:a/metadata.csv#b/y.jpg", "outer"),
        ("images:a/x.jpg", None),
        ("images:a/b/y.jpg", "inner"),
        ("images:c/z.jpg", "z"),
    ]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"a_txt": "t"}, r"metadata\.csv and a\.txt say texts for the same pictures"),
        ({"metadata_jsonl": "{}"}, r"metadata\.csv and metadata\.jsonl say texts"),
        ({"metadata_csv": "name,text\na.jpg,t\n"}, r"input\.path: .* has no column `file_name`"),
        ({"metadata_csv": "file_name,txt\na.jpg,t\n"}, r"input\.text: .*no column `text`"),
        ({"metadata_csv": 'file_name,text\na.jpg,"t\nb'}, r"metadata\.csv, line 2: a quote"),
        ({"b_xml": "x"}, r"format of 'b\.xml' is not known"),
    ],
)
def test_what_is_in_doubt_is_refused_by_name(
    tmp_path: Path, files: dict[str, str], error: str
) -> None:
    write(tmp_path, a_jpg=b"1", metadata_csv="file_name,text\na.jpg,t\n")
    with pytest.raises(BadOption, match=error):
        read(write(tmp_path, **files))


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"a\.TXT and a\.txt differ in case alone"):
        read(write(tmp_path, a_jpg=b"1", a_txt="t", a_TXT="t"))


@pytest.mark.parametrize("name", ["linked.jpg", "linked.txt", "linked"])
def test_links_out_of_the_folder_are_refused_and_those_inside_are_read(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, in__a_jpg=b"1", in__a_txt="t", in__deep__b_jpg=b"1", out__secret_txt="s")
    write(tmp_path, out__c_jpg=b"1")
    os.symlink("deep/b.jpg", tmp_path / "in/inside.jpg")
    assert [one.others["file_name"] for one in read(tmp_path / "in")] == [
        *("a.jpg", "inside.jpg", "deep/b.jpg"),
    ]
    target = {"linked.jpg": "out/c.jpg", "linked.txt": "out/secret.txt", "linked": "out"}
    os.symlink(tmp_path / target[name], tmp_path / "in" / name)
    with pytest.raises(BadOption, match=rf"in/{name}.* is or lies behind a link out of"):
        read(tmp_path / "in")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_jpg=b"1")
    os.symlink("gone.jpg", tmp_path / "b.jpg")
    with pytest.raises(BadOption, match=r"b\.jpg is a link to nothing"):
        read(tmp_path)


def test_a_prefix_of_an_object_store_is_a_folder(s3: str) -> None:
    for name, body in {"b/x.jpg": b"123", "b/x.txt": b"text", "a.png": b"1"}.items():
        Store.at(s3).write(f"pictures/{name}", body)
    found = read(f"{s3}/pictures")
    assert [(one.url, one.text, one.image and one.image[2]) for one in found] == [
        ("images:a.png", None, 1),
        ("images:b/x.jpg", "text", 3),
    ]


def test_a_changed_picture_is_a_changed_folder(tmp_path: Path) -> None:
    write(tmp_path, a_jpg=b"1", a_txt="t")

    def version() -> str:
        (folder,) = find_files(Input(path=str(tmp_path)), "").files
        return folder.version

    before = version()
    assert version() == before
    write(tmp_path, a_jpg=b"12")
    assert version() != before
