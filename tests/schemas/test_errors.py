import errno
import os

import duckdb
import pytest

from pairsieve.schemas.errors import not_permitted, out_of_room


def test_a_full_disk_says_what_to_do() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "report.html")
    assert (out_of_room(full) or "").startswith("the disk is full: [Errno 28] No space left")


def test_what_duckdb_can_neither_hold_nor_spill_says_what_to_do() -> None:
    little = "20MB"
    with (
        duckdb.connect(config={"memory_limit": little}) as connection,
        pytest.raises(duckdb.Error) as raised,
    ):
        connection.execute("SELECT list(md5(range::VARCHAR)) FROM range(3000000)")
    assert "give more with `scratch.memory_mb`" in (out_of_room(raised.value) or "")


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOENT, "No such file")])
def test_other_errors_are_none_of_it(error: Exception) -> None:
    assert out_of_room(error) is None
    assert not_permitted(error) is None


def test_what_may_not_be_written_is_named_and_is_no_fault_of_ours() -> None:
    denied = OSError(errno.EACCES, "Permission denied", "/data/scratch.1")
    assert not_permitted(denied) == "/data/scratch.1: Permission denied; allow it, and run again"


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EDQUOT, "the quota of the disk is used up: "),
        (errno.EFBIG, "no file may be so large"),
    ],
)
def test_a_quota_and_a_limit_on_files_are_told_whoever_meets_them(number: int, says: str) -> None:
    met = OSError(number, os.strerror(number))
    assert (out_of_room(met) or "").startswith(says)
    assert (out_of_room(RuntimeError(f"IO Error: {os.strerror(number)}")) or "").startswith(says)


def test_a_disk_that_cannot_be_written_to_is_told_whoever_meets_it() -> None:
    read_only = RuntimeError(f"IO Error: Could not write file: {os.strerror(errno.EROFS)}")
    assert (not_permitted(read_only) or "").endswith(
        "Read-only file system; allow it, and run again"
    )
