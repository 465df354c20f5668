"""The tutorial's commands, run as they stand, and what they print beside what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_port

PAGE = Path(__file__).parent.parent.parent / "docs/tutorial.md"
PORT = "8123"  # of the page
UNTIL_SERVED = """
for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done
"""


def blocks(language: str) -> list[str]:
    """Return the page's blocks of code in a language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def script(port: int) -> str:
    """Return all commands as one script; it ends, and its server, at the first that fails."""
    commands = [
        block.replace(PORT, str(port))
        + (UNTIL_SERVED.format(port=port) if block.rstrip().endswith("&") else "")
        for block in blocks("bash")
    ]
    return "\n".join(["set -e", "trap 'kill $(jobs -p)' EXIT", *commands])


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the commands in an empty folder; return what they print."""
    done = subprocess.run(
        ["bash", "-c", script(free_port())],
        cwd=tmp_path_factory.mktemp("tutorial"),
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pattern(line: str) -> str:
    """Return what a line of the page looks like with any numbers and spaces; `...` is anything."""
    parts = [re.split(r"(\d+(?:[.,:-]\d+)*|\s+)", part) for part in line.split("...")]
    return ".*".join("".join(_loose(piece) for piece in pieces) for pieces in parts)


def _loose(piece: str) -> str:
    if piece[:1].isdigit():
        return r"\d+(?:[.,:-]\d+)*"
    return r"\s+" if piece.isspace() else re.escape(piece)


def test_every_command_works_and_the_model_trains(printed: str) -> None:
    losses = [float(loss) for loss in re.findall(r"Contrastive_loss: [\d.]+ \(([\d.]+)\)", printed)]
    assert re.search(r"Train Epoch: 0 \[\s*(\d+)/\1 \(100%\)\]", printed)
    assert losses[-1] < losses[0]


def test_the_page_shows_what_is_printed(printed: str) -> None:
    shown = [line for block in blocks("text") for line in block.splitlines() if line.strip()]
    missing = [line for line in shown if not re.search(pattern(line.strip()), printed)]
    assert len(shown) > 20
    assert missing == []
