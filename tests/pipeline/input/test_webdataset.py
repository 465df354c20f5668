import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.files import split_location
from pairsieve.pipeline.input.formats import find_files
from pairsieve.pipeline.input.reader import Record
from pairsieve.pipeline.input.webdataset import records
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input


def write(path: Path, samples: list[dict[str, Any]]) -> Path:
    with webdataset.TarWriter(str(path), encoder=False) as tar:
        for sample in samples:
            tar.write(sample)
    return path


def read(path: Path, **options: Any) -> list[Record]:
    chosen = Input(path=str(path), **options)
    files = find_files(chosen, "").files
    return [record for file in files for record in records(file, chosen)]


def image(record: Record) -> bytes:
    assert record.image
    file, offset, size = record.image
    return Path(file).read_bytes()[offset : offset + size]


def test_samples_have_the_text_url_and_image_that_webdataset_reads(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {
            "__key__": f"{n:09d}",
            "jpg": b"\xff\xd8" + bytes([n]) * n * 300,
            "txt": f"text {n}\n\u202e\0".encode(),
            "json": json.dumps({"url": f"http://a/{n}", "n": n}).encode(),
        }
        for n in range(5)
    ]
    path = write(tmp_path / "0.tar", samples)
    pairs = read(path)
    reference = webdataset.WebDataset(str(path), shardshuffle=False)
    for record, sample in zip(pairs, reference, strict=True):
        assert record.url == json.loads(sample["json"])["url"]
        assert record.text == sample["txt"].decode()
        assert image(record) == sample["jpg"]
        assert record.others == {"n": json.loads(sample["json"])["n"], "key": sample["__key__"]}


def test_tars_in_an_object_store_tell_where_their_images_are(s3: str, tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {"__key__": f"{n}", "jpg": bytes([n]) * 9999, "txt": b"t"} for n in range(3)
    ]
    path = write(tmp_path / "0.tar", samples)
    Store.at(s3).write("wds/0.tar", path.read_bytes())
    chosen = Input(path=f"{s3}/wds/*.tar")
    (file,) = find_files(chosen, "").files
    for n, record in enumerate(records(file, chosen)):
        assert record.image
        location, offset, size = record.image
        store, name = split_location(location)
        assert store.read_ranges(name, [offset], [size]) == [bytes([n]) * 9999]
    assert n == 2


def test_text_is_that_of_txt_else_the_named_value_else_the_caption(tmp_path: Path) -> None:
    said = {"alt": "from alt", "caption": "from caption"}
    samples: list[dict[str, Any]] = [
        {"__key__": "a", "jpg": b"1", "json": json.dumps(said).encode(), "txt": b"from txt"},
        {"__key__": "b", "jpg": b"1", "json": json.dumps(said).encode()},
        {"__key__": "c", "jpg": b"1", "json": b'{"caption": "from caption"}'},
        {"__key__": "d", "jpg": b"1", "json": b'{"caption": 5}'},
        {"__key__": "e", "jpg": b"1", "json": b"nonsense"},
        {"__key__": "f", "jpg": b"1", "txt": b"\xff"},
    ]
    pairs = read(write(tmp_path / "0.tar", samples), text="alt")
    expected = ["from txt", "from alt", "from caption", None, None, None]
    assert [record.text for record in pairs] == expected
    assert pairs[0].others == {**said, "key": "a"}  # nothing of it is repeated
    assert pairs[1].others == {"caption": "from caption", "key": "b"}
    assert pairs[2].others == {"key": "c"}


