"""Several captions per sample, and what JSON says: as the programs read it that train on it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import webdataset

from pairsieve.pipeline import verify
from pairsieve.pipeline.check import check_input
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.shards.captions import CAPTION_FILES, Captions
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Packed = Callable[..., Store]


def recipe(**shard: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p", "text": "alt"}, "shard": shard})


def field(name: str, type: pa.DataType, **metadata: str) -> pa.Field:
    return pa.field(name, type, metadata={"source": name, **metadata})


def files(asked: Captions, **columns: Sequence[Any]) -> list[Any]:
    """Return the further captions of samples."""
    made = asked.files(pa.table({name: pa.array(column) for name, column in columns.items()}))
    assert made.type == CAPTION_FILES
    rows: list[Any] = made.to_pylist()
    return rows


def test_the_other_captions_follow_the_text_in_order_and_once() -> None:
    extra = [
        field("alt", pa.list_(pa.string())),
        field("caption", pa.string(), json="1"),
        field("other", pa.list_(pa.string())),
    ]
    captions = Captions.of(recipe(captions="all"), extra)
    written = files(
        captions,
        text=["a dog", "a cat"],
        captions=[["a dog", "a hound"], None],
        alt=[["a hound", "dog", None, " "], ["a cat"]],
        caption=['["Hund"]', '"a cat"'],
        other=[["never"], ["never"]],
    )
    assert written == [[("1.txt", b"a hound"), ("2.txt", b"dog"), ("3.txt", b"Hund")], []]


def test_captions_that_are_the_same_when_cleaned_are_written_once() -> None:
    captions = Captions.of(recipe(captions="all", text="cleaned", personal_data="mask"))
    lists = [["a&amp;b", "a&b", "<b>a&b</b>", "to a.b@example.org"]]
    written = files(captions, text=["a&amp;b"], captions=lists)
    assert written == [[("1.txt", b"to [email]")]]


def test_one_caption_is_written_by_default() -> None:
    written = files(Captions.of(recipe()), text=["a"], captions=[["a", "b"]])
    assert written == [None]


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_readers_find_every_caption_beside_the_image(
    packed: Packed, put_plan: Callable[[Store], None], tmp_path: Path, mix: str
) -> None:
    store = packed(
        mix=mix, captions="all", text="cleaned", samples=30, columns=["width", "cluster"]
    )
    put_plan(store)
    assert [found for one in verify.run(store, Serial()) for found in one.findings] == []
    tars = [str(tmp_path / f"dataset/shards/default/0000{n}.tar") for n in range(2)]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    by_key = {sample["__key__"]: sample for sample in samples}
    keeper = by_key[f"{7:032x}"]
    assert (keeper["txt"], keeper["1.txt"], keeper["2.txt"]) == (b"pair 7", b"a & b", b"c")
    assert len(samples) == 39
    assert sum("1.txt" in sample for sample in samples) == 1
    assert json.loads(keeper["json"]) == {"text": "pair 7", "uid": f"{7:032x}", "width": 640}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("widht", r"shard.columns.1: `widht` is no column; .*width"),
        ("minor_safety", r"shard.columns.1: `minor_safety` is for the ledger alone"),
    ],
)
def test_columns_that_samples_cannot_have_are_refused(
    pool: Store, put_plan: Callable[[Store], None], name: str, said: str
) -> None:
    from pairsieve.pipeline.unit import plan_file

    put_plan(pool)
    plan: Plan = plan_file.read(pool)
    asked = {"input": {"path": "p"}, "fetch": {"user_agent": "a (+a@b.c)"}}
    with pytest.raises(BadOption, match=said):
        check_input(Recipe.model_validate({**asked, "shard": {"columns": ["width", name]}}), plan)
