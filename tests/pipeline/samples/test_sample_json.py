"""The JSON of samples is what `json.dumps` makes of a dictionary per sample."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.samples.sample_json import sample_jsons
from pairsieve.schemas.columns import COLUMNS, Column, arrow_schema

TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)
FLOATS = st.none() | st.floats(width=32)
TYPES = {
    "uid": (pa.string(), st.text("0123456789abcdef", min_size=1)),
    "text": (pa.string(), TEXTS),
    "width": (pa.int32(), st.none() | st.integers(0, 2**31 - 1)),
    "sharpness": (pa.float32(), FLOATS),
    "perceptual_hash": (pa.uint64(), st.none() | st.integers(0, 2**64 - 1)),
    "concepts": (
        pa.map_(pa.string(), pa.float32()),
        st.none() | st.dictionaries(st.sampled_from("ab"), FLOATS).map(lambda d: list(d.items())),
    ),
    "host": (pa.string(), TEXTS),
    "input_text": (pa.large_string(), TEXTS),
    "input_number": (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
    "input_large": (pa.uint64(), st.none() | st.integers(0, 2**64 - 1)),
    "input_flag": (pa.bool_(), st.none() | st.booleans()),
    "input_ratio": (pa.float64(), st.none() | st.floats()),
    "input_small": (pa.float32(), FLOATS),
    "input_boxes": (
        pa.list_(pa.struct([("x", pa.float64()), ("a", pa.string())])),
        st.none() | st.lists(st.fixed_dictionaries({"x": st.none() | st.floats(), "a": TEXTS})),
    ),
    "input_hash": (pa.binary(), st.none() | st.binary(max_size=4)),
    "input_é\n": (pa.decimal128(9, 2), st.none() | st.just(Decimal("1.50"))),
}
OWN = {column.name: column for column in COLUMNS}


def digits(value: Any) -> Any:
    return None if value is None else float(f"{value:.7g}")


def finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and abs(value) in (float("inf"),) else value


def plain(sample: dict[str, Any]) -> str:
    """Return the JSON of one sample, from a dictionary."""
    content = {}
    for name, value in sample.items():
        column = OWN.get(name)
        if value is None or (column and not column.in_sample):
            continue
        if column and pa.types.is_map(column.type):
            value = {key: digits(one) for key, one in value}
        elif column and pa.types.is_uint64(column.type):
            value = f"{value:016x}"
        elif column and pa.types.is_float32(column.type):
            value = digits(value)
        content[name] = value
    text = json.dumps(
        json.loads(json.dumps(content, default=written), parse_constant=lambda _: None),
        ensure_ascii=False,
        sort_keys=True,
    )
    return text


def written(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


@settings(max_examples=repeated(50, 150), deadline=None)
@given(st.lists(st.fixed_dictionaries({n: values for n, (_, values) in TYPES.items()}), max_size=4))
def test_every_type_is_written_as_from_a_dictionary_per_sample(samples: list[Any]) -> None:
    schema = pa.schema([(name, type) for name, (type, _) in TYPES.items()])
    for row in samples:
        if row["concepts"]:
            row["concepts"] = [(key, one) for key, one in row["concepts"] if one is not None]
    table = pa.Table.from_pylist(samples, schema)
    expected = [plain(sample) for sample in table.to_pylist()]
    assert [data.decode() for data in sample_jsons(table, COLUMNS).to_pylist()] == expected


def test_times_are_text_in_utc() -> None:
    times = pa.array([datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)], pa.timestamp("us", "Europe/Rome"))
    (data,) = sample_jsons(pa.table({"input_seen": times}), COLUMNS).to_pylist()
    assert json.loads(data) == {"input_seen": "2026-01-02 03:04:05.000000Z"}


def test_a_new_column_stays_out_of_the_json_until_it_says_otherwise() -> None:
    fresh = Column("fresh", pa.string(), "", "Just added.")
    shown = replace(fresh, name="shown", in_sample=True)
    sample = {"fresh": "secret", "shown": "a", "input_extra": "b", "uid": "0", "etag": "x"}
    (content,) = sample_jsons(pa.Table.from_pylist([sample]), (*COLUMNS, fresh, shown)).to_pylist()
    assert json.loads(content) == {"shown": "a", "input_extra": "b", "uid": "0"}


def test_numbers_that_json_does_not_know_are_null() -> None:
    nan, infinity = float("nan"), float("inf")
    table = pa.table(
        {
            "clip_similarity": pa.array([nan], pa.float32()),
            "input_ratio": [-infinity],
            "input_faces": [[nan, 0.5]],
            "input_map": pa.array([[("a", nan)]], pa.map_(pa.string(), pa.float64())),
        }
    )
    (content,) = sample_jsons(table, COLUMNS).to_pylist()
    assert content == (
        b'{"clip_similarity": null, "input_faces": [null, 0.5], "input_map": [["a", null]], '
        b'"input_ratio": null}'
    )


def test_counts_by_name_are_whole_numbers() -> None:
    types = {column.name: column.type for column in COLUMNS}
    sample = {"listed_words": [("spam", 2)], "personal_data": [("email", 1)]}
    table = pa.table({name: pa.array([value], types[name]) for name, value in sample.items()})
    assert sample_jsons(table, COLUMNS).to_pylist() == [b'{"listed_words": {"spam": 2}}']


def test_samples_without_any_column_have_empty_objects() -> None:
    table = pa.table({"row": [1, 2], "text": pa.nulls(2, pa.string())})
    assert sample_jsons(table, COLUMNS).to_pylist() == [b"{}", b"{}"]
    assert sample_jsons(arrow_schema(COLUMNS).empty_table(), COLUMNS).to_pylist() == []
