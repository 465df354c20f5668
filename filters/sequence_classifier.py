"""A classifier of texts in a folder, as the package transformers saves it.

Loaded when the first text is measured, from this folder alone: nothing is downloaded, no code that
comes with a model is run, and weights are read from .safetensors only. Texts are padded to a power
of two of tokens and classified so many at a time, the last batch filled up, so that a probability
does not depend on what else is classified.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pairsieve.schemas.arrays import Floats, Texts
from pairsieve.schemas.errors import BadOption, nearest

BATCH = 16  # texts
SHORTEST = 16  # tokens that a text is padded to, at least
LONGEST = 512  # tokens; the rest of a text is not read
CHARS_READ = 10_000  # code points; likewise
Positive = tuple[int | str, ...]


def check(path: str, positive: Positive) -> None:
    """Refuse a folder from which no classifier with these classes can be loaded.

    Raises:
        ValueError: saying what is missing.
    """
    if find_spec("transformers") is None:
        raise ValueError("needs transformers: pip install 'pairsieve[transformers]'")
    config = _config(path)
    if not any(Path(path).glob("*.safetensors")):
        raise ValueError(f"{path}: there are no weights in .safetensors, and others are not read")
    if config.get("problem_type") == "regression":
        raise ValueError(f"{path}: it is a regression, which has no probabilities")
    _indices(_labels(config), positive)


def _config(path: str) -> dict[str, Any]:
    try:
        config = json.loads(Path(path, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a folder of a model, with config.json: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: config.json is no object")
    return config


def _labels(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the classes, in the order of the network's outputs."""
    named = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return [str(named[key]) for key in sorted(named, key=int)]


def _indices(labels: Sequence[str], positive: Positive) -> list[int]:
    """Return the outputs of the classes that are scored, given by name or number."""
    indices = []
    for one in positive:
        if isinstance(one, str) and one in labels:
            indices.append(labels.index(one))
        elif isinstance(one, int) and 0 <= one < len(labels):
            indices.append(one)
        else:
            raise ValueError(f"there is no class `{one}`; {nearest(str(one), list(labels))}")
    return indices


class SequenceClassifier:
    """A loaded classifier."""

    def __init__(self, path: str, positive: Positive) -> None:
        """Load it."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        said: Any = logging
        said.set_verbosity_error()
        said.disable_progress_bar()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        self._model: Any = AutoModelForSequenceClassification.from_pretrained(
            path, local_files_only=True, use_safetensors=True
        ).eval()
        config = self._model.config
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
            config.pad_token_id = self._tokenizer.pad_token_id
        self._indices = _indices(_labels(_config(path)), positive)
        several = config.problem_type == "multi_label_classification"
        self._independent = several or config.num_labels == 1
        positions = getattr(config, "max_position_embeddings", LONGEST + 2)
        self._longest = min(LONGEST, self._tokenizer.model_max_length, positions - 2)

    def probabilities(self, texts: Texts) -> Floats:
        """Return the probability of each text, (n,), that it is of one of the classes, [0, 1].

        Of classes that exclude one another the probabilities are added, of others the highest
        counts.
        """
        scores = np.zeros(len(texts), np.float32)
        if not len(texts):
            return scores
        cut = [text[:CHARS_READ] for text in texts]
        tokens = self._tokenizer(cut, truncation=True, max_length=self._longest)["input_ids"]
        padded = [self._padded(len(ids)) for ids in tokens]
        for length in sorted(set(padded)):
            rows = [row for row, other in enumerate(padded) if other == length]
            for first in range(0, len(rows), BATCH):
                some = rows[first : first + BATCH]
                filled = [tokens[row] for row in (some * BATCH)[:BATCH]]
                scores[some] = self._classified(filled, length)[: len(some)]
        return scores

    def _padded(self, tokens: int) -> int:
        """Return how many tokens a text of so many is padded to."""
        power = 1 << max(tokens - 1, 0).bit_length()
        return min(self._longest, max(SHORTEST, power))

    def _classified(self, tokens: Sequence[list[int]], length: int) -> Floats:
        import torch

        batch = self._tokenizer.pad(
            {"input_ids": list(tokens)}, "max_length", max_length=length, return_tensors="pt"
        )
        with torch.inference_mode():
            known = {key: batch[key] for key in ("input_ids", "attention_mask") if key in batch}
            logits = self._model(**known).logits.double()
        if self._independent:
            best = logits.sigmoid()[:, self._indices].max(dim=1).values
        else:
            best = logits.softmax(dim=1)[:, self._indices].sum(dim=1)
        scores: Floats = best.numpy().astype(np.float32)
        return scores


@lru_cache(maxsize=4)
def loaded(path: str, positive: Positive) -> SequenceClassifier:
    """Return the classifier in a folder, loaded once per process.

    Raises:
        BadOption: it cannot be loaded.
    """
    try:
        return SequenceClassifier(path, positive)
    except (OSError, ValueError, KeyError, ImportError) as error:
        why = " ".join(str(error).split())[:300]
        raise BadOption(f"text.classifiers: {path}: cannot be loaded: {why}") from error
