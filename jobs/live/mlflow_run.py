"""A run in MLflow: in the folder `mlruns` unless MLFLOW_TRACKING_URI says otherwise."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from pairsieve.schemas.errors import BadOption

FOLDER = "mlruns"
AT_ONCE = 1000  # figures; MLflow takes no more
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")


class MlflowRun:
    """One run."""

    def __init__(self, title: str, options: Mapping[str, str], experiment: str) -> None:
        """Begin a run with this title.

        Raises:
            BadOption: MLflow cannot be logged to as the environment has it.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else a folder is refused
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        self.errors: tuple[type[Exception], ...] = (MlflowException, OSError)
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or str(Path(FOLDER).absolute())
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", experiment)
        try:
            self._client = MlflowClient(tracking_uri=self._uri)
            found = self._client.get_experiment_by_name(name)
            number = found.experiment_id if found else self._client.create_experiment(name)
            self._run = self._client.create_run(number, run_name=title).info.run_id
            params = [Param(_named(key), value) for key, value in options.items()]
            self._client.log_batch(self._run, params=params)
        except self.errors as error:
            raise BadOption(f"--log-to mlflow: {error}") from error

    @property
    def place(self) -> str:
        """Return the store and the ID of the run in it."""
        return f"{self._uri}, run {self._run}"

    def log(self, figures: Mapping[str, float], second: int) -> None:
        """Log what holds so many seconds after the beginning."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(_named(key), value, now, second) for key, value in figures.items()]
        for start in range(0, len(metrics), AT_ONCE):
            self._client.log_batch(self._run, metrics=metrics[start : start + AT_ONCE])

    def end(self, finished: bool, result: Mapping[str, float | str]) -> None:
        """Log what the run came to, numbers as metrics and texts as tags, and that it is over."""
        self.log({key: value for key, value in result.items() if not isinstance(value, str)}, 0)
        for key, value in result.items():
            if isinstance(value, str):
                self._client.set_tag(self._run, _named(key), value)
        self._client.set_terminated(self._run, "FINISHED" if finished else "FAILED")


def _named(key: str) -> str:
    """Return a name that MLflow takes."""
    return _NOT_IN_NAMES.sub("_", key)
