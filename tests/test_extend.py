"""The examples of the page on extending, put into a copy of the tree: they are all it takes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extend.md").read_text()
SECTIONS = {
    title.strip(): text
    for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
}
MAIN = "from pairsieve.jobs.cli import main; main()"
RECIPE = """
input: {{path: {pages}}}
fetch:
  user_agent: "test/1 (+mailto:a@example.org)"
  allow_networks: [127.0.0.0/8]
  ports: [{port}]
  per_host_per_s: 1000
keep:
  - capitals: {{max_share: 0.5}}
  - where: caption_pairs < 3
shard: {{}}
"""


def blocks(section: str) -> list[tuple[str, str, str]]:
    """Return (path, language, code) of a section; a path stands before the blocks it is for."""
    found, path = [], ""
    for named, language, code in re.findall(
        r"^`([\w/]+\.py)`|^```(python|diff)\n(.*?)^```", section, re.DOTALL | re.MULTILINE
    ):
        path = named or path
        if code:
            found.append((path, language, code))
    return found


def changed(text: str, diff: str) -> str:
    """Return the text after the diff, whose old lines must stand in it exactly once."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, old
    return text.replace(old, new)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree with all four examples in it, its pages written anew."""
    tree = tmp_path_factory.mktemp("extended") / "pairsieve"
    leave = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=leave)
    for section in SECTIONS.values():
        for path, language, code in blocks(section):
            file = tree / path
            if language == "python":
                assert not file.exists()
                file.write_text(code)
            else:
                file.write_text(changed(file.read_text(), code))
    assert run(tree, "-m", "pairsieve.jobs.write_docs").returncode == 0
    return tree


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the tree."""
    settings = {"PYTHONPATH": str(tree / ".src")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_table_says_how_many_files_each_touches() -> None:
    rows = re.findall(r"^\| (an? .*?) \| (\d) \|", PAGE, re.MULTILINE)
    touched = {
        title.lower(): len({path for path, _, _ in blocks(text)})
        for title, text in SECTIONS.items()
    }
    assert {name: int(number) for name, number in rows} == touched
    assert len(touched) == 4


def test_the_house_rules_hold_with_them(extended: Path) -> None:
    tests = ("tests/test_house_rules.py", "tests/test_layout.py", "tests/filters/test_capitals.py")
    slow = ("-k", "not open_clip_takes")  # of a page that no example touches
    done = run(extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", *slow, *tests)
    assert done.returncode == 0, done.stdout[-3000:]
    checked = run(extended, "-m", "ruff", "check", "pipeline", "filters", "schemas", "jobs")
    assert checked.returncode == 0, checked.stdout


def test_a_pipeline_runs_with_them(
    extended: Path, tmp_path: Path, serve: Callable[[Path], str]
) -> None:
    captions = ["a dog", "LOUD NEWS", "shop", "shop", "shop", "two red buses", "a grey cat"]
    (tmp_path / "web").mkdir()
    base = serve(tmp_path / "web")
    lines = []
    for number, text in enumerate(captions):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"web/{number}.jpg"), pixels)
        lines.append(f"Look: ![{text}]({base}/{number}.jpg).\n")
    (tmp_path / "page.md").write_text("# A page\n" + "".join(lines))
    recipe = RECIPE.format(pages=tmp_path / "page.md", port=base.rpartition(":")[2])
    (tmp_path / "recipe.yaml").write_text(recipe)
    options = ("--dataset", str(tmp_path / "out"), "--engine", "serial")
    command = ("-c", MAIN, "run", str(tmp_path / "recipe.yaml"), *options)
    done = run(extended, *command)
    assert done.returncode == 0, done.stderr
    assert "split" in done.stdout + done.stderr
    with duckdb.connect(
        str(tmp_path / "out/report/default/stats.duckdb"), read_only=True
    ) as connection:
        rows = connection.execute(
            "SELECT text, round(capitals, 3), caption_pairs, first_failing, held_out "
            "FROM ledger ORDER BY row"
        ).fetchall()
    assert [row[3] for row in rows] == [None, "capitals", *["caption_pairs < 3"] * 3, None, None]
    assert rows[1][:3] == ("LOUD NEWS", 1.0, 1)
    assert [row[2] for row in rows] == [1, 1, 3, 3, 3, 1, 1]
    assert [row[4] is None for row in rows] == [row[3] is not None for row in rows]
