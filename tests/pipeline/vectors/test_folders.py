import re
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import embed_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import folders
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed, Recipe

OPENAI = {"model": "ViT-B-32", "pretrained": "openai"}
LAION = {"model": "ViT-B-32", "pretrained": "laion2b"}


def options(**keys: Any) -> Embed:
    return Embed.model_validate(OPENAI | keys)


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


def test_a_folder_of_local_files_has_a_hash_of_their_content(tmp_path: Path) -> None:
    for name in ("tiny.json", "weights.pt"):
        (tmp_path / name).write_bytes(b"{}")
    local = Embed(model=str(tmp_path / "tiny.json"), pretrained=str(tmp_path / "weights.pt"))
    before = folders.model_folder(local)
    assert re.fullmatch(r"tiny--weights--[0-9a-f]{8}", before)
    (tmp_path / "weights.pt").write_bytes(b"[]")
    assert folders.model_folder(local) != before


def test_a_file_is_called_without_its_folder_and_suffix() -> None:
    assert folders.model_name("/models/tiny.json") == "tiny"
    assert folders.model_name("hub/ViT-B-16-SigLIP2.1") == "ViT-B-16-SigLIP2.1"


def test_scores_lie_in_the_folder_of_their_vectors() -> None:
    folder = folders.scores_folder(options())
    assert re.fullmatch(r"ViT-B-32--openai/scores-[0-9a-f]{16}", folder)


def test_other_tags_mean_other_scores_on_the_same_vectors() -> None:
    tagged = options(tags={"red": ["a red thing"], "blue": ["a blue thing"]})
    assert folders.model_folder(tagged) == folders.model_folder(options())
    assert folders.scores_folder(tagged) != folders.scores_folder(options())


def test_another_head_of_the_same_name_means_other_scores(tmp_path: Path) -> None:
    head = tmp_path / "head.pth"
    headed = options(scores={"aesthetic": {"head": str(head)}})
    with pytest.raises(BadOption, match=r"head\.pth: no such file, and a score is measured by it"):
        folders.scores_folder(headed)
    head.write_bytes(b"first")
    before = folders.scores_folder(headed)
    assert folders.scores_folder(headed) == before
    head.write_bytes(b"another")
    assert folders.scores_folder(headed) != before


def test_the_main_model_has_no_name() -> None:
    recipe = two_models()
    first, second = recipe.models
    assert folders.scores_folders(recipe) == {
        "": folders.scores_folder(first),
        "second": folders.scores_folder(second),
    }


def test_slices_with_vectors_and_without_scores_are_counted_over_all_models(
    tmp_path: Path,
) -> None:
    store, recipe = Store.at(tmp_path), two_models()
    first, second = recipe.models
    for folder, names in (
        (folders.model_folder(first), ("00000000", "00000001")),
        (folders.scores_folder(first), ("00000001",)),
        (folders.model_folder(second), ("00000001",)),
    ):
        for name in names:
            store.create(embed_marker(folder, name), Marker(1, {}).dumps())
    assert folders.unscored_slices(store, recipe) == 2


def two_models() -> Recipe:
    """Return a recipe with a main model and one named `second`."""
    models = [OPENAI, LAION | {"name": "second"}]
    return Recipe.model_validate({"input": {"path": "pairs.parquet"}, "embed": models})
