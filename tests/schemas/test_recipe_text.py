import hashlib
from pathlib import Path

import pytest

from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_file import load
from pairsieve.schemas.recipe_text import Perplexity, Text, files_of


def test_relative_paths_start_at_the_folder_of_the_recipe(tmp_path: Path) -> None:
    text = "text: {language_model: m.bin, nouns: n, word_lists: {a: lists, b: s3://b/c}, "
    text += "perplexity: {model: k.bin, pieces: p.model}}"
    (tmp_path / "r.yaml").write_text(f"input: {{path: p}}\n{text}\n")
    recipe = load(tmp_path / "r.yaml")
    assert recipe.text
    assert recipe.text.language_model == str(tmp_path / "m.bin")
    assert recipe.text.nouns == str(tmp_path / "n")
    perplexity = Perplexity(model=str(tmp_path / "k.bin"), pieces=str(tmp_path / "p.model"))
    assert recipe.text.perplexity == perplexity
    assert recipe.text.word_lists == {"a": str(tmp_path / "lists"), "b": "s3://b/c"}


def test_files_of_a_folder_are_in_order_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    for name in ("en", "de", ".git", "fr"):
        (tmp_path / name).write_text(name)
    (tmp_path / "more").mkdir()
    assert [file.name for file in files_of(str(tmp_path))] == ["de", "en", "fr"]
    assert files_of(str(tmp_path / "en")) == [tmp_path / "en"]


def test_what_files_hold_stands_for_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("dog\n")
    hashed = [Text(word_lists={"x": str(tmp_path / name)}).hashed() for name in ("a", "b")]
    assert hashed[0] == hashed[1]
    assert "nouns" not in hashed[0]
    nouns = Text(nouns=str(tmp_path / "a")).hashed()["nouns"]
    assert nouns == [hashlib.sha256(b"dog\n").hexdigest()]
    assert hashed[0]["word_lists"] == {"x": [hashlib.sha256(b"dog\n").hexdigest()]}


@pytest.mark.parametrize("regions", ["[us]", "[USA]", "US"])
def test_regions_are_codes_of_two_capitals(regions: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"input: {{path: p}}\ntext: {{phone_regions: {regions}}}\n")
    with pytest.raises(BadOption, match=r"text\.phone_regions"):
        load(tmp_path / "r.yaml")
