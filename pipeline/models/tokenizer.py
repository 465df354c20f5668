"""The model's own tokenizer: a text to token ids, bounded in time and in memory.

open_clip's tokenizers all pad to the model's context length; what a text does not need of it is
cut off later (`towers.py`).
"""

import hashlib
from collections.abc import Callable
from typing import Any

from pairsieve.pipeline.models.open_clip import registered_name
from pairsieve.pipeline.models.pretrained import ModelSource, fetch_command
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

CONTEXT_LENGTH = 77  # tokens; CLIP's own, for tokenizers that do not say
CHARS_PER_TOKEN = 32  # no token of CLIP's vocabulary is longer; keeps hostile texts cheap
WORDS_REMEMBERED = 200_000  # by open_clip's tokenizer, whose memory has no bound of its own


def tokenizer(options: Embed, source: ModelSource) -> Callable[..., Any]:
    """Return the tokenizer of the model's own config.

    Raises:
        BadOption: its files are missing or damaged.
    """
    import open_clip

    try:
        text_tokenizer: Callable[..., Any] = open_clip.get_tokenizer(registered_name(source))
    except (OSError, ValueError, TypeError, ImportError, LookupError) as error:
        raise BadOption(
            f"embed.model: the tokenizer of `{options.model}` cannot be loaded: "
            f"{str(error)[:500]}; this fetches it: {fetch_command(options)}"
        ) from error
    return text_tokenizer


def identity(tokenizer: Any) -> str:
    """Return what tells a tokenizer from others of its kind; call it before any text is read."""
    kind = type(tokenizer).__name__
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is None:
        return kind  # open_clip's own: all its options are in the config
    backend = getattr(inner, "backend_tokenizer", None)
    content = backend.to_str() if backend else str(sorted(inner.get_vocab().items()))
    return f"{kind} {hashlib.sha256(content.encode()).hexdigest()}"


def limit(tokenizer: Any) -> int:
    """Return how many code points of a text are read: no context holds the tokens of more."""
    inner = getattr(tokenizer, "tokenizer", None)
    longest = max(map(len, inner.get_vocab())) if inner else CHARS_PER_TOKEN
    return longest * (getattr(tokenizer, "context_length", None) or CONTEXT_LENGTH)


def bounded(tokenizer: Any) -> Callable[[str], Any]:
    """Return the tokenizer for one text, bounded in time and in memory.

    White space is collapsed, as open_clip's tokenizers do themselves, and what lies beyond the
    tokens that the model reads is left off: byte-pair encoding one endless word takes its length
    squared. The words that open_clip's tokenizer remembers are forgotten when they are many.
    """
    most = limit(tokenizer)
    words = getattr(tokenizer, "cache", {})
    special = dict(words)

    def tokenize(text: str) -> Any:
        if len(words) > WORDS_REMEMBERED:
            words.clear()
            words.update(special)
        return tokenizer([" ".join(text.split())[:most]])[0]

    return tokenize
