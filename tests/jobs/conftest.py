"""What the commands are tested with."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pairsieve.jobs.cli import main


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as `main` does, in this process: what it imports is imported once."""
    words, out, err = ["pairsieve", *map(str, arguments)], io.StringIO(), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", words)
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
