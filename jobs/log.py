"""What is said on standard error: warnings, errors and progress, as lines or as JSON.

Results go to standard output and are no concern of this. With `--quiet` errors alone are said. With
`--log-json` every line is one JSON object with `time` (ISO 8601, UTC), `level`, `event` and what
belongs to the event.
"""

import json
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

import typer

Level = Literal["info", "warning", "error"]


class _Log:
    """How the command that runs was asked to speak."""

    quiet = False
    as_json = False


def configure(quiet: bool, as_json: bool) -> None:
    """Say from now on errors alone if `quiet`, and all of it as JSON if `as_json`."""
    _Log.quiet, _Log.as_json = quiet, as_json


def is_json() -> bool:
    """Return whether lines are JSON."""
    return _Log.as_json


def is_quiet() -> bool:
    """Return whether errors alone are said."""
    return _Log.quiet


def event(level: Level, name: str, **fields: Any) -> None:
    """Say something as one JSON object in one line."""
    if _Log.quiet and level != "error":
        return
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": time, "level": level, "event": name} | fields
    sys.stderr.write(json.dumps(line, ensure_ascii=True) + "\n")
    sys.stderr.flush()


def note(text: str) -> None:
    """Say what a person may want to know."""
    if _Log.as_json:
        event("info", "note", message=text.strip())
    elif not _Log.quiet:
        typer.echo(text, err=True)


def warning(text: str) -> None:
    """Say what a person would want to know."""
    if _Log.as_json:
        event("warning", "warning", message=text)
    elif not _Log.quiet:
        typer.echo(f"Warning: {text}", err=True)


def error(text: str, exit_code: int) -> None:
    """Say why the command ends with this exit code."""
    if _Log.as_json:
        event("error", "error", message=text, exit_code=exit_code)
    else:
        typer.echo(f"pairsieve: {text}", err=True)


def fault(text: str) -> None:
    """Say that the exception under way is a fault of pairsieve's own; as JSON with its trace."""
    if _Log.as_json:
        event("error", "fault", message=text, exit_code=1, traceback=traceback.format_exc())
    else:
        typer.echo(f"pairsieve: {text}", err=True)
