import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.extra_columns import PROBLEM
from pairsieve.pipeline.input.files import InputFile, open_text
from pairsieve.pipeline.input.formats import READERS, check_format, find_files, format_of
from pairsieve.pipeline.input.reader import Reader, Record, Rows
from pairsieve.pipeline.unit.plan_file import read_unit
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import Input


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"url,text\n")


def names(path: str | Path, format: str = "auto", dataset: str = "/elsewhere") -> list[str]:
    options = Input.model_validate({"path": str(path), "format": format})
    return [file.name for file in find_files(options, dataset).files]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.parquet", "parquet"),
        ("a.pq", "parquet"),
        ("A.CSV", "csv"),
        ("a.tsv.gz", "tsv"),
        ("a.b.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("a.txt", "txt"),
        ("a.tar", "webdataset"),
        ("a.tar.gz", "webdataset"),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("csv", None),
    ],
)
def test_format_is_told_from_the_name(name: str, format: str | None) -> None:
    assert format_of(name) == format


def test_a_folder_gives_all_its_files_sorted_and_deep(tmp_path: Path) -> None:
    write(tmp_path, "b/2.csv", "a.csv", "b/1.csv.gz", "c.csv")
    assert names(tmp_path) == ["a.csv", "b/1.csv.gz", "b/2.csv", "c.csv"]


def test_hidden_and_underscored_files_of_a_folder_are_no_input(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "_SUCCESS", ".a.csv.crc", "_temporary/0.csv", "b/_metadata")
    assert names(tmp_path) == ["a.csv"]


def test_one_star_stops_at_a_folder_and_two_do_not(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "x/b.csv", "x/y/c.csv", "x/d.parquet")
    assert names(tmp_path / "*.csv") == ["a.csv"]
    assert names(tmp_path / "**/*.csv") == ["a.csv", "x/b.csv", "x/y/c.csv"]
    assert names(tmp_path / "x/?.csv") == ["b.csv"]


def test_a_file_with_glob_characters_in_its_name_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, "a[1]*.csv", "a1.csv")
    assert names(tmp_path / "a[1]*.csv") == ["a[1]*.csv"]


def test_no_match_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"no file matches .*nothing\*\.csv"):
        names(tmp_path / "nothing*.csv")


def test_mixed_formats_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "b.tsv")
    with pytest.raises(BadOption, match=r"several formats: 'a\.csv' is csv, 'b\.tsv' is tsv"):
        names(tmp_path)


def test_an_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "b.xml")
    with pytest.raises(BadOption, match=r"format of 'b\.xml' is not known"):
        names(tmp_path)


def test_a_named_format_chooses_in_a_folder_and_rules_over_file_names(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "b.tsv", "c.dat")
    assert names(tmp_path, "tsv") == ["b.tsv"]
    assert names(tmp_path / "c.dat", "tsv") == ["c.dat"]
    with pytest.raises(BadOption, match="no file of format jsonl"):
        names(tmp_path, "jsonl")


def test_tables_beside_tars_are_companions_or_no_input(tmp_path: Path) -> None:
    write(tmp_path, "0.tar", "0.parquet", "0_stats.json", "1.tar", "manifest.parquet", "sizes.json")
    files = find_files(Input(path=str(tmp_path)), "/elsewhere").files
    companions = {file.name: file.companion and file.companion.name for file in files}
    assert companions == {"0.tar": "0.parquet", "1.tar": None}


def test_other_pairs_beside_tars_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "0.tar", "more.csv")
    with pytest.raises(BadOption, match="several formats"):
        names(tmp_path)


def test_the_dataset_inside_the_input_folder_is_no_input(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "out/plan/b.parquet")
    assert names(tmp_path, dataset=str(tmp_path / "out")) == ["a.csv"]


def test_an_input_inside_the_dataset_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path, "in/a.csv")
    assert names(tmp_path / "in", dataset=str(tmp_path)) == ["a.csv"]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    (tmp_path / "a.csv").rename(str(tmp_path / "b\udcff.csv"))
    with pytest.raises(BadOption, match="not UTF-8"):
        names(tmp_path)


