"""What Hugging Face's own library reads and writes is read here as the same pairs."""

import io
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline.input import parquet_images
from pairsieve.pipeline.input.formats import find_files
from pairsieve.schemas.recipe_input import Input

# In a process of its own, which cannot ask the network for anything.
BY_DATASETS = """
import json, sys
from hashlib import sha256
from datasets import Image, load_dataset
from datasets.table import embed_table_storage

folder, parquet = sys.argv[1:]
rows = load_dataset("imagefolder", data_dir=folder, split="train")
embedded = rows.with_format("arrow").map(embed_table_storage, batched=True)  # as push_to_hub does
embedded.to_parquet(parquet)
rows = rows.cast_column("image", Image(decode=False))
print(json.dumps([[row["text"], row["n"], row["image"]["path"].split("/")[-1]] for row in rows]))
"""

Pairs = list[tuple[str, int, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pairs]:
    """A folder of pictures, `hf.parquet` beside it, and what the library reads."""
    folder = tmp_path_factory.mktemp("hf") / "in"
    (folder / "sub").mkdir(parents=True)
    for n, name in enumerate(("a.png", "sub/b.png", "c.png")):
        sink = io.BytesIO()
        Image.new("RGB", (40 + n, 30), (n * 40, 9, 9)).save(sink, "PNG")
        (folder / name).write_bytes(sink.getvalue())
    table = "file_name,text,n\nc.png,three,3\na.png,one,1\nsub/b.png,two,2\n"
    (folder / "metadata.csv").write_text(table)
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder.parent)}
    done = subprocess.run(
        [sys.executable, "-c", BY_DATASETS, str(folder), str(folder.parent / "hf.parquet")],
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]


def test_a_folder_holds_the_pairs_that_imagefolder_reads(folder: tuple[Path, Pairs]) -> None:
    path, expected = folder
    options = Input(path=str(path))
    found = find_files(options, "/elsewhere")
    read: Any = found.reader.read
    pairs = [one for file in found.files for one in read(file, options)]
    ours = [(one.text, int(one.others["n"]), Path(one.image[0]).name) for one in pairs]
    assert len(expected) == 3
    assert sorted(ours) == sorted(expected)


def test_the_parquet_that_it_writes_holds_the_images_of_the_folder(
    folder: tuple[Path, Pairs],
) -> None:
    path, _ = folder
    file = path.parent / "hf.parquet"
    texts = pq.read_table(file, columns=["text"])["text"].to_pylist()
    images = parquet_images.images(str(file), range(3), "image")
    found = {
        text: sha256(body or b"").hexdigest() for text, body in zip(texts, images, strict=True)
    }
    names = {"one": "a.png", "two": "sub/b.png", "three": "c.png"}
    assert found == {
        text: sha256((path / name).read_bytes()).hexdigest() for text, name in names.items()
    }
