from math import log
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters import sequence_classifier
from pairsieve.filters.text_classifier import Classified, TextClassifier
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import TEXT_CLASSES

WORDS = ["[PAD]", "[UNK]", "a", "dog", "in", "the", "snow", "runs"]
HOSTILE = "\0 \u202e; DROP TABLE"
TEXTS = ["a dog", HOSTILE, "the dog runs in the snow", "a cat", "", "snow " * 3000, *["a dog"] * 20]
LABELS = ("fine", "rude", "cruel")


def save(folder: Path, several: bool = False, fixed: bool = False) -> Path:
    """Write a classifier with random weights; with `fixed` ones it gives 0.1, 0.2 and 0.7."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made: Any = PreTrainedTokenizerFast
    fast = made(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[UNK]")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    kind: Any = "multi_label_classification" if several else "single_label_classification"
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=66,
        id2label=dict(enumerate(LABELS)),
        problem_type=kind,
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight *= 0 if fixed else 20
        if fixed:
            model.classifier.bias.copy_(torch.tensor([log(1), log(2), log(7)]))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a classifier with random weights."""
    return save(tmp_path_factory.mktemp("random"))


def measured(folder: Path, *positive: int | str, texts: list[str] = TEXTS) -> list[float]:
    classified = Classified((("unsafe", str(folder), positive),))
    rows = classified.measure(np.array(texts, object))
    assert all([name for name, _ in row] == ["unsafe"] for row in rows)
    return [float(score) for ((_, score),) in rows]


def test_classes_that_exclude_one_another_are_added(tmp_path: Path) -> None:
    save(tmp_path, fixed=True)
    assert measured(tmp_path, "cruel") == pytest.approx([0.7] * len(TEXTS), abs=1e-6)
    assert measured(tmp_path, "rude", 2) == pytest.approx([0.9] * len(TEXTS), abs=1e-6)


def test_of_others_the_highest_counts(tmp_path: Path) -> None:
    save(tmp_path, several=True, fixed=True)  # logits 0, log 2, log 7: sigmoid 1/2, 2/3, 7/8
    assert measured(tmp_path, 0, "rude") == pytest.approx([2 / 3] * len(TEXTS), abs=1e-6)


def test_gives_what_transformers_does(folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = measured(folder, "rude")
    assert max(found) - min(found) > 0.01
    for text, score in list(zip(TEXTS, found, strict=True))[:3]:
        given = tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            logits = model(given["input_ids"], given["attention_mask"]).logits
        assert score == pytest.approx(float(logits.softmax(1)[0, 1]), abs=1e-5)


def test_order_and_batches_do_not_matter(folder: Path) -> None:
    whole = measured(folder, "rude")
    assert measured(folder, "rude", texts=TEXTS[::-1]) == whole[::-1]
    assert [measured(folder, "rude", texts=[text])[0] for text in TEXTS[:6]] == whole[:6]
    assert Classified().measure(np.array([], object)).shape == (0,)


def test_a_bound_is_kept_and_more_is_dropped_of_all_classifiers_or_some() -> None:
    rows = [[("a", 0.5)], [("a", 0.6)], [("a", 0.1), ("b", 0.9)], None]
    ledger = pa.table({"text_classes": pa.array(rows, TEXT_CLASSES.type)})
    kept = [
        [row[0] for row in duckdb.from_arrow(ledger).project(rule.rule()).fetchall()]
        for rule in (TextClassifier(), TextClassifier(("a",)), TextClassifier(max_probability=0.9))
    ]
    assert kept == [
        [True, False, False, None],
        [True, False, True, None],
        [True, True, True, None],
    ]


def test_is_measured_where_the_recipe_has_classifiers() -> None:
    model = {"model": "folder", "positive": "rude"}
    recipe = {"input": {"path": "p"}, "text": {"classifiers": {"toxic": model}}}
    configured = TextClassifier().configured(Recipe.model_validate(recipe))
    assert configured == Classified((("toxic", "folder", ("rude",)),))
    assert TextClassifier().configured(Recipe.model_validate(recipe | {"text": {}})) is None


def test_a_class_or_weights_that_are_not_there_are_refused(folder: Path, tmp_path: Path) -> None:
    sequence_classifier.check(str(folder), ("rude", 2))
    with pytest.raises(ValueError, match="no class `rud`; known: .*; did you mean `rude`?"):
        sequence_classifier.check(str(folder), ("rud",))
    with pytest.raises(ValueError, match="no class `3`"):
        sequence_classifier.check(str(folder), (3,))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"there are no weights in \.safetensors"):
        sequence_classifier.check(str(tmp_path), (0,))
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(BadOption, match="text.classifiers: .*: cannot be loaded: "):
        sequence_classifier.loaded(str(tmp_path), (0,))


@pytest.mark.parametrize("options", [{"classifiers": "a"}, {"max_probability": 1.1}])
def test_refuses_a_name_for_a_list_and_a_bound_beyond_one(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TextClassifier(**options)
