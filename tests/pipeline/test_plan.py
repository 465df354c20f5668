import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.paths import PLAN_FILE
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import staging
from pairsieve.pipeline.input.extra_columns import IMAGE_LOCATION
from pairsieve.pipeline.unit import plan_file
from pairsieve.pipeline.unit.plan_file import Plan, read_unit
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe

HOSTILE = [
    "plain",
    "",
    " \t ",
    "nul \0 inside",
    'quotes " and "" and \'',
    "line\nbreak\r\nand\rmore\u2028",
    "\u202egnp.exe\u202c",
    "<script>alert(1)</script> '; DROP TABLE ledger; --",
    "ünïcödé 漢字 🦊",
    "m" * 1_000_000,
]


def recipe(path: str | Path, **sections: Any) -> Recipe:
    options = {"unit_pairs": 4} | sections.pop("input", {})
    return Recipe.model_validate({"input": {"path": str(path), **options}, **sections})


def everything(plan: Plan) -> list[dict[str, Any]]:
    tables = [read_unit(plan, unit) for unit in range(len(plan.units))]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


def column(plan: Plan, name: str) -> list[Any]:
    return [row[name] for row in everything(plan)]


def write_parquet(path: Path, first: int, rows: int, **others: Any) -> None:
    table = {
        "url": [f"http://a/{n}" for n in range(first, first + rows)],
        "text": [f"text {n}" for n in range(first, first + rows)],
    }
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({**table, **others}), path, row_group_size=3)


def staged_names(store: Store) -> list[str]:
    return [path for path, _, _ in store.list("plan")]


def test_units_cut_across_files_and_rows_are_counted_through(tmp_path: Path) -> None:
    for name, first, rows in (("a", 0, 6), ("b", 6, 0), ("c", 6, 1), ("d", 7, 4)):
        write_parquet(tmp_path / f"in/{name}.parquet", first, rows)
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    assert plan.units == [[[0, 0, 4]], [[0, 4, 2], [2, 0, 1], [3, 0, 1]], [[3, 1, 3]]]
    assert [plan.unit_rows(unit) for unit in range(3)] == [4, 4, 3]
    assert plan.pairs == 11
    assert [file.rows for file in plan.files] == [6, 0, 1, 4]
    expected = [(n, f"http://a/{n}", f"text {n}") for n in range(11)]
    assert [(row["row"], row["url"], row["text"]) for row in everything(plan)] == expected


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_part_of_a_unit_has_the_rows_of_the_whole(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        write_parquet(tmp_path / "in/a.parquet", 0, 5)
        write_parquet(tmp_path / "in/b.parquet", 5, 15)
    else:
        lines = "".join(f"http://a/{n},text {n}\n" for n in range(20))
        (tmp_path / "in").write_text("url,text\n" + lines)
    options = {"unit_pairs": 11, "format": kind}
    plan = plans.run(recipe(tmp_path / "in", input=options), Store.at(tmp_path / "out"))
    for first, rows in ((0, 0), (0, 1), (3, 4), (4, 2), (10, 1), (7, None), (7, 99)):
        part = read_unit(plan, 0, first, rows)
        assert part.equals(read_unit(plan, 0).slice(first, rows))
        assert part.schema == read_unit(plan, 1).schema


def written(folder: Path, kind: str) -> Path:
    """Write the hostile texts in a format; the extra column is their index."""
    rows = [
        {"url": f"http://a/{n}?{text[:9]}", "text": text, "n": n} for n, text in enumerate(HOSTILE)
    ]
    folder.mkdir()
    path = folder / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["url", "text", "n"], quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        data = "".join(lines).encode()
        suffix, codec = path.suffix, {".gz": "gzip", ".zst": "zstd"}
        if suffix in codec:
            with pa.CompressedOutputStream(str(path), codec[suffix]) as out:
                out.write(data)
        else:
            path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "jsonl.gz", "jsonl.zst"])
