import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.status import status
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def packed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def recipe(folder: Path, **options: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": str(folder / "in"), **options}})


@pytest.mark.parametrize(
    ("name", "good", "bad", "rows"),
    [
        ("csv", b"url,text\na,b\n", b'url,text\nc,d\ne,"open\nf,g\n', 2),
        ("jsonl", b'{"url": "a", "text": "b"}\n', b'{\n "url": "a"\n}\n', 4),
        ("jsonl.gz", packed(b'{"url": "a", "text": "b"}\n'), packed(b"{}")[:-6], 1),
        ("parquet", None, b"PAR1 no", 1),
    ],
    ids=["csv", "jsonl", "jsonl.gz", "parquet"],
)
def test_a_broken_file_stops_or_is_skipped_and_told(
    tmp_path: Path, name: str, good: bytes | None, bad: bytes, rows: int
) -> None:
    (tmp_path / "in").mkdir()
    first, second = tmp_path / f"in/0.{name}", tmp_path / f"in/1.{name}"
    if good is None:
        pq.write_table(pa.table({"url": ["a"], "text": ["b"]}), first)
    else:
        first.write_bytes(good)
    second.write_bytes(bad)
    with pytest.raises(BadOption, match=rf"1\.{name}.*input.on_bad_file: skip"):
        plans.run(recipe(tmp_path), Store.at(tmp_path / "stops"))
    store = Store.at(tmp_path / "skips")
    skipping = recipe(tmp_path, on_bad_file="skip")
    plan = plans.run(skipping, store)
    assert (plan.pairs, [file for file, _ in plan.skipped]) == (rows, [str(second)])
    assert plan_file.read(store) == plan
    assert plans.run(skipping, store) == plan
    found = status(store, "default")
    assert found.skipped == [tuple(entry) for entry in plan.skipped]
    assert str(second) in found.diagnoses[0]
