"""No room for one more file of the report: a clear stop, and the same command goes on."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from tests.faults.conftest import recipe
from tests.jobs.conftest import command

ROOM = 400_000  # bytes of a file: all but stats.duckdb have less


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Let the system refuse larger files; there is a test of each error that means the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_for_the_report_is_a_clear_stop_that_goes_on(tmp_path: Path) -> None:
    pairs = recipe(tmp_path).input.model_dump(include={"path", "image", "unit_pairs"})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"input": pairs}))
    run = ("run", tmp_path / "recipe.yaml", "--dataset", tmp_path / "dataset", "--engine", "serial")
    with no_file_over(ROOM):
        stopped = command(*run)
    assert stopped.returncode == 1
    assert "no file may be so large here: IO Error: " in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "dataset/report/default/stats.duckdb").exists()
    assert command(*run).returncode == 0
    assert (tmp_path / "dataset/report/default/stats.duckdb").stat().st_size > ROOM
    assert list((tmp_path / "dataset").glob("scratch.*")) == []
