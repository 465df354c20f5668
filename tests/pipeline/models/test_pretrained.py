from pathlib import Path

import pytest

from pairsieve.pipeline.models.pretrained import find
from pairsieve.schemas.recipe import Embed


def test_weights_of_a_tag_bring_their_activation_and_preprocessing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--timm--vit_base_patch32_clip_224.openai"
    cached = repository / "snapshots" / "0123" / "open_clip_model.safetensors"
    for path, content in ((repository / "refs" / "main", "0123"), (cached, "")):
        path.parent.mkdir(parents=True)
        path.write_text(content)
    source = find(Embed(model="ViT-B-32", pretrained="openai"))
    assert (source.weights, source.quick_gelu) == (cached, True)
    assert source.preprocess["mean"] == (0.48145466, 0.4578275, 0.40821073)  # the CLIP paper's code
