import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.extra_columns import PROBLEM
from pairsieve.pipeline.unit.plan_file import Plan, read_unit
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def recipe(path: str | Path, **options: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": str(path), **options}})


def everything(plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_unit(plan, 0).to_pylist()
    return [{name: row[name] for name in row if name != PROBLEM} for row in rows]


def column(plan: Plan, name: str) -> list[Any]:
    return [row[name] for row in everything(plan)]


def write_parquet(path: Path, **others: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"url": ["http://a"], "text": ["t"], **others}), path)


def test_what_is_no_unicode_is_escaped_with_backslashes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_bytes(
        b'{"url": "u\\ud800", "text": "t\xff", "x\\udfff": "v\\ud83d", "deep": ["\\udc00"]}\n'
    )
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    expected = {"row": 0, "url": "u\\ud800", "text": None, "x\\udfff": "v\\ud83d"}
    assert everything(plan) == [expected | {"deep": '["\\udc00"]', "input_text": "t\\xff"}]


def test_json_values_keep_the_type_that_all_of_them_have(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"whole": 1, "real": 1, "flag": True, "mixed": 1, "big": 2**70, "nested": {"a": [1]}},
        {"whole": 2**60, "real": 0.5, "flag": False, "mixed": "é", "long": 2**60},
        {"whole": None, "mixed": True, "long": 0.5, "url": None, "text": None},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = plans.run(recipe(tmp_path / "a.jsonl"), Store.at(tmp_path / "out"))
    types = {field.name: str(field.type) for field in plan.schema}
    assert types == {
        "whole": "int64",
        "real": "double",
        "flag": "bool",
        "mixed": "string",
        "big": "string",
        "nested": "string",
        "long": "string",
    }
    assert column(plan, "whole") == [1, 2**60, None]
    assert column(plan, "real") == [1.0, 0.5, None]
    assert column(plan, "mixed") == ["1", '"é"', "true"]
    assert column(plan, "big") == [str(2**70), None, None]
    assert column(plan, "nested") == ['{"a": [1]}', None, None]
    assert column(plan, "long") == [None, str(2**60), "0.5"]


def test_json_nested_too_deep_to_be_written_is_null(tmp_path: Path) -> None:
    nested = "[" * 900 + "]" * 900
    (tmp_path / "a.jsonl").write_text('{"url": "a", "text": "t", "x": ' + nested + "}\n")
    plan = plans.run(recipe(tmp_path / "a.jsonl"), Store.at(tmp_path / "out"))
    (value,) = column(plan, "x")
    assert value in ("null", "[" * 900 + "]" * 900)


def test_more_names_than_a_table_can_have_are_refused(tmp_path: Path) -> None:
    lines = (json.dumps({"url": "a", f"key{n}": 1}) + "\n" for n in range(1001))
    (tmp_path / "a.jsonl").write_text("".join(lines))
    store = Store.at(tmp_path / "out")
    with pytest.raises(BadOption, match="more than 1000 different names"):
        plans.run(recipe(tmp_path / "a.jsonl"), store)
    assert list(store.list()) == []


def test_extra_columns_never_take_a_name_of_pairsieves(tmp_path: Path) -> None:
    head = "url,text,WIDTH,Row,input_row,pairsieve_file,a,A,,URL"
    (tmp_path / "a.csv").write_text(f"{head}\n0,1,2,3,4,5,6,7,8,9\n")
    plan = plans.run(recipe(tmp_path / "a.csv"), Store.at(tmp_path / "out"))
    (row,) = everything(plan)
    assert row == {
        "row": 0,
        "url": "0",
        "text": "1",
        "input_WIDTH": "2",
        "input_Row": "3",
        "input_row_2": "4",
        "input_pairsieve_file": "5",
        "a": "6",
        "A_2": "7",
        "column": "8",
        "input_URL": "9",
    }


