"""An object store whose lists lag behind: what was done is known, or asked for by its name."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from tests.conftest import PutPlan
from tests.faults.conftest import Made
from tests.faults.faulty_s3 import FaultyS3
from tests.jobs.conftest import command

from pairsieve.pipeline import gc
from pairsieve.pipeline import plan as plans
from pairsieve.pipeline.dataset import checked_json, listing, paths
from pairsieve.pipeline.dataset.commit import commit, damaged, marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.unit import forgotten, task_slices
from pairsieve.pipeline.unit.retry_layers import RetryLayer, read_layers
from pairsieve.schemas.errors import Stopped

ROUND = "group/near/0123456789abcdef/keys"
EVERYTHING = 1_000_000  # so many changes a list lags behind: it shows nothing


@pytest.fixture
def stale(proxy: FaultyS3) -> FaultyS3:
    """Let lists show nothing that was put from now on."""
    proxy.behind = EVERYTHING
    return proxy


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know nothing of what was done until now, as another process."""
    monkeypatch.setattr(listing.CHANGES, "_of", {})


def listed(store: Store) -> list[str]:
    return [path for path, _, _ in store.list()]


def test_lists_show_what_this_process_has_put_and_not_what_it_has_deleted(
    stale: FaultyS3, dataset: Store
) -> None:
    first, second = (f"{ROUND}/00000{number}.json" for number in (1, 2))
    for name in (first, second, "z"):
        dataset.write(name, b"x")
    stale.behind = 1
    dataset.delete([first])
    assert listed(dataset) == list(dataset.paths()) == [second, "z"]
    assert dataset.marker_names(ROUND) == ["000002"]
    assert [entry["size"] for entry in dataset.entries(ROUND)] == [1]


def test_what_others_have_put_and_deleted_meanwhile_is_believed(
    stale: FaultyS3, dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.write("there", b"theirs")
    known = dict(listing.CHANGES._of)
    dataset.delete(["there"])
    monkeypatch.setattr(listing.CHANGES, "_of", known)  # another has deleted it
    assert listed(dataset) == []


def test_a_committed_file_that_no_list_shows_is_not_called_gone(
    stale: FaultyS3, dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.write("a.bin", b"xyz")
    elsewhere(monkeypatch)
    made = Marker(0, {"a.bin": {"bytes": 3}, "b.bin": {"bytes": 3}})
    assert [name for name, _ in damaged(dataset, [made])] == ["b.bin"]


def test_a_list_that_shows_what_was_deleted_does_not_pass_for_a_task_that_is_done(
    proxy: FaultyS3, dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(number: int) -> Marker:
        return commit(dataset, paths.marker_path(ROUND, paths.task_name(number)), Marker(1, {}))

    rounds.run_numbered(dataset, Serial(), ROUND, task, 2)
    proxy.behind = 1
    dataset.delete([f"{ROUND}/000001.json"])
    elsewhere(monkeypatch)
    assert [one.rows for one in rounds.run_numbered(dataset, Serial(), ROUND, task, 2)] == [1, 1]
    assert dataset.exists(f"{ROUND}/000001.json")


def test_a_task_whose_marker_is_not_to_be_seen_is_a_clear_stop(
    dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.dataset.commit.ASK_AGAIN_S", (0.0, 0.0))
    with pytest.raises(Stopped, match=r"/000000.json: was committed and is gone; run the"):
        rounds.run_numbered(dataset, Serial(), ROUND, lambda _: Marker(1, {}), 1)


def test_a_marker_that_appears_late_is_waited_for(
    proxy: FaultyS3, dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(dataset, "late/done.json", Marker(7, {}))
    answers = iter(["missing", "missing"])
    proxy.fault = lambda method, path: next(answers, None)
    assert marker_of(dataset, "late/done.json").rows == 7


def test_retry_layers_and_what_was_forgotten_are_found_by_their_numbers(
    stale: FaultyS3, dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        dataset.write(paths.forgotten_record(number), Marker(0, {}).dumps())
        layer = asdict(RetryLayer(number, ("timeout",), 1))
        dataset.write(paths.retry_layer(number), checked_json.dumps(layer, indent=1))
    elsewhere(monkeypatch)
    assert forgotten.names(dataset) == ("0001", "0002")
    assert [layer.number for layer in read_layers(dataset)] == [1, 2]


def test_gc_keeps_what_a_marker_names_that_no_list_shows(
    proxy: FaultyS3, dataset: Store, put_plan: PutPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, left = (f"gather/0000000{unit}.0123456789ab.parquet" for unit in range(2))
    put_plan(dataset)
    for path in (part, left):
        dataset.write(path, b"x")
    commit(dataset, "gather/00000000.json", Marker(1, {part: {"bytes": 1}}))
    proxy.behind = 1
    elsewhere(monkeypatch)
    assert [one.path for one in gc.run(dataset, 0)] == [left]
    assert dataset.exists(part)


def test_commands_one_after_another_go_on_from_what_no_list_shows(
    stale: FaultyS3, dataset: Store, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = made[0].input.model_dump(include={"path", "image", "unit_pairs"})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"input": pairs, "shard": {"samples": 5}}))
    for verb in ("gather", "group", "select", "shard"):
        elsewhere(monkeypatch)
        done = command(verb, recipe, "--dataset", dataset.url, "--engine", "serial")
        assert done.returncode == 0, done.stderr
    assert {name: dataset.read(name) for name in made[1]} == made[1]


def test_a_pool_of_which_the_store_shows_a_part_is_a_clear_stop(
    stale: FaultyS3, dataset: Store, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans.run(made[0], dataset)
    with pytest.raises(Stopped, match="the list lacks 3 task slices, from 00000000 on; run the co"):
        task_slices.check_complete(dataset, plan)
