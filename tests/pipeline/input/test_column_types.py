import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsieve.pipeline.input.column_types import as_text, common, unkept, without_times

UTC = datetime.UTC
INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]


def ranges(type: pa.DataType) -> np.iinfo[np.integer]:
    return np.iinfo(type.to_pandas_dtype())


@pytest.mark.parametrize("one", INTEGERS, ids=str)
@pytest.mark.parametrize("other", INTEGERS, ids=str)
def test_two_integer_types_become_one_that_holds_both_or_none(
    one: pa.DataType, other: pa.DataType
) -> None:
    found = common(one, other)
    least = min(ranges(one).min, ranges(other).min)
    most = max(ranges(one).max, ranges(other).max)
    fitting = [t for t in INTEGERS if ranges(t).min <= least and ranges(t).max >= most]
    assert found == common(other, one)
    assert (found in fitting) if fitting else (found is None)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), None),
        (pa.string(), pa.int8(), None),
        (pa.null(), pa.date32(), pa.date32()),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC")),
        (pa.timestamp("ms", "UTC"), pa.timestamp("ms", "Asia/Tokyo"), pa.timestamp("ms", "UTC")),
        (pa.timestamp("ms", "UTC"), pa.timestamp("ms"), None),
        (pa.timestamp("us"), pa.timestamp("ns"), None),
        (pa.list_(pa.int8()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (pa.list_(pa.int8(), 2), pa.large_list(pa.int16()), pa.list_(pa.int16())),
        (pa.list_(pa.int8()), pa.list_(pa.string()), None),
        (
            pa.struct([("a", pa.int8()), ("b", pa.string())]),
            pa.struct([("a", pa.int32()), ("c", pa.bool_())]),
            pa.struct([("a", pa.int32()), ("b", pa.string()), ("c", pa.bool_())]),
        ),
        (pa.struct([("a", pa.int8())]), pa.struct([("a", pa.string())]), None),
        (
            pa.map_(pa.string(), pa.int8()),
            pa.map_(pa.string(), pa.int16()),
            pa.map_(pa.string(), pa.int16()),
        ),
    ],
)
def test_types_unify_where_no_value_changes(
    one: pa.DataType, other: pa.DataType, expected: pa.DataType | None
) -> None:
    assert common(one, other) == expected
    assert (common(other, one) is None) == (expected is None)


@given(st.integers(-(2**62), 2**62 - 1), st.sampled_from(["s", "ms", "us", "ns"]))
def test_every_time_has_a_text(value: int, unit: str) -> None:
    array = pa.array([value]).cast(pa.timestamp(unit))
    (text,) = without_times(pa.table({"t": array}))["t"].to_pylist()
    assert text is None or text[0] in "-0123456789"
    years = abs(value) / {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit] / 31_556_952
    assert (text is not None) or years > 30_000


def test_times_are_iso_and_in_utc_at_any_depth() -> None:
    moment = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    zoned = pa.array([moment], pa.timestamp("s", "Asia/Tokyo"))
    day = pa.array([[{"day": moment.date()}]], pa.list_(pa.struct([("day", pa.date32())])))
    table = without_times(pa.table({"zoned": zoned, "day": day, "n": [1]}))
    assert table.to_pylist() == [
        {"zoned": "2024-02-03 04:05:06Z", "day": [{"day": "2024-02-03"}], "n": 1}
    ]


def test_what_has_no_form_is_found_at_any_depth() -> None:
    assert unkept(pa.list_(pa.struct([("a", pa.int8()), ("b", pa.float16())]))) == pa.float16()
    assert unkept(pa.map_(pa.string(), pa.binary())) == pa.binary()
    assert unkept(pa.decimal256(50, 2)) is not None
    assert unkept(pa.struct([("a", pa.decimal128(38, 2)), ("b", pa.list_(pa.time32("s")))])) is None


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([b"\0\xff", None]), ["AP8=", None]),
        (pa.array([np.float16(1.5)], pa.float16()), ["1.5"]),
        (pa.array([{"a": b"\1", "b": [1]}]), ['{"a": "AQ==", "b": [1]}']),
        (pa.array(["as it is"]), ["as it is"]),
    ],
)
def test_values_as_text(array: pa.Array, expected: list[str | None]) -> None:
    assert as_text(array).to_pylist() == expected