def test_version_changes_when_a_file_is_written_again(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    options = Input(path=str(tmp_path))
    versions = []
    for second in (1, 2, 1):
        os.utime(tmp_path / "a.csv", (0, second))
        versions.append(find_files(options, "").files[0].version)
    assert versions[0] == versions[2] != versions[1]


def test_object_store_file_folder_and_globs(s3: str) -> None:
    base = f"{s3}/inputs of #1 100%"
    for name in ("a.csv", "x/b.csv", "x/y/c.csv", "x/_SUCCESS", "xx/d.csv"):
        Store.at(s3).write(f"inputs of #1 100%/{name}", b"url,text\n")
    assert names(f"{base}/x/b.csv") == ["b.csv"]
    assert names(f"{base}/x") == ["b.csv", "y/c.csv"]
    assert names(f"{base}/*/[a-b].csv") == ["x/b.csv"]
    assert names(f"{base}/**/*.csv") == ["a.csv", "x/b.csv", "x/y/c.csv", "xx/d.csv"]
    with pytest.raises(BadOption, match="no file matches"):
        names(f"{base}/none")


def test_empty_objects_that_stand_for_folders_are_no_input(s3: str) -> None:
    Store.at(s3).write("markers/a.csv", b"url,text\n")
    Store.at(s3).write("markers/sub", b"")
    assert names(f"{s3}/markers") == ["a.csv"]


def test_every_format_is_one_line_of_the_table_and_no_two_share_a_suffix() -> None:
    formats = [reader.format for reader in READERS]
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(set(formats)) == len(formats)
    assert len(set(suffixes)) == len(suffixes)
    assert [each for each in suffixes if not re.fullmatch(r"\.[a-z0-9]+", each)] == []


def test_an_unknown_name_of_a_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"`parqet`; known: auto, parquet, .*mean `parquet`\?"):
        check_format(Input(path="anywhere", format="parqet"))


def _lines(file: InputFile, options: Input) -> Iterator[Record]:
    """Read a format of the test's own: `URL > text`, a line each."""
    with open_text(file) as stream:
        for line in stream.read().decode().splitlines():
            url, _, text = line.partition(" > ")
            yield Record(url, text, {"length": len(line)})


def test_a_format_of_ones_own_is_a_reader_and_a_line_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.arrow").write_text("http://a/1 > one\nhttp://a/2 > two\n")
    readers = (*READERS, Reader("arrows", (".arrow",), _lines))
    recipe = Recipe(input=Input(path=str(tmp_path / "in"), unit_pairs=2))
    planned = plan.run(recipe, Store.at(tmp_path / "dataset"), readers)
    assert (planned.format, planned.pairs, planned.fetch) == ("arrows", 2, True)
    assert read_unit(planned, 0).to_pylist() == [
        {"row": 0, "url": "http://a/1", "text": "one", PROBLEM: None, "length": 16},
        {"row": 1, "url": "http://a/2", "text": "two", PROBLEM: None, "length": 16},
    ]


def test_a_format_of_ones_own_may_be_read_in_place(tmp_path: Path) -> None:
    table = pa.table({"url": ["http://a/1", "http://a/2"], "text": ["one", "two"], "n": [1, 2]})

    def rows(location: str, first: int, rows: int, total: int, image: str | None) -> pa.Table:
        return table.slice(first, rows)

    (tmp_path / "a.memory").touch()
    footer = Rows(lambda file, image: (table.num_rows, table.schema), rows)
    readers = (*READERS, Reader("memory", (".memory",), footer))
    recipe = Recipe(input=Input(path=str(tmp_path / "a.memory"), unit_pairs=1))
    planned = plan.run(recipe, Store.at(tmp_path / "dataset"), readers)
    assert planned.staged == []
    (pair,) = read_unit(planned, 1, readers=readers).to_pylist()
    assert pair == {"row": 1, "url": "http://a/2", "text": "two", PROBLEM: None, "n": 2}
