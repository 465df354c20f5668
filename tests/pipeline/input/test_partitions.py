from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.files import list_files
from pairsieve.pipeline.input.partitions import each_of_ranges, of_folders
from pairsieve.pipeline.unit.plan_file import read_unit
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def write(folder: Path, *names: str, **columns: Any) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.table({"url": [name], "text": ["t"], **columns}), path)
        elif path.suffix == ".csv":
            extra = "".join(f",{key}" for key in columns)
            path.write_text(f"url,text{extra}\n{name},t{',1' * len(columns)}\n")
        else:
            path.write_bytes(b"picture")


def rows(path: Path, tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    recipe = Recipe.model_validate({"input": {"path": str(path), **options}})
    found: list[dict[str, Any]] = read_unit(
        plans.run(recipe, Store.at(tmp_path / "out")), 0
    ).to_pylist()
    return found


def listed(path: str | Path) -> list[str]:
    return sorted(file.name for file in list_files(str(path))[0])


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("a.csv", {}),
        ("lang=en/year=2024/a=b.csv", {"lang": "en", "year": "2024"}),
        ("x/lang=/a.csv", {"lang": ""}),
        ("lang=__HIVE_DEFAULT_PARTITION__/a.csv", {"lang": None}),
        ("la%3Dng=e%2Fn/=x/a.csv", {"la=ng": "e/n"}),
    ],
)
def test_folders_give_columns(name: str, columns: dict[str, str | None]) -> None:
    assert of_folders(name) == columns


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_pairs_have_the_column_of_their_folder_as_text(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "in", f"lang=07/a.{suffix}", f"lang=en/a.{suffix}", f"z.{suffix}")
    found = [(row["url"], row["lang"]) for row in rows(tmp_path / "in", tmp_path)]
    assert found == [
        (f"lang=07/a.{suffix}", "07"),
        (f"lang=en/a.{suffix}", "en"),
        (f"z.{suffix}", None),
    ]


def test_a_folder_of_pictures_gives_its_column_too(tmp_path: Path) -> None:
    write(tmp_path / "in", "lang=en/a.jpg", "lang=en/x/b.jpg", "c.jpg")
    assert [row["lang"] for row in rows(tmp_path / "in", tmp_path)] == [None, "en", "en"]


@pytest.mark.parametrize("path", ["in/lang=en", "in/lang=en/a.parquet", "in/lang=en/*.parquet"])
def test_folders_at_the_end_of_the_path_give_columns(tmp_path: Path, path: str) -> None:
    write(tmp_path, "in/lang=en/a.parquet")
    assert [row["lang"] for row in rows(tmp_path / path, tmp_path)] == ["en"]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(("folder", "columns"), [("n=1", {"n": ["1"]}), ("text=x", {})])
def test_a_column_of_the_file_and_of_its_folder_is_refused(
    tmp_path: Path, suffix: str, folder: str, columns: dict[str, Any]
) -> None:
    write(tmp_path / "in", f"{folder}/a.{suffix}", **columns)
    name = folder.partition("=")[0]
    error = rf"{folder}/a\.{suffix} has a column `{name}`, and its folder `{folder}` gives one"
    with pytest.raises(BadOption, match=error):
        rows(tmp_path / "in", tmp_path)


def test_two_folders_of_one_name_are_refused() -> None:
    with pytest.raises(BadOption, match="two folders give the column `a`"):
        of_folders("a=1/a=2/x.csv")


def test_a_column_of_folders_may_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "in", "lang=en/a.parquet", "lang=de/b.parquet")
    (row, _) = rows(tmp_path / "in", tmp_path, leave_out=["lang"])
    assert "lang" not in row


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("{0..2}", ["0", "1", "2"]),
        ("{08..10}x", ["08x", "09x", "10x"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{0..1}/{000..001}", ["0/000", "0/001", "1/000", "1/001"]),
        ("{a..c}{0...2}{1}", ["{a..c}{0...2}{1}"]),
    ],
)
def test_ranges_are_those_of_a_shell(path: str, names: list[str]) -> None:
    assert each_of_ranges(path) == names


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("{3..1}.csv", "goes backwards"),
        ("{0..9999}/{0..9999}.csv", "stands for 100,000,000 paths"),
        ("x/{0..3}.csv", r"no file matches .*x/2\.csv, which .*\{0\.\.3\}\.csv names"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(tmp_path: Path, path: str, error: str) -> None:
    write(tmp_path, "x/0.csv", "x/1.csv")
    with pytest.raises(BadOption, match=error):
        list_files(str(tmp_path / path))


def test_a_range_names_files_folders_and_globs(tmp_path: Path) -> None:
    write(tmp_path, "x/0.csv", "x/1.csv", "x/2.csv", "y0/a/b.csv", "y1/c.csv", "y2/d.csv")
    assert listed(tmp_path / "x/{1..2}.csv") == ["1.csv", "2.csv"]
    assert listed(tmp_path / "y{0..1}") == ["y0/a/b.csv", "y1/c.csv"]
    assert listed(tmp_path / "y{0..1}/**/*.csv") == ["y0/a/b.csv", "y1/c.csv"]


def test_a_file_with_a_range_in_its_name_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, "{0..1}.csv", "0.csv", "1.csv")
    assert listed(tmp_path / "{0..1}.csv") == ["{0..1}.csv"]


def test_ranges_and_folders_in_an_object_store(s3: str) -> None:
    for name in ("p0/a.csv", "p0/_SUCCESS", "p1/b.csv", "p10/c.csv", "lang=en/d.csv", "p2"):
        Store.at(s3).write(f"ranges/{name}", b"url,text\n")
    base = f"{s3}/ranges"
    assert listed(f"{base}/p{{0..1}}") == ["p0/a.csv", "p1/b.csv"]
    assert listed(f"{base}/p{{0..1}}/*.csv") == ["p0/a.csv", "p1/b.csv"]
    assert listed(f"{base}/p{{0..0}}/a.csv") == ["p0/a.csv"]
    assert listed(f"{base}/lang=en") == ["lang=en/d.csv"]
    with pytest.raises(BadOption, match=r"no file matches .*p3, which"):
        list_files(f"{base}/p{{0..3}}")
