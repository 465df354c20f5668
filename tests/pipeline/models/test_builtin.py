"""The models that come with pairsieve, by the real loading code."""

from importlib.resources import files
from pathlib import Path

import pytest
from safetensors import safe_open

from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.builtin import DEMO, MODELS, TINY
from pairsieve.pipeline.vectors import folders
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

WEIGHTS = MODELS / f"{TINY}.safetensors"


def test_the_files_are_part_of_the_package() -> None:
    folder = files("pairsieve.pipeline") / "models"
    names = {f"{TINY}{suffix}" for suffix in (".json", ".bpe.gz", ".safetensors")}
    assert names == {file.name for file in folder.iterdir() if file.name.startswith(TINY)}


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 4_000_000
    with safe_open(WEIGHTS, framework="np") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    assert 1_000_000 <= sum(_product(shape) for shape in shapes) <= 3_000_000


def _product(shape: list[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product


def test_name_and_tag_give_the_model_wherever_it_lies(tmp_path: Path) -> None:
    named = Embed(model=TINY, pretrained=DEMO)
    for file in MODELS.glob(f"{TINY}.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copied = Embed(
        model=str(tmp_path / f"{TINY}.json"), pretrained=str(tmp_path / f"{TINY}.safetensors")
    )
    assert clip.load(named).fingerprint == clip.load(copied).fingerprint


def test_its_folder_has_its_name_and_tag() -> None:
    assert folders.model_folder(Embed(model=TINY, pretrained=DEMO)) == "pairsieve-tiny--demo"


def test_it_reads_a_text_by_its_own_vocabulary_whatever_the_script() -> None:
    tokenize = clip.load(Embed(model=TINY, pretrained=DEMO)).tokenize
    assert (tokenize("two red stars") != 0).sum() == 5  # a token a word, begin and end
    assert (tokenize("два красных круга") != 0).sum() > 5


@pytest.mark.parametrize(
    ("model", "tag", "message"),
    [
        (TINY, "dem", "no pretrained tag `dem`; known: demo; did you mean `demo`?"),
        ("pairsieve-tyni", DEMO, "did you mean `pairsieve-tiny`"),
    ],
)
def test_another_name_is_refused_with_the_nearest(model: str, tag: str, message: str) -> None:
    with pytest.raises(BadOption, match=message.replace("?", r"\?")):
        clip.check(Embed(model=model, pretrained=tag))


def test_a_config_whose_vocabulary_is_missing_is_refused(tmp_path: Path) -> None:
    config = tmp_path / f"{TINY}.json"
    config.write_bytes((MODELS / f"{TINY}.json").read_bytes())
    with pytest.raises(BadOption, match="bpe.gz: no such file"):
        clip.check(Embed(model=str(config), pretrained=str(WEIGHTS)))
