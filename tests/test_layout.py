import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("schemas", "filters", "pipeline", "jobs")  # each may import itself and those before it


def test_links_and_wheel_agree() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    sources = build["targets"]["wheel"]["sources"]
    mapped = {k: v.removeprefix("pairsieve/") for k, v in sources.items() if v}
    package = ROOT / ".src/pairsieve"
    links = {p.name: p.readlink().name for p in package.iterdir() if p.is_symlink()}
    assert mapped == links


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    for path in (ROOT / layer).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pairsieve."):
                assert (node.module or "").split(".")[1] in allowed, f"{path}: {node.module}"