def test_parquet_columns_come_out_plain(tmp_path: Path) -> None:
    bad = pa.array([b"ok", b"\xff", None])
    raw = pa.Array.from_buffers(pa.string(), 3, bad.buffers())  # text that is not UTF-8
    lists = pa.ListArray.from_arrays([0, 2, 2, 3], raw)
    table = pa.table(
        {
            "link": pa.array(["a", "b", None]).dictionary_encode(),
            "alt": pa.array([b"x", "\u00fe".encode(), None], pa.large_binary()),
            "bad": raw,
            "lists": lists,
            "wide": pa.array(["p", None, "q"], pa.large_string()),
            "day": pa.array([1, 2, None], pa.timestamp("us")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    chosen = recipe(tmp_path / "a.parquet", url="link", text="alt")
    plan = plans.run(chosen, Store.at(tmp_path / "out"))
    unit = read_unit(plan, 0)
    unit.validate(full=True)
    assert unit["url"].to_pylist() == ["a", "b", None]
    assert unit["text"].to_pylist() == ["x", "\u00fe", None]
    assert unit["bad"].to_pylist() == ["ok", "\\xff", None]
    assert unit["lists"].to_pylist() == [["ok", "\\xff"], [], [None]]
    assert unit["wide"].to_pylist() == ["p", None, "q"]
    assert unit["day"].type == pa.timestamp("us")
    assert unit.schema.names == ["row", "url", "text", PROBLEM, "bad", "lists", "wide", "day"]


def test_types_of_several_parquet_files_are_widened_and_absent_columns_null(
    tmp_path: Path,
) -> None:
    write_parquet(tmp_path / "in/a.parquet", n=pa.array([1], pa.int8()), x=pa.nulls(1))
    write_parquet(tmp_path / "in/b.parquet", n=pa.array([2**40]), x=["here"], y=[0.5])
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    assert [(field.name, field.type) for field in plan.schema] == [
        ("n", pa.int64()),
        ("x", pa.string()),
        ("y", pa.float64()),
    ]
    rows = [tuple(row[name] for name in "nxy") for row in everything(plan)]
    assert rows == [(1, None, None), (2**40, "here", 0.5)]


def test_types_that_do_not_go_together_are_refused_with_both_files(tmp_path: Path) -> None:
    write_parquet(tmp_path / "in/a.parquet", n=[2**60 + 1])
    write_parquet(tmp_path / "in/b.parquet", n=[0.5])
    with pytest.raises(BadOption, match=r"`n` is int64 in .*a\.parquet and double in .*b\.parquet"):
        plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))


def test_columns_are_chosen_left_out_and_kept_as_text(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", a=[1], b=[b"\0"], c=["x"], d=[{"e": 1}])
    (tmp_path / "b.jsonl").write_text(
        '{"url": "http://a", "text": "t", "a": 1, "b": "AA==", "c": "x", "d": {"e": 1}}\n'
    )
    for name in ("a.parquet", "b.jsonl"):
        kept = recipe(tmp_path / name, leave_out=["c"], as_text=["b", "d"])
        plan = plans.run(kept, Store.at(tmp_path / f"left-out-{name}"))
        row = {"row": 0, "url": "http://a", "text": "t"}
        assert everything(plan) == [row | {"a": 1, "b": "AA==", "d": '{"e": 1}'}]
        plan = plans.run(recipe(tmp_path / name, columns=["c"]), Store.at(tmp_path / f"one-{name}"))
        assert everything(plan) == [row | {"c": "x"}]
        plan = plans.run(recipe(tmp_path / name, columns="none"), Store.at(tmp_path / f"no-{name}"))
        assert everything(plan) == [row]


@pytest.mark.parametrize("name", ["a.parquet", "b.jsonl"])
@pytest.mark.parametrize("key", ["columns", "leave_out", "as_text"])
def test_a_column_that_is_not_there_is_refused_with_the_nearest(
    tmp_path: Path, name: str, key: str
) -> None:
    write_parquet(tmp_path / "a.parquet", similarity=[1])
    (tmp_path / "b.jsonl").write_text('{"url": "http://a", "text": "t", "similarity": 1}\n')
    wrong = recipe(tmp_path / name, **{key: ["similarty"]})
    with pytest.raises(BadOption, match=rf"input\.{key}: .*`similarty`.*mean `similarity`"):
        plans.run(wrong, Store.at(tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_what_cannot_be_kept_is_refused_by_name_with_what_to_do(tmp_path: Path) -> None:
    half = pa.array([0.5], pa.float16())
    write_parquet(tmp_path / "a.parquet", h=half, raw=[b"1"], fine=[1])
    with pytest.raises(BadOption, match=r"`h` holds halffloat, `raw` holds binary.*\[h, raw\]"):
        plans.run(recipe(tmp_path / "a.parquet"), Store.at(tmp_path / "out"))


def test_what_another_key_reads_is_always_kept(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", digest=[b"\0" * 32], other=[1])
    plan = plans.run(
        recipe(tmp_path / "a.parquet", sha256="digest", columns="none"), Store.at(tmp_path / "out")
    )
    assert [field.name for field in plan.schema] == ["digest"]
    with pytest.raises(BadOption, match=r"input\.leave_out: column `digest` is read by another"):
        plans.run(
            recipe(tmp_path / "a.parquet", sha256="digest", leave_out=["digest"]),
            Store.at(tmp_path / "other"),
        )


def test_numbers_that_json_does_not_know_are_null_in_nested_values(tmp_path: Path) -> None:
    line = '{"url": "a", "text": "t", "deep": [NaN, {"b": -Infinity, "c": 0.5}]}\n'
    (tmp_path / "a.jsonl").write_text(line)
    plan = plans.run(recipe(tmp_path / "a.jsonl"), Store.at(tmp_path / "out"))
    assert column(plan, "deep") == ['[null, {"b": null, "c": 0.5}]']


def test_parquet_may_hold_a_list_of_captions(tmp_path: Path) -> None:
    captions = [["one", "the second"], [], None, [" ", "last"]]
    table = {"url": list("abcd"), "text": captions}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    for rule, texts in (("first", ["one", None, None, "last"]), ("longest", ["the second"])):
        options = recipe(tmp_path / "a.parquet", caption=rule)
        plan = plans.run(options, Store.at(tmp_path / rule))
        assert column(plan, "text")[: len(texts)] == texts
        assert column(plan, "input_text") == captions


def test_times_beyond_what_duckdb_holds_are_null_and_the_others_stay(tmp_path: Path) -> None:
    far = pa.array([1_600_000_000_000_000_000], pa.timestamp("ms"))
    write_parquet(tmp_path / "in/a.parquet", t=far)
    write_parquet(tmp_path / "in/b.parquet", t=pa.array([1_600_000_000_000], pa.timestamp("ms")))
    plan = plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    assert plan.schema.field("t").type == pa.timestamp("us")
    assert [str(value) for value in column(plan, "t")] == ["None", "2020-09-13 12:26:40"]


def raw(values: list[bytes | None]) -> pa.Array:
    """Return bytes as text, whatever they are."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


def written(path: Path, urls: list[bytes | None], texts: list[bytes | None]) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"url": raw(urls), "text": raw(texts)}), path)
    return path


def test_a_url_or_text_of_parquet_that_is_not_utf8_is_none_and_told(tmp_path: Path) -> None:
    urls: list[bytes | None] = [b"http://a/", b"http://\xfe/", None]
    path = written(tmp_path / "a.parquet", urls, [b"caf\xe9", b"t", "\u00fc".encode()])
    rows = read_unit(plans.run(recipe(path), Store.at(tmp_path / "out")), 0).to_pylist()
    assert [(row["url"], row["text"], row[PROBLEM]) for row in rows] == [
        ("http://a/", None, "`text` is not UTF-8: caf\\xe9"),
        (None, "t", "`url` is not UTF-8: http://\\xfe/"),
        (None, "\u00fc", None),
    ]


def test_captions_of_parquet_that_are_not_utf8_are_not_chosen(tmp_path: Path) -> None:
    flat = raw([b"caf\xe9", b"good", b"\xff", "\u00fc".encode()])
    lists = pa.ListArray.from_arrays([0, 2, 3, 4], flat)
    pq.write_table(pa.table({"url": list("abc"), "text": lists}), tmp_path / "a.parquet")
    planned = plans.run(recipe(tmp_path / "a.parquet"), Store.at(tmp_path / "out"))
    rows = read_unit(planned, 0).to_pylist()
    assert [(row["text"], row[PROBLEM]) for row in rows] == [
        ("good", None),
        (None, "`text` holds no caption in UTF-8"),
        ("\u00fc", None),
    ]


def test_parquet_in_another_encoding_is_refused_or_skipped(tmp_path: Path) -> None:
    written(tmp_path / "in/a.parquet", [b"a"] * 3, [b"caf\xe9", b"t", b"Stra\xdfe"])
    written(tmp_path / "in/b.parquet", [b"b"], [b"t"])
    error = r"a\.parquet: row group 0: none of 2 values beyond ASCII is UTF-8.*on_bad_file: skip"
    with pytest.raises(BadOption, match=error):
        plans.run(recipe(tmp_path / "in"), Store.at(tmp_path / "out"))
    skipping = recipe(tmp_path / "in", on_bad_file="skip")
    planned = plans.run(skipping, Store.at(tmp_path / "out"))
    assert (planned.pairs, [file.rows for file in planned.files]) == (1, [0, 1])
    assert "a.parquet: row group 0" in planned.sentences()[0]
