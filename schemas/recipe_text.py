"""The section `text` of the recipe: what is measured of captions beyond the usual."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_scores import as_list


class SequenceClassifier(Section):
    """A classifier of texts, for the filter `text_classifier`."""

    model: str = Field(
        min_length=1,
        description="Folder of a model as the package transformers saves it: config.json, weights "
        "in .safetensors, tokenizer.",
    )
    positive: Annotated[tuple[int | str, ...], BeforeValidator(as_list)] = Field(
        min_length=1,
        description="The class, or classes, whose probability counts: names or indices from 0.",
    )


class Perplexity(Section):
    """A model of the language, for the filter `caption_perplexity`."""

    model: str = Field(min_length=1, description="A model of KenLM: an ARPA file, or a binary one.")
    pieces: str | None = Field(
        None, min_length=1, description="The model of SentencePiece by whose pieces it goes."
    )
    ignore_case: bool = Field(True, description="Whether texts are read without case.")


class Text(Section):
    """What is measured of captions beyond words, characters and language, before the fetch.

    Without this section nothing of it is measured, and a rule that reads it is refused.
    """

    language_model: str | None = Field(
        None,
        min_length=1,
        description="A fastText model for `language` instead of lid.176, .bin or .ftz; of labels "
        "such as `eng_Latn` the language is kept.",
    )
    quality: bool = Field(
        True,
        description="Measure `caption_characters`, `caption_repetition` and `caption_quality`.",
    )
    personal_data: bool = Field(True, description="Look for personal data, for that filter.")
    keep_personal_data: bool = Field(
        True,
        description="`false`: the captions in the ledger, and so in all that is made of it, have "
        "`[email]` and the like in its place, within their first 10,000 characters; what is "
        "measured before the fetch is measured of the whole. Other columns of the input stay.",
    )
    phone_regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = Field(
        ("US",),
        description="Countries, ISO 3166 codes, whose phone numbers are known without a `+`.",
    )
    word_lists: dict[str, str] = Field(
        {},
        description="Lists of words for `text_safety`, by name: a file with an entry a line, or a "
        "folder of such files.",
    )
    nouns: str | None = Field(
        None,
        min_length=1,
        description="List of nouns for `caption_nouns`, in every form that is to count: a file "
        "with an entry a line, or a folder of such files.",
    )
    perplexity: Perplexity | None = Field(
        None, description="A model of the language, for `caption_perplexity`."
    )
    classifiers: dict[str, SequenceClassifier] = Field(
        {}, description="Classifiers of texts for `text_classifier`, by name."
    )
    tokens: bool = Field(
        False, description="Count the tokens of the first model of `embed`, for `caption_tokens`."
    )

    def hashed(self) -> dict[str, Any]:
        """Return the options with the SHA-256 of files in place of their paths."""
        options = self.model_dump(mode="json")
        if self.language_model:
            options["language_model"] = sha256_of(self.language_model)
        for name, path in self.word_lists.items():
            options["word_lists"][name] = [sha256_of(str(file)) for file in files_of(path)]
        if self.nouns:
            options["nouns"] = [sha256_of(str(file)) for file in files_of(self.nouns)]
        for name, classifier in self.classifiers.items():
            files = [sha256_of(str(file)) for file in files_of(classifier.model)]
            options["classifiers"][name]["model"] = files
        if self.perplexity:
            options["perplexity"]["model"] = sha256_of(self.perplexity.model)
            if self.perplexity.pieces:
                options["perplexity"]["pieces"] = sha256_of(self.perplexity.pieces)
        for key in ("nouns", "perplexity", "classifiers"):
            if not options[key]:
                del options[key]  # as it was before there was this key
        if options["keep_personal_data"]:
            del options["keep_personal_data"]  # likewise
        return options


def files_of(path: str) -> list[Path]:
    """Return the files of a word list: itself, or in a folder all that are not hidden, in order."""
    if not Path(path).is_dir():
        return [Path(path)]
    files = (file for file in Path(path).iterdir() if file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a local file, hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
