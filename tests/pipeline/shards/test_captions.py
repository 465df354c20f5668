from collections import Counter
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from pairsieve.pipeline.shards.captions import Captions, drawn
from pairsieve.schemas.recipe import Recipe

HALVES = (("original", 0.5), ("recaption", 0.5))


def uid(number: int) -> str:
    return f"{number:032x}"


def captions(shares: dict[str, float], **shard: Any) -> Captions:
    written = {"url": "http://localhost/v1", "model": "m", "prompt": "Describe."}
    columns = ["recaption", "translation"]
    sections = {"input": {"path": "p"}, "captions": written | {"columns": columns}}
    return Captions.of(Recipe.model_validate(sections | {"shard": {"text": shares, **shard}}))


def texts(made: Captions, **columns: list[str | None]) -> list[str]:
    first = next(iter(columns.values()))
    table = {"uid": [uid(number) for number in range(len(first))], **columns}
    trained_on = made.trained_on(pa.table(table))
    return [text.decode() for text in trained_on.to_pylist()]


# Of 0:text:<uid> the MD5 begins with these digits: `printf 0:text:000...0 | md5sum`.
@pytest.mark.parametrize(("number", "digits"), [(0, "f6a692aa"), (1, "2f4e55a2"), (2, "2373c216")])
def test_the_kind_follows_from_the_hash_of_seed_and_uid(number: int, digits: str) -> None:
    point = int(digits, 16) / 16 ** len(digits)
    below = (("original", point - 1e-4), ("recaption", 1 - point + 1e-4))
    above = (("original", point + 1e-4), ("recaption", 1 - point - 1e-4))
    assert (drawn(uid(number), 0, below), drawn(uid(number), 0, above)) == ("recaption", "original")


def test_kinds_come_in_their_shares() -> None:
    shares = (("cleaned", 0.2), ("original", 0.5), ("recaption", 0.3))
    counts = Counter(drawn(uid(number), 7, shares) for number in range(10_000))
    for kind, share in shares:  # four standard deviations of a binomial count
        assert abs(counts[kind] - 10_000 * share) < 4 * (10_000 * share * (1 - share)) ** 0.5


def test_another_seed_draws_anew() -> None:
    first, second = ([drawn(uid(n), seed, HALVES) for n in range(1000)] for seed in (0, 1))
    same = sum(one == other for one, other in zip(first, second, strict=True))
    assert 400 < same < 600


def test_texts_are_mixed_whatever_the_order_of_shares_and_rows() -> None:
    columns: dict[str, list[str | None]] = {"text": ["a"] * 50, "recaption": ["b"] * 50}
    mixed = texts(captions({"original": 0.5, "recaption": 0.5}), **columns)
    assert mixed == texts(captions({"recaption": 0.5, "original": 0.5}), **columns)
    table = pa.table({"uid": [uid(n) for n in reversed(range(50))], **columns})
    backwards = captions({"original": 0.5, "recaption": 0.5}).trained_on(table).to_pylist()
    assert [text.decode() for text in reversed(backwards)] == mixed
    assert set(mixed) == {"a", "b"}


def test_a_pair_without_a_caption_of_its_kind_keeps_its_own() -> None:
    made = captions({"recaption": 1})
    assert texts(made, text=["a", "b", "c"], recaption=["x", None, ""]) == ["x", "b", "c"]
    assert texts(made, text=["a"]) == ["a"]


def test_kinds_may_be_cleaned_and_masked() -> None:
    made = captions({"cleaned": 1}, personal_data="mask")
    assert texts(made, text=["a&amp;b me@example.org"]) == ["a&b [email]"]


def test_personal_data_is_masked_in_captions_of_the_json_too() -> None:
    made = replace(captions({"original": 1}), mask=True)
    samples = pa.table({"text": ["a"], "recaption": ["me@example.org"], "translation": [None]})
    masked = made.masked(samples.cast(pa.schema([(n, pa.string()) for n in samples.column_names])))
    assert masked.to_pylist() == [{"text": "a", "recaption": "[email]", "translation": None}]


def test_the_best_caption_is_the_first_that_is_not_blank_and_the_others_follow() -> None:
    sections = {"input": {"path": "p"}, "group": {"captions": "all_as_list"}}
    sections |= {"embed": {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"}}
    sections |= {"shard": {"text": "best", "captions": "all"}}
    made = Captions.of(Recipe.model_validate(sections))
    samples = pa.table(
        {
            "text": ["own", "alone", "first"],
            "captions": [["own", " ", "b", "c"], ["alone"], ["first", "d"]],
            "captions_ranked": [[1, 3, 0, 2], None, [0, 1]],
        }
    )
    assert made.trained_on(samples).to_pylist() == [b"c", b"alone", b"first"]
    others = [[text for _, text in files] for files in made.files(samples).to_pylist()]
    assert others == [[b"own", b"b"], [], [b"d"]]