def test_hostile_text_comes_through_unchanged(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / "in", kind)
    rows = everything(plans.run(recipe(path), Store.at(tmp_path / "out")))
    assert [row["text"] for row in rows] == HOSTILE
    assert [row["url"] for row in rows] == [f"http://a/{n}?{t[:9]}" for n, t in enumerate(HOSTILE)]
    assert [int(row["n"]) for row in rows] == list(range(len(HOSTILE)))


def test_parquet_without_the_columns_named_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "in/a.parquet", 0, 1, caption=["c"], width=[1])
    store = Store.at(tmp_path / "out")
    with pytest.raises(BadOption, match=r"no column `captoin`; known: .*did you mean `caption`"):
        plans.run(recipe(tmp_path / "in", input={"text": "captoin"}), store)
    with pytest.raises(BadOption, match=r"input\.text: column `width` of .* is int64, not text"):
        plans.run(recipe(tmp_path / "in", input={"text": "width"}), store)


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(BadOption, match=r"a\.parquet: not a readable Parquet file"):
        plans.run(recipe(tmp_path), Store.at(tmp_path / "out"))


def test_an_input_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,text\n")
    with pytest.raises(BadOption, match="no pairs"):
        plans.run(recipe(tmp_path / "a.csv"), Store.at(tmp_path / "out"))


def test_plan_json_gives_the_same_plan_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "in/a.parquet", 0, 6, lang=["en"] * 6)
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    again = Plan.loads(plan.dumps(), plan.dataset)
    assert again == plan == plan_file.read(Store.at(tmp_path / "out"))
    assert again.dumps() == plan.dumps()


def test_a_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    store.write("plan.json", b'{"version": 99}')
    with pytest.raises(BadOption, match="has version 99, this pairsieve reads 4"):
        plan_file.read(store)


def test_reading_where_no_dataset_is_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no dataset here yet"):
        plan_file.read(Store.at(tmp_path))
    assert plan_file.staged_files(Store.at(tmp_path)) == []


def test_planning_again_changes_nothing_and_stages_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "in", "csv")
    store = Store.at(tmp_path / "out")
    first = plans.run(recipe(path), store)
    before = list(store.list())
    assert plans.run(recipe(path, keep=[{"where": "width > 9"}]), store) == first
    assert list(store.list()) == before
    assert plan_file.staged_files(store) == staged_names(store)


def test_staged_pairs_do_not_need_their_text_file_and_may_move(tmp_path: Path) -> None:
    path = written(tmp_path / "in", "csv")
    plans.run(recipe(path), Store.at(tmp_path / "out"))
    path.unlink()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    plan = plan_file.read(Store.at(tmp_path / "elsewhere"))
    assert column(plan, "text") == HOSTILE


