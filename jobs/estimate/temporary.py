"""A folder for a dataset that is deleted again, on the disk that the recipe names for that."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pairsieve.schemas.recipe_file import load


@contextmanager
def temporary(recipe: Path, command: str) -> Iterator[Path]:
    """Make the folder of a command for a recipe; delete it at the end."""
    scratch = load(recipe).scratch.folder
    if scratch:
        Path(scratch).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"pairsieve-{command}-", dir=scratch) as folder:
        yield Path(folder)
