import re
import subprocess
import sys
from pathlib import Path

import pytest

from pairsieve.jobs.demo import demo
from pairsieve.schemas.errors import BadOption

COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]


def test_the_demo_ends_with_two_tables_how_captions_were_told_and_three_paths(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "demo"
    command = [*COMMAND, "demo", str(folder), "--pairs", "200", "--engine", "serial"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.index("Funnel") < said.index("Planted and detected")
    assert "caption_frequency (not yet)" in said
    figures = re.search(r"wrong captions: recall ([\d.]+) .*precision ([\d.]+)", said)
    assert figures
    assert min(float(figure) for figure in figures.groups()) >= 0.9
    for path in ("shards/default", "stats.duckdb", "report.html"):
        assert f"{folder}/dataset/{path}" in said
        assert (folder / "dataset" / path).exists()
    with pytest.raises(BadOption, match="holds a demo of 200 pairs with seed 0, not 300"):
        demo(folder, 300, 0, ("serial", None))


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadOption, match="is not empty and not a demo"):
        demo(tmp_path, 200, 0, ("serial", None))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
