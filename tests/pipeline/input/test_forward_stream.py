"""Compressed tars: read forwards, in pieces, and refused where they are damaged or bombs."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import forward_stream
from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.forward_stream import ForwardStream
from pairsieve.pipeline.input.reader import BadFile, Record
from pairsieve.pipeline.input.webdataset import records
from pairsieve.schemas.recipe_input import Input

CODECS = {".gz": "gzip", ".zst": "zstd"}
NOISE = bytes(n * n * 7919 >> 5 & 255 for n in range(50_000))


def tar(samples: int = 5, size: int = 30_000) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for n in range(samples):
            said = json.dumps({"url": f"http://a/{n}"}).encode()
            parts = {"jpg": NOISE[n : n + size], "txt": f"text {n}".encode(), "json": said}
            for suffix, body in parts.items():
                member = tarfile.TarInfo(f"{n}.{suffix}")
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
    return sink.getvalue()


def packed(path: Path, data: bytes) -> Path:
    with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), CODECS[path.suffix]) as sink:
        sink.write(data)
    return path


def read(path: str | Path) -> list[Record]:
    options = Input(path=str(path))
    return [one for file in find_files(options, "").files for one in records(file, options)]


@pytest.mark.parametrize("suffix", CODECS)
def test_a_compressed_tar_holds_the_pairs_of_the_plain_one(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.tar").write_bytes(tar())
    plain = read(tmp_path / "a.tar")
    found = read(packed(tmp_path / f"a.tar{suffix}", tar()))
    assert [(r.url, r.text, r.others) for r in found] == [(r.url, r.text, r.others) for r in plain]
    with ForwardStream(str(tmp_path / f"a.tar{suffix}")) as stream:
        for n, record in enumerate(found):
            assert record.image
            stream.seek(record.image[1])
            assert stream.take(record.image[2]) == NOISE[n : n + 30_000]


def test_a_compressed_tar_in_an_object_store_is_read_there(s3: str, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar.zst", tar())
    Store.at(s3).write("packed/a.tar.zst", path.read_bytes())
    assert [one.text for one in read(f"{s3}/packed/a.tar.zst")] == [f"text {n}" for n in range(5)]


def test_the_table_beside_a_compressed_tar_is_its_companion(tmp_path: Path) -> None:
    packed(tmp_path / "0.tar.gz", tar(1))
    (tmp_path / "0.parquet").touch()
    (file,) = find_files(Input(path=str(tmp_path)), "").files
    assert file.companion
    assert file.companion.name == "0.parquet"


@pytest.mark.parametrize(  # what zstd does not compress has no checksum
    ("suffix", "damage"), [(".gz", "cut"), (".gz", "flipped"), (".zst", "cut")]
)
def test_a_damaged_one_is_refused_by_name(tmp_path: Path, suffix: str, damage: str) -> None:
    path = packed(tmp_path / f"a.tar{suffix}", tar())
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(BadFile, match=rf"a\.tar{suffix}: broken or cut off at byte \d+"):
        read(path)


def test_a_wrong_checksum_at_the_very_end_is_found(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(tar()))
    data[-8] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(BadFile, match=r"a\.tar\.gz: broken"):
        read(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("suffix", CODECS)
def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_stream, "FREE_BYTES", 1 << 20)
    bomb = packed(tmp_path / f"a.tar{suffix}", tar() + bytes(100 << 20))
    with pytest.raises(BadFile, match=r"unpacks to more than [\d,]+ bytes, 200 times its size"):
        read(bomb)


def test_a_header_that_asks_for_too_much_at_once_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, forward_stream.MAX_READ + 512
    packed(tmp_path / "a.tar.gz", header.tobuf() + NOISE)
    with pytest.raises(BadFile, match="are to be read at once, more than"):
        read(tmp_path / "a.tar.gz")


MOVES = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 5000)), max_size=8)


@given(moves=MOVES)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_forwards_gives_what_a_plain_file_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(forward_stream, "CHUNK", 700)
    path = tmp_path / "noise.gz"
    if not path.exists():
        packed(path, NOISE[:20_000])
    plain: Any = io.BytesIO(NOISE[:20_000])
    furthest = 0
    with ForwardStream(str(path)) as stream:
        for skip, size in moves:
            to = min(furthest + skip, 20_000)
            assert stream.seek(to) == plain.seek(to)
            assert stream.read(size) == plain.read(size)
            furthest = stream.tell()
            back = max(furthest - 512, 0)
            assert stream.seek(back) == plain.seek(back)
            assert stream.read(1) == plain.read(1)
