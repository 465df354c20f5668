from pathlib import Path

import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.files import list_files, open_text, split_location


def test_a_path_in_a_bucket_is_read_through_characters_that_mean_something_in_urls(
    s3: str,
) -> None:
    Store.at(s3).write("odd #?%25/ü x.csv", b"here")
    store, path = split_location(f"{s3}/odd #?%25/ü x.csv")
    assert store.read(path) == b"here"


@pytest.mark.parametrize(("suffix", "codec"), [(".gz", "gzip"), (".zst", "zstd")])
def test_compressed_text_is_read_across_its_members(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = tmp_path / f"a.txt{suffix}"
    for part in (b"one\n" * 100_000, b"two\n"):  # two members, as `cat a.gz b.gz` makes
        with path.open("ab") as raw, pa.CompressedOutputStream(raw, codec) as out:
            out.write(part)
    (file,), _ = list_files(str(path))
    with open_text(file) as stream:
        assert stream.read() == b"one\n" * 100_000 + b"two\n"
