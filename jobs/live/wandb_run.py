"""A run in Weights & Biases: offline, in `wandb/`, unless WANDB_MODE says otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pairsieve.schemas.errors import BadOption

OFFLINE = "offline"
OF_MACHINE = ("disable_git", "disable_code", "x_disable_machine_info", "x_disable_meta")


class WandbRun:
    """One run; nothing of the machine, the code or what is installed is kept with it."""

    def __init__(self, title: str, kind: str, options: Mapping[str, str], project: str) -> None:
        """Begin a run with this title, of this kind of work.

        Raises:
            BadOption: W&B cannot be logged to as the environment has it.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self.errors: tuple[type[Exception], ...] = (wandb.Error, OSError)
        off: dict[str, Any] = dict.fromkeys(OF_MACHINE, True)
        try:
            settings = wandb.Settings(
                console="off", silent=True, x_disable_stats=True, x_save_requirements=False, **off
            )
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", project),
                name=os.environ.get("WANDB_NAME", title),
                mode=os.environ.get("WANDB_MODE", OFFLINE),  # type: ignore[arg-type]
                job_type=kind,
                config=dict(options),
                settings=settings,
            )
        except (*self.errors, ValueError) as error:
            raise BadOption(f"--log-to wandb: {error}") from error

    @property
    def place(self) -> str:
        """Return the page of the run, or its folder and how it is uploaded."""
        if not self._run.offline and self._run.url:
            return self._run.url
        folder = Path(self._run.dir).parent
        return f"{folder}; `wandb sync {folder}` uploads it"

    def log(self, figures: Mapping[str, float], second: int) -> None:
        """Log what holds so many seconds after the beginning."""
        self._run.log(dict(figures), step=second)

    def end(self, finished: bool, result: Mapping[str, float | str]) -> None:
        """Log what the run came to, and that it is over."""
        self._run.summary.update(dict(result))
        self._run.finish(exit_code=0 if finished else 1)
