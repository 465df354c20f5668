"""Zero-shot and retrieval against open_clip's own figures and against counting by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from open_clip_train.train import get_clip_metrics

from pairsieve.pipeline.evaluation.measures import Measure, class_vectors, retrieval, zero_shot
from pairsieve.pipeline.models import clip
from pairsieve.schemas.recipe import Embed

CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def vectors(seed: int, count: int, width: int = 8) -> NDArray[np.float32]:
    made = np.random.default_rng(seed).normal(size=(count, width))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def by_name(measures: list[Measure]) -> dict[str, float]:
    return {one.name: one.value for one in measures}


def test_class_vectors_are_open_clips(
    random_model: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    files = random_model(tmp_path, CONFIG)
    model = clip.load(Embed.model_validate(files | {"precision": "fp32", "device": "cpu"}))
    classes, templates = ["disc", "red star"], ["a {c}.", "one {} here"]
    made = class_vectors(model, classes, templates)
    network = open_clip.model.CLIP(**CONFIG)
    network.load_state_dict(torch.load(files["pretrained"], weights_only=True))
    tokenize = open_clip.SimpleTokenizer(context_length=20)
    said = [template.replace("{c}", "{}") for template in templates]
    theirs = open_clip.build_zero_shot_classifier(network.eval(), tokenize, classes, said)
    assert np.allclose(made, theirs.T.numpy(), atol=1e-5)


def test_the_right_class_is_among_the_top_as_torch_has_them() -> None:
    images, classes = vectors(0, 300), vectors(1, 20)
    labels = np.random.default_rng(2).integers(0, 20, 300)
    found = zero_shot(images, labels, classes)
    top = torch.from_numpy(images @ classes.T).topk(5).indices.numpy() == labels[:, None]
    assert [one.value for one in found[:2]] == [top[:, 0].mean(), top.any(axis=1).mean()]
    assert all(one.low < one.value < one.high for one in found)


def test_recall_of_one_caption_each_is_open_clips() -> None:
    images = vectors(3, 120)
    texts = images + 0.4 * vectors(4, 120)
    found = by_name(retrieval(images, texts, np.arange(120)))
    theirs = get_clip_metrics(
        torch.from_numpy(images), torch.from_numpy(texts), torch.tensor(100.0)
    )
    for way in ("image_to_text", "text_to_image"):
        for k in (1, 5, 10):
            assert found[f"{way}_r{k}"] == pytest.approx(float(theirs[f"{way}_R@{k}"]))


def test_of_several_captions_one_among_the_nearest_will_do() -> None:
    images = np.eye(3, dtype=np.float32)
    # the first image's captions: one right, one that is nearest to the second image
    texts = images[[0, 1, 1, 2]]
    found = by_name(retrieval(images, texts, np.array([0, 0, 1, 2])))
    assert found["text_to_image_r1"] == 3 / 4
    # the second image is as near to a caption of the first, which comes first
    assert found["image_to_text_r1"] == 2 / 3


def test_a_model_that_gives_one_vector_for_all_is_no_better_than_chance() -> None:
    same = np.ones((40, 4), np.float32)
    found = by_name(retrieval(same, same, np.arange(40)))
    assert found["image_to_text_r1"] == found["text_to_image_r1"] == 1 / 40
    labels = np.repeat(np.arange(8), 5)
    assert by_name(zero_shot(same, labels, same[:8]))["top_1"] == 1 / 8
