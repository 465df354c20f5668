from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load
from pairsieve.schemas.recipe_group import Entries, Group


def test_colours_and_dhash_verify_by_default_and_none_stands_for_nothing() -> None:
    assert Group().verify == ("dhash", "colour")
    assert Group.model_validate({"verify": "none"}).verify == ()
    assert Group.model_validate({"verify": []}).verify == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"verify": ["ahash"]}, "'dhash', 'colour' or 'embedding'"),
        ({"clusters": "ring"}, "'star' or 'chain'"),
        ({"orientations": ["upside_down"]}, "'rotated_180'"),
        ({"captions": "all"}, "'all_as_list'"),
        ({"max_dhash": 65}, "less than or equal to 64"),
        ({"max_colour": -0.1}, "greater than or equal to 0"),
        ({"min_embedding": 1.1}, "less than or equal to 1"),
        ({"prefer": ["pixel"]}, "cannot prefer by `pixel`.*did you mean `pixels`"),
        ({"prefer": ["language"]}, "cannot prefer by `language`"),
        ({"prefer": ["perceptual_hash"]}, "cannot prefer by `perceptual_hash`"),
        ({"prefer": ["image_cluster"]}, "cannot prefer by `image_cluster`"),
        ({"prefer": ["pixels", "-pixels"]}, "names a thing twice"),
        ({"prefer": ["-uid"]}, "asks for `-uid`"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Group.model_validate(options)


@pytest.mark.parametrize("name", ["pixels", "-fetch_bytes", "sharpness", "clip_similarity", "uid"])
def test_numbers_of_the_ledger_can_be_preferred_by(name: str) -> None:
    assert Group.model_validate({"prefer": [name]}).prefer == (name,)


def test_an_orientation_is_compared_with_what_undoes_it_and_none_twice() -> None:
    assert Group().compared == ()
    assert Group(orientations=("rotated_270",)).compared == ("rotated_90", "rotated_270")
    asked = Group(orientations=("rotated_180", "mirrored", "mirrored"))
    assert asked.compared == ("mirrored", "rotated_180")


def test_vectors_verify_only_where_they_are_made() -> None:
    content = {"input": {"path": "pairs.parquet"}, "group": {"verify": ["embedding"]}}
    with pytest.raises(ValidationError, match="`embedding` needs the section `embed`"):
        Recipe.model_validate(content)
    Recipe.model_validate(content | {"embed": {"model": "ViT-B-32", "pretrained": "openai"}})


def test_lists_of_entries_start_at_the_folder_of_the_recipe(tmp_path: Path) -> None:
    entries = "{path: list.txt, languages: {zh: zh.txt}}"
    (tmp_path / "r.yaml").write_text(f"input: {{path: p}}\ngroup: {{entries: {entries}}}\n")
    read = load(tmp_path / "r.yaml").group.entries
    assert read
    assert (read.path, read.languages) == (f"{tmp_path}/list.txt", {"zh": f"{tmp_path}/zh.txt"})


def test_lists_of_entries_are_known_by_what_they_hold(tmp_path: Path) -> None:
    for name, entry in (("a", "dog"), ("b", "dog"), ("c", "cat")):
        (tmp_path / name).write_text(entry)
    one, same, other = (Entries(path=str(tmp_path / name)).hashed() for name in "abc")
    assert one == same != other
