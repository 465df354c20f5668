import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.marker import Marker

MARKER = Marker(
    3, {"gather/a.tar": {"bytes": 5, "sha256": "0" * 64}}, {"ok": 3}, {"a": '"checksum": "x"'}
)


def test_what_is_put_comes_back() -> None:
    content = {"b": [1, "ü"], "a": {"checksum": "0" * 16}}
    data = checked_json.dumps(content, indent=1)
    assert checked_json.loads(data) == content
    assert json.loads(data).keys() == {"a", "b", "checksum"}


def test_the_checksum_is_that_of_all_bytes_behind_it() -> None:
    # printf ',"a":1}' | sha256sum
    data = checked_json.dumps({"a": 1}, separators=(",", ":"))
    assert data == b'{"checksum": "f260823660f68f4d","a":1}'
    assert checked_json.loads(checked_json.dumps({})) == {}


@settings(deadline=None)
@given(st.data())
def test_any_changed_byte_of_a_marker_is_found(data: st.DataObject) -> None:
    whole = MARKER.dumps()
    index = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = whole[:index] + bytes([whole[index] ^ flip]) + whole[index + 1 :]
    with pytest.raises((ValueError, TypeError)):
        Marker.loads(changed)


def test_what_was_written_before_there_were_checksums_is_read() -> None:
    content = {"rows": 1, "files": {}, "counts": {"ok": 1}, "extra": {}}
    assert Marker.loads(json.dumps(content).encode()) == Marker(1, {}, {"ok": 1})


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        checked_json.loads(text.encode())
