"""What is left of a tar: the other samples byte for byte, and the captions that do not leave."""

import io
import json
import tarfile
from typing import Any

import pytest

from pairsieve.filters.personal_data_kinds import masked
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.removal.samples import Rest, write
from pairsieve.pipeline.samples.sample_tar import sample_parts, tar_bytes

KEYS = [f"{number:032x}" for number in range(4)]
PHONE = "ruf 030 23125678 an"  # of Germany; elsewhere it is none


def sample(key: str, text: str = "a", others: tuple[str, ...] = (), **content: Any) -> bytes:
    told = json.dumps({"uid": key, **content}).encode()
    more = [(f"{number}.txt", one.encode()) for number, one in enumerate(others, 1)]
    return b"".join(sample_parts(key, ("jpg", b"\xff" * 700), text.encode(), told, more))


class Kept(io.BytesIO):
    """A sink whose content outlives it: what is written appears when it is closed."""

    content = b""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


def left(samples: list[bytes], rest: Rest) -> tuple[bytes, list[int]]:
    """Return the new tar, and where its samples begin."""
    whole, sink = b"".join(samples), Kept()
    source = io.BytesIO(whole + bytes(tar_bytes(len(whole)) - len(whole)))
    writer = HashingWriter(sink, "memory")
    offsets = write(source, writer, rest)
    writer.close()
    return sink.content, offsets


def files(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        members = {one.name: opened.extractfile(one) for one in opened}
        return {name: file.read() for name, file in members.items() if file}


def captions(others: tuple[str, ...], leaving: list[str], **options: Any) -> list[str]:
    """Return the further captions of a sample when these texts leave it."""
    there = [sample(KEYS[0], "own", others)]
    rest = Rest((), {KEYS[0]: dict(enumerate(leaving, 1))}, options)
    found = files(left(there, rest)[0])
    numbers = range(1, 1 + sum(name.count(".") == 2 for name in found))
    return [found[f"{KEYS[0]}.{number}.txt"].decode() for number in numbers]


def test_the_others_keep_their_bytes_and_their_order() -> None:
    samples = [sample(key) for key in KEYS]
    tar, offsets = left(samples, Rest({KEYS[1], KEYS[3]}, {}))
    whole = samples[0] + samples[2]
    assert tar == whole + bytes(tar_bytes(len(whole)) - len(whole))
    assert offsets == [0, len(samples[0])]


def test_of_nothing_left_the_tar_is_empty() -> None:
    assert left([sample(KEYS[0])], Rest({KEYS[0]}, {})) == (bytes(tar_bytes(0)), [])


def test_captions_of_the_list_leave_by_their_place() -> None:
    there = [sample(KEYS[0], captions=["a", "b", "c"], n=1)]
    tar, _ = left(there, Rest((), {KEYS[0]: {1: "b"}}))
    told = json.loads(files(tar)[f"{KEYS[0]}.json"])
    assert told == {"uid": KEYS[0], "captions": ["a", "c"], "n": 1}


def test_captions_that_are_files_leave_by_their_text_and_are_numbered_anew() -> None:
    assert captions(("b", "c", "d"), ["c"]) == ["b", "d"]
    assert captions(("a & b", "c"), ["a &amp; b"]) == ["c"]  # as it was cleaned
    assert captions(("b", "c"), ["own"]) == ["b", "c"]  # the sample's own text stays


def test_a_text_is_found_as_it_was_masked_for_its_countries() -> None:
    hidden = masked(PHONE, ("DE",))
    assert hidden != PHONE == masked(PHONE, ("US",))
    assert captions((hidden, "c"), [PHONE], phone_regions=["DE"]) == ["c"]


def test_all_further_captions_leave_where_one_is_not_found() -> None:
    assert captions((masked(PHONE, ("DE",)), "c"), [PHONE]) == []


@pytest.mark.parametrize("leaving", [{}, {KEYS[1]: {0: "a"}}])
def test_a_sample_that_loses_nothing_is_copied(leaving: dict[str, Any]) -> None:
    there = [sample(KEYS[0], "own", ("b",), captions=["own", "b"])]
    assert left(there, Rest((), leaving))[0].startswith(there[0])