def test_changed_input_files_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_parquet(tmp_path / f"in/{name}.parquet", 0, 3)
    store = Store.at(tmp_path / "out")
    plans.run(recipe(tmp_path / "in"), store)
    write_parquet(tmp_path / "in/a.parquet", 0, 4)
    (tmp_path / "in/b.parquet").unlink()
    write_parquet(tmp_path / "in/d.parquet", 0, 3)
    expected = r"another input: 1 new \(.*d\.parquet\), 1 gone \(.*b\.parquet\), 1 changed \(.*a\."
    with pytest.raises(BadOption, match=expected):
        plans.run(recipe(tmp_path / "in"), store)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"input": {"unit_pairs": 5}}, r"input\.unit_pairs: 4 then, 5 now"),
        ({"input": {"text": "alt"}}, r"input\.text: 'text' then, 'alt' now"),
        ({"image": {"min_side": 256}}, r"image\.min_side: 512 then, 256 now"),
        ({"image": {"max_side": 300}}, r"image\.max_side: None then, 300 now"),
        ({"image": {"reencode": "needed"}}, r"image\.reencode: 'always' then, 'needed' now"),
        ({"text": {}}, r"text\.quality: None then, True now"),
        ({"image": {"blur": "faces"}}, r"image\.blur: None then, 'faces' now"),
        ({"image": {"blur_boxes": "alt"}}, r"image\.blur_boxes: None then, 'alt' now"),
        (
            {"group": {"orientations": ["mirrored"]}},
            r"group\.orientations: \[\] then, \['mirrored'\] now",
        ),
        (
            {"keep": [{"where": "length(text) > 3", "gate": True}]},
            r"gates on the text: \[\] then, \['length\(text\) > 3'\] now",
        ),
    ],
)
def test_other_measuring_options_are_refused_by_name(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    write_parquet(tmp_path / "in/a.parquet", 0, 3, alt=["x"] * 3)
    store = Store.at(tmp_path / "out")
    plans.run(recipe(tmp_path / "in"), store)
    with pytest.raises(BadOption, match=message):
        plans.run(recipe(tmp_path / "in", **sections), store)


def test_rules_and_politeness_may_change(tmp_path: Path) -> None:
    write_parquet(tmp_path / "in/a.parquet", 0, 3)
    store = Store.at(tmp_path / "out")
    plan = plans.run(recipe(tmp_path / "in", fetch={"user_agent": "a@b.example"}), store)
    changed = recipe(
        tmp_path / "in",
        fetch={"user_agent": "b@b.example", "timeout_s": 5},
        keep=[{"where": "width > 9"}],
        shard={"seed": 7},
        group={"verify": "none", "clusters": "chain", "prefer": ["uid"]},
    )
    assert plans.run(changed, store) == plan


def test_the_loser_of_a_race_takes_the_winners_plan_and_leaves_no_files(tmp_path: Path) -> None:
    path = written(tmp_path / "in", "csv")
    plans.run(recipe(path), Store.at(tmp_path / "winner"))

    class Late(Store):
        """A store in which another process commits its plan just before this one does."""

        def create(self, path: str, data: bytes) -> bool:
            winner = Store.at(tmp_path / "winner")
            for name in ("plan.json", *staged_names(winner)):
                super().write(name, winner.read(name))
            return super().create(path, data)

    store = Late.at(tmp_path / "out")
    plan = plans.run(recipe(path), store)
    assert plan.staged == plan_file.read(Store.at(tmp_path / "winner")).staged
    assert staged_names(store) == [name for name, _ in plan.staged]


def test_an_input_that_breaks_while_staging_leaves_no_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("url,text\n" + "a,b\n" * 1000)
    (tmp_path / "in/b.csv").write_text("link,text\na,b\n")
    store = Store.at(tmp_path / "out")
    with pytest.raises(BadOption, match=r"b\.csv has no column `url`"):
        plans.run(recipe(tmp_path / "in", input={"unit_pairs": 2}), store)
    assert list(store.list()) == []


def test_staged_files_hold_whole_units_and_a_row_group_each(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"http://a/{n}\n" for n in range(1005)))
    store = Store.at(tmp_path / "out")
    plan = plans.run(recipe(tmp_path / "a.txt"), store)
    assert [rows for _, rows in plan.staged] == [400, 400, 205]
    groups = pq.read_metadata(str(tmp_path / "out" / plan.staged[2][0])).num_row_groups
    assert groups == 52  # 51 units of 4, one of 1
    assert column(plan, "url") == [f"http://a/{n}" for n in range(1005)]
    assert set(column(plan, "text")) == {None}


def test_row_groups_that_are_cut_short_by_much_text_still_end_where_units_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "GROUP_CHARS", 3 * len("http://a/0" + "{}"))  # three pairs
    (tmp_path / "a.txt").write_text("".join(f"http://a/{n}\n" for n in range(9)))
    plan = plans.run(recipe(tmp_path / "a.txt"), Store.at(tmp_path / "out"))
    metadata = pq.read_metadata(str(tmp_path / "out" / plan.staged[0][0]))
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert rows == [3, 1, 3, 1, 1]
    assert column(plan, "url") == [f"http://a/{n}" for n in range(9)]


def test_a_parquet_file_that_changed_or_went_after_planning_stops_the_work(tmp_path: Path) -> None:
    path = tmp_path / "in/a.parquet"
    write_parquet(path, 0, 9)
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    write_parquet(path, 0, 8)
    with pytest.raises(Stopped, match="had 9 rows when it was planned, has 8 now"):
        read_unit(plan, 0)
    path.unlink()
    with pytest.raises(Stopped, match="is gone"):
        read_unit(plan, 0)


