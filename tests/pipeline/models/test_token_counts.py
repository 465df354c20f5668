import open_clip
import pytest

from pairsieve.pipeline.models.token_counts import counter
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

TEXTS = [
    "",
    "a small brown dog",
    "A DOG'S life, it's 1,234.50 &amp; more",
    "ünïcode “quotes” and l\u2019été",
    "小さな犬 🐶👩‍👩‍👧",
    "\x00\x1b[31mred\x7f",
    "supercalifragilistic" * 9,
    "<start_of_text> dog <end_of_text>",
]


@pytest.mark.parametrize("text", TEXTS)
def test_counts_what_open_clip_encodes(text: str) -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    count = counter(Embed(model="ViT-B-32", pretrained="not downloaded")).count
    assert [count(text), count(text)] == [len(tokenizer.encode(text)) + 2] * 2


def test_the_context_is_that_of_the_model() -> None:
    assert counter(Embed(model="ViT-B-32", pretrained="x")).context_length == 77


def test_an_endless_word_is_counted_by_its_beginning() -> None:
    count = counter(Embed(model="ViT-B-32", pretrained="x")).count
    assert count("x" * 1_000_000) == count("x" * 2464)


def test_a_model_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadOption, match="open_clip has no model `ViT-B-33`"):
        counter(Embed(model="ViT-B-33", pretrained="x"))
