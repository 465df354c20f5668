import pytest

from pairsieve.pipeline.vectors import folders
from pairsieve.schemas.recipe import Embed


@pytest.mark.parametrize(
    ("model", "pretrained", "name"),
    [
        ("ViT-B-32", "openai", "ViT-B-32--openai"),
        ("../ViT B", "a/../../b", "ViT-B--b"),
        ("..", "x\0y", "x-y"),
    ],
)
def test_a_folder_is_readable_and_safe(model: str, pretrained: str, name: str) -> None:
    assert folders.model_folder(Embed(model=model, pretrained=pretrained)) == name
