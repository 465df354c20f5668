"""Which engine `auto` is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.job import SMALL_PAIRS, EngineChoice
from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.roles import slice_of
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_resources import Resources

AUTO = EngineChoice("auto")


def planned(folder: Path, pairs: int) -> Store:
    """A dataset of which nothing is gathered yet."""
    urls = [f"http://a.example/{number}.jpg" for number in range(pairs)]
    pq.write_table(pa.table({"url": urls, "text": urls}), folder / "pairs.parquet")
    recipe = Recipe.model_validate(
        {
            "input": {"path": str(folder / "pairs.parquet")},
            "fetch": {"user_agent": "test (+mailto:test@example.org)"},
        }
    )
    store = Store.at(folder / "dataset")
    plan.run(recipe, store)
    return store


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_what_is_small_runs_in_this_process(tmp_path: Path) -> None:
    store = planned(tmp_path, SMALL_PAIRS)
    assert AUTO.of(store) == "serial"
    (tmp_path / "dataset/gather").mkdir()
    (tmp_path / "dataset/gather/notes.txt").write_text("somebody else's")
    assert AUTO.of(store) == "serial"


def test_what_is_large_or_has_no_plan_runs_on_ray(tmp_path: Path) -> None:
    assert AUTO.of(Store.at(tmp_path / "none")) == "ray"
    assert AUTO.of(planned(tmp_path, SMALL_PAIRS + 1)) == "ray"


def test_whoever_names_workers_or_a_cluster_has_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = planned(tmp_path, 3)
    assert EngineChoice("auto", workers=2).of(store) == "ray"
    assert EngineChoice("auto", address="head:6379").of(store) == "ray"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert AUTO.of(store) == "ray"
    assert EngineChoice("serial").of(store) == "serial"


def test_whoever_says_what_processes_hold_has_ray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Resources.model_validate({"gather": {"memory": "1GB"}})
    assert AUTO.holding(held).of(planned(tmp_path, 3)) == "ray"
    assert AUTO.holding(Resources()) is AUTO
    EngineChoice("serial").holding(held)
    assert "resources: nothing is held with `--engine serial`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "left",
    [
        "00000000.0123456789ab.tar",
        "00000000.r1.0123456789ab.tar#1",
        "00000001.0+1.0123456789ab.tar",
    ],
)
def test_after_a_death_in_mid_unit_the_work_is_done_by_processes_that_may_die(
    tmp_path: Path, left: str
) -> None:
    store = planned(tmp_path, 3)
    (tmp_path / "dataset/gather").mkdir()
    (tmp_path / "dataset/gather" / left).write_bytes(b"half of it")
    assert AUTO.of(store) == "ray"
    commit(store, f"gather/{slice_of(left)}.json", Marker(3, {}))
    assert AUTO.of(store) == "serial"
