"""The columns that are measured of captions, one file each in filters/, all before the fetch."""

import pyarrow as pa

from pairsieve.schemas.column import Column, InSample

CAPTION_WORDS = InSample(
    "caption_words", pa.int32(), "words", "Whitespace-separated words of the text."
)
CAPTION_UNICODE_WORDS = InSample(
    "caption_unicode_words",
    pa.int32(),
    "words",
    "Words by the rules of Unicode, also where no spaces part them.",
)
CAPTION_TOKENS = InSample(
    "caption_tokens", pa.int32(), "tokens", "Tokens of the text by the first model's tokenizer."
)
CAPTION_TOKENS_CUT = InSample(
    "caption_tokens_cut", pa.int32(), "tokens", "How many of them lie beyond its context."
)
CAPTION_CHARS = InSample(
    "caption_chars", pa.int32(), "code points", "Unicode code points of the text."
)
LANGUAGE = InSample("language", pa.string(), "", "Most likely language of the text, ISO 639 code.")
LANGUAGE_CONFIDENCE = InSample(
    "language_confidence", pa.float32(), "[0, 1]", "Probability of that language."
)
LANGUAGE_SECOND = InSample(
    "language_second", pa.string(), "", "Second most likely language; null below 2 %."
)
LANGUAGE_SECOND_CONFIDENCE = InSample(
    "language_second_confidence", pa.float32(), "[0, 1]", "Probability of that second language."
)
LANGUAGE_SCRIPT = InSample(
    "language_script",
    pa.string(),
    "",
    "Script of most letters, ISO 15924 code; `Jpan` with kana, `Zyyy` without letters.",
)

# Made by `gather` itself for measures to read; never stored.
CLEAN_TEXT = Column("clean_text", pa.string(), "", "The text after cleaning.", False)
TOKEN_COUNT = Column("token_count", pa.int32(), "tokens", "Tokens by the first model.", False)
CONTEXT_LENGTH = Column("context_length", pa.int32(), "tokens", "How many it reads.", False)

TEXT_MEASURED = (
    CAPTION_WORDS, CAPTION_UNICODE_WORDS, CAPTION_CHARS, CAPTION_TOKENS, CAPTION_TOKENS_CUT,
    LANGUAGE, LANGUAGE_CONFIDENCE, LANGUAGE_SECOND, LANGUAGE_SECOND_CONFIDENCE, LANGUAGE_SCRIPT,
)  # fmt: skip
TEXT_UNSTORED = (CLEAN_TEXT, TOKEN_COUNT, CONTEXT_LENGTH)