def test_samples_without_a_url_have_addresses_of_their_own(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name in ("a.jpg", "a.txt", "a.jpg", "a.txt", "d/b.PNG", "d/b.txt"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    urls = [record.url for record in read(tmp_path)]
    # A member of 3 bytes takes two blocks of 512 bytes.
    assert urls == ["wds:0.tar/a@0", "wds:0.tar/a@2048", "wds:0.tar/d/b@4096"]


def test_a_sample_may_lack_its_image_and_what_is_no_sample_is_passed_over(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {"__key__": "a", "txt": b"t"},
        {"__key__": "b", "cls": b"7"},
        {"__key__": "c", "cls": b"7", "seg.png": b"1", "gif": b"2"},
    ]
    path = write(tmp_path / "0.tar", samples)
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo("__meta__/x.jpg"))
        tar.addfile(tarfile.TarInfo("README"))
        link = tarfile.TarInfo("d.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    first, second, third, fourth = read(path)
    assert (first.text, first.image, first.problem) == ("t", None, "no image among .txt")
    assert (second.image, second.problem) == (None, "no image among .cls")
    assert image(third) == b"2"
    assert (fourth.image, fourth.problem) == (None, ".jpg is a link or no plain file")


def test_what_a_member_holds_is_told_by_its_last_suffix(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {"__key__": "shop_22", "05.jpg": b"1", "05.txt": b"a dot in the key"},
        {"__key__": "b", "image.png": b"2", "caption.txt": b"of two parts"},
        *({"__key__": suffix, suffix: b"3"} for suffix in ("jfif", "jpe", "image", "jpeg2")),
    ]
    found = read(write(tmp_path / "0.tar", samples))
    assert [image(one) for one in found] == [b"1", b"2", *[b"3"] * 4]
    assert [one.text for one in found[:2]] == ["a dot in the key", "of two parts"]


def test_of_several_images_or_texts_the_recipe_says_which(tmp_path: Path) -> None:
    sample = {"__key__": "a", "jpg": b"1", "png": b"2", "txt": b"t", "alt.txt": b"u"}
    path = write(tmp_path / "0.tar", [sample])
    with pytest.raises(BadOption, match=r"input.image: .*sample `a`.*`jpg`, `png` .*; say"):
        read(path)
    (found,) = read(path, image="png", text="alt.txt")
    assert (image(found), found.text) == (b"2", "u")
    (found,) = read(path, image="jpg")
    assert (image(found), found.text) == (b"1", "t")


def test_img2dataset_folders_answer_for_the_pairs_that_failed_too(tmp_path: Path) -> None:
    table = {
        "url": ["http://a/0", "http://a/1", "http://a/2", "http://a/3"],
        "caption": ["zero", "one", "two", "three"],
        "key": ["000000000", "000000001", "000000002", "000000003"],
        "status": ["success", "failed_to_download", "success", "failed_to_resize"],
        "error_message": [None, "HTTP Error 404", None, "too small"],
    }
    rows = pa.table(table).to_pylist()
    samples: list[dict[str, Any]] = [
        {
            "__key__": row["key"],
            "jpg": row["url"].encode(),
            "txt": row["caption"].encode(),
            "json": json.dumps(row).encode(),
        }
        for row in rows
        if row["status"] == "success"
    ]
    del samples[1]["json"]  # then the table knows
    write(tmp_path / "00000.tar", samples)
    pq.write_table(pa.table(table), tmp_path / "00000.parquet")
    (tmp_path / "00000_stats.json").write_text("{}")
    pairs = read(tmp_path, text="caption")
    assert [record.url for record in pairs] == [rows[n]["url"] for n in (0, 2, 1, 3)]
    assert [record.text for record in pairs] == ["zero", "two", "one", "three"]
    assert [image(record) for record in pairs[:2]] == [b"http://a/0", b"http://a/2"]
    assert [record.image for record in pairs[2:]] == [None, None]
    assert pairs[2].others["error_message"] == "HTTP Error 404"


def test_a_table_beside_a_tar_that_is_not_img2datasets_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", [{"__key__": "a", "jpg": b"1"}])
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "0.parquet")
    with pytest.raises(BadOption, match=r"0\.parquet has no column `key`"):
        read(tmp_path)


def plain_tar(path: Path, *names: str) -> Path:
    """Write a tar whose members of 1000 bytes take 512 for the header and 1024 for the rest."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1000
            tar.addfile(member, io.BytesIO(bytes(1000)))
    return path


@pytest.mark.parametrize(("cut", "offset"), [(100, 0), (700, 1536), (1600, 1536), (2600, 3072)])
def test_a_tar_that_is_cut_off_is_refused_with_the_place_of_what_is_missing(
    tmp_path: Path, cut: int, offset: int
) -> None:
    path = plain_tar(tmp_path / "0.tar", "a.jpg", "b.jpg")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadOption, match=rf"0\.tar: broken or cut off at byte {offset}:"):
        read(path)


def test_a_tar_that_ends_behind_a_member_is_whole(tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "0.tar", "a.jpg", "b.jpg")
    path.write_bytes(path.read_bytes()[: 2 * 1536])
    assert [image(record) for record in read(path)] == [bytes(1000)] * 2


def test_garbage_in_a_tar_is_refused_with_the_place(tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "0.tar", "a.jpg", "b.jpg")
    content = bytearray(path.read_bytes())
    content[1536:2048] = b"\x07" * 512
    path.write_bytes(content)
    with pytest.raises(BadOption, match=r"0\.tar: broken or cut off at byte 1536:"):
        read(path)


def test_a_negative_size_in_a_tar_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.jpg")
    member.size = -512
    (tmp_path / "0.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(BadOption, match="negative size"):
        read(tmp_path)


def test_an_image_without_bytes_is_no_image(tmp_path: Path) -> None:
    path = write(tmp_path / "0.tar", [{"__key__": "a", "jpg": b"", "txt": b"t"}])
    assert [record.image for record in read(path)] == [None]


def test_a_text_that_is_not_utf8_is_none_and_told(tmp_path: Path) -> None:
    samples = [{"__key__": "a", "jpg": b"1", "txt": b"caf\xe9"}]
    (record,) = read(write(tmp_path / "0.tar", samples))
    assert (record.text, record.problem) == (None, ".txt is not UTF-8: caf\\xe9")
