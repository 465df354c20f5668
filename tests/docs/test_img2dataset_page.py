"""The table of img2dataset's options: it is complete, and the keys beside them exist."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from pairsieve.schemas.recipe import Fetch, Image, Recipe
from pairsieve.schemas.recipe_input import Input
from pairsieve.schemas.recipe_shard import Shard

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/img2dataset.md").read_text().partition("## Its downloader")[0]
SECTIONS: dict[str, type[BaseModel]] = {
    "input": Input,
    "fetch": Fetch,
    "image": Image,
    "shard": Shard,
}


def test_every_option_of_download_has_a_row() -> None:
    found = (ROOT / ".venv-img2dataset").glob("lib/*/site-packages/img2dataset/main.py")
    source = next(found, None)
    if source is None:
        pytest.skip("img2dataset is not installed (make img2dataset)")
    functions = [
        one for one in ast.parse(source.read_text()).body if isinstance(one, ast.FunctionDef)
    ]
    (download,) = [one for one in functions if one.name == "download"]
    options = {argument.arg for argument in download.args.args}
    listed = {
        name
        for row in re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert len(options) > 30
    assert options - listed == set()


def test_keys_beside_them_are_keys_of_the_recipe() -> None:
    keys = re.findall(r"`(input|fetch|image|shard)\.(\w+)", PAGE)
    assert len(keys) > 20
    assert set(SECTIONS) <= set(Recipe.model_fields)
    assert [
        (section, key) for section, key in keys if key not in SECTIONS[section].model_fields
    ] == []