def test_a_parquet_file_that_broke_after_planning_stops_the_work(tmp_path: Path) -> None:
    path = tmp_path / "in/a.parquet"
    write_parquet(path, 0, 9)
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 40 + content[44:])
    with pytest.raises(Stopped, match=r"a\.parquet: cannot be read"):
        read_unit(plan, 0)
    # Rows 0 to 2 are the first row group; who does not need them does not read them.
    assert read_unit(plan, 0, 3)["row"].to_pylist() == [3]
    assert read_unit(plan, 1)["row"].to_pylist() == [4, 5, 6, 7]


def test_a_webdataset_brings_its_images_along(tmp_path: Path) -> None:
    import webdataset

    (tmp_path / "in").mkdir()
    for tar in ("0", "1"):
        with webdataset.TarWriter(str(tmp_path / f"in/{tar}.tar"), encoder=False) as writer:
            for n in range(3):
                said = {"url": f"http://{tar}/{n}", "width": n}
                key = f"{tar}{n}"
                body = key.encode() * 9
                json_bytes = json.dumps(said).encode()
                writer.write({"__key__": key, "png": body, "txt": b"t", "json": json_bytes})
            writer.write({"__key__": f"{tar}3", "txt": b"no image"})
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    assert not plan.fetch
    rows = everything(plan)
    assert [row["row"] for row in rows] == list(range(8))
    assert [row["key"] for row in rows] == [f"{tar}{n}" for tar in "01" for n in range(4)]
    assert [row["input_width"] for row in rows] == [0, 1, 2, None] * 2
    for row in rows:
        file, offset, size = (row[name] for name in IMAGE_LOCATION)
        if row["text"] == "no image":
            assert (file, offset, size) == (None, None, None)
        else:
            assert row["url"] == f"http://{row['key'][0]}/{row['key'][1]}"
            found = Path(file).read_bytes()[offset : offset + size]
            assert found == row["key"].encode() * 9


def test_input_and_dataset_may_be_in_an_object_store(s3: str, tmp_path: Path) -> None:
    bucket = Store.at(s3)
    for kind in ("parquet", "csv"):
        path = written(tmp_path / kind, kind)
        bucket.write(f"plan tests/{kind}/x/a.{kind}", path.read_bytes())
        store = Store.at(f"{s3}/plan-tests-{kind}")
        chosen = recipe(f"{s3}/plan tests/{kind}/**/*.{kind}")
        plan = plans.run(chosen, store)
        assert plan.files[0].path == f"{s3}/plan tests/{kind}/x/a.{kind}"
        assert column(plan, "text") == HOSTILE
        assert plans.run(chosen, store) == plan
        bucket.write(f"plan tests/{kind}/x/a.{kind}", path.read_bytes() + b"\n")
        with pytest.raises(BadOption, match="1 changed"):
            plans.run(chosen, store)


def test_real_captions_are_all_read(real: Path, tmp_path: Path) -> None:
    path = real / "cc3m_validation.tsv"
    options = {"header": False, "url": "1", "text": "0", "unit_pairs": 10_000}
    plan = plans.run(recipe(path, input=options), Store.at(tmp_path / "out"))
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    assert plan.pairs == len(lines) == 15_833
    assert column(plan, "text") == [line.split("\t")[0] for line in lines]


def test_a_plan_is_parsed_once_and_another_at_its_path_is_not_taken_for_it(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    write_parquet(tmp_path / "a.parquet", 0, 1)
    write_parquet(tmp_path / "b.parquet", 0, 2)
    plans.run(recipe(tmp_path / "a.parquet"), store)
    first = plan_file.sha256_of(store)
    assert plan_file.read_once(store, first) is plan_file.read_once(Store(store.url), first)
    store.delete([PLAN_FILE])
    plans.run(recipe(tmp_path / "b.parquet"), store)
    assert plan_file.read_once(store, plan_file.sha256_of(store)).pairs == 2
    with pytest.raises(Stopped, match="another plan was put there"):
        plan_file.read_once(store, first)
