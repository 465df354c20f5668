"""How many tokens a model's tokenizer makes of a text, before the model cuts it.

open_clip's own tokenizer cleans every text by ftfy and looks up every word; a caption of plain
letters needs no cleaning, and a word that was seen is one look-up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pairsieve.pipeline.models.pretrained import find_text_side
from pairsieve.pipeline.models.tokenizer import CONTEXT_LENGTH, tokenizer
from pairsieve.pipeline.models.tokenizer import limit as longest_read
from pairsieve.schemas.recipe import Embed

WORDS_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of texts, with those that open and close one.

    Attributes:
        count: From a text to its number of tokens.
        context_length: How many of them the model reads.
    """

    count: Callable[[str], int]
    context_length: int


def counter(options: Embed) -> TokenCounter:
    """Return the counter of a model; its weights need not be there. Loaded once per process.

    Raises:
        BadOption: an unknown model, or a tokenizer that is missing or damaged.
    """
    return _counter(options.model_dump_json(include={"model", "pretrained"}))


@lru_cache(maxsize=1)
def _counter(options: str) -> TokenCounter:
    embed = Embed.model_validate_json(options)
    text_tokenizer: Any = tokenizer(embed, find_text_side(embed))
    limit = longest_read(text_tokenizer)
    inner = getattr(text_tokenizer, "tokenizer", None)
    of_text = _of_transformers(text_tokenizer) if inner else _of_open_clip(text_tokenizer)

    def count(text: str) -> int:
        return of_text(" ".join(text.split())[:limit])

    return TokenCounter(count, getattr(text_tokenizer, "context_length", None) or CONTEXT_LENGTH)


def _of_transformers(text_tokenizer: Any) -> Callable[[str], int]:
    """Return the count by a tokenizer of the package transformers."""
    return lambda text: len(text_tokenizer.tokenizer(text_tokenizer.clean_fn(text)).input_ids)


def _of_open_clip(text_tokenizer: Any) -> Callable[[str], int]:
    """Return the count by open_clip's own tokenizer, as its `encode` would have it."""
    counts: dict[str, int] = {}
    words = text_tokenizer.pat.findall
    lowers = text_tokenizer.clean_fn.__name__ == "_clean_lower"
    to_bytes, merge = text_tokenizer.byte_encoder, text_tokenizer.bpe
    special = dict(text_tokenizer.cache)

    def merged(word: str) -> int:
        if len(counts) > WORDS_REMEMBERED:
            counts.clear()
            text_tokenizer.cache = dict(special)
        encoded = "".join(to_bytes[byte] for byte in word.encode(errors="replace"))
        counts[word] = merge(encoded).count(" ") + 1
        return counts[word]

    def count(text: str) -> int:
        clean = lowers and text.isascii() and text.isprintable() and "&" not in text
        text = text.lower() if clean else text_tokenizer.clean_fn(text)
        return 2 + sum(counts.get(word) or merged(word) for word in words(text))

    return count
