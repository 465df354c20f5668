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
LETTER_SHARE = InSample(
    "letter_share", pa.float32(), "[0, 1]", "Share of letters and marks, spaces left out."
)
DIGIT_SHARE = InSample("digit_share", pa.float32(), "[0, 1]", "Share of digits, spaces left out.")
SYMBOL_SHARE = InSample(
    "symbol_share", pa.float32(), "[0, 1]", "Share of all else, spaces left out."
)
CAPITAL_SHARE = InSample(
    "capital_share", pa.float32(), "[0, 1]", "Share of capitals in letters that have two cases."
)
REPEATED_WORDS = InSample(
    "repeated_words",
    pa.float32(),
    "[0, 1]",
    "Share of the characters in the pair of words that takes most of them, if it occurs twice.",
)
REPEATED_CHARS = InSample(
    "repeated_chars", pa.float32(), "[0, 1]", "Share of runs of 5 characters that occurred before."
)
IS_FILE_NAME = InSample(
    "is_file_name", pa.bool_(), "", "The text is the name of a file, or a slug."
)
HOLDS_URL = InSample("holds_url", pa.bool_(), "", "The text is or holds a web address.")
CODE_SHARE = InSample(
    "code_share", pa.float32(), "[0, 1]", "Share of the words that are prices or article numbers."
)
GENERIC = InSample("generic", pa.bool_(), "", "The text says no more than that it is a picture.")
ONLY_DATE = InSample("only_date", pa.bool_(), "", "The text is a date.")
NAVIGATION = InSample("navigation", pa.bool_(), "", "At least half of the text serves navigation.")
PERSONAL_DATA = Column(
    "personal_data",
    pa.map_(pa.string(), pa.int32()),
    "times",
    "How often each kind of personal data occurs in the text; empty without any.",
)
LISTED_WORDS = InSample(
    "listed_words",
    pa.map_(pa.string(), pa.int32()),
    "times",
    "How often entries of each word list of the recipe occur in the text; empty without any.",
)
CAPTION_NOUNS = InSample(
    "caption_nouns", pa.int32(), "times", "How often nouns of the recipe's list occur in the text."
)
CAPTION_PERPLEXITY = InSample(
    "caption_perplexity",
    pa.float32(),
    ">= 1",
    "How surprising the text is to the recipe's model of the language.",
)
TEXT_CLASSES = InSample(
    "text_classes",
    pa.map_(pa.string(), pa.float32()),
    "[0, 1]",
    "Probability that each text classifier of the recipe gives to its positive classes.",
)

# Made by `gather` itself for measures to read; never stored.
CLEAN_TEXT = Column("clean_text", pa.string(), "", "The text after cleaning.", False)
TOKEN_COUNT = Column("token_count", pa.int32(), "tokens", "Tokens by the first model.", False)
CONTEXT_LENGTH = Column("context_length", pa.int32(), "tokens", "How many it reads.", False)

TEXT_MEASURED = (
    CAPTION_WORDS, CAPTION_UNICODE_WORDS, CAPTION_CHARS, CAPTION_TOKENS, CAPTION_TOKENS_CUT,
    LANGUAGE, LANGUAGE_CONFIDENCE, LANGUAGE_SECOND, LANGUAGE_SECOND_CONFIDENCE, LANGUAGE_SCRIPT,
    LETTER_SHARE, DIGIT_SHARE, SYMBOL_SHARE, CAPITAL_SHARE, REPEATED_WORDS, REPEATED_CHARS,
    IS_FILE_NAME, HOLDS_URL, CODE_SHARE, GENERIC, ONLY_DATE, NAVIGATION, PERSONAL_DATA,
    LISTED_WORDS, CAPTION_NOUNS, CAPTION_PERPLEXITY, TEXT_CLASSES,
)  # fmt: skip
TEXT_UNSTORED = (CLEAN_TEXT, TOKEN_COUNT, CONTEXT_LENGTH)
