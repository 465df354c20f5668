from pathlib import Path

from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.costs import CPU_S, CpuMeter, StageCost, of_stages, since_last
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import search_folder
from pairsieve.pipeline.dataset.store import Store


def test_what_a_process_spends_is_told_once() -> None:
    meter = CpuMeter(iter((10.0, 12.5, 12.5)).__next__)
    since_last(meter)
    assert since_last(meter) == {CPU_S: 2.5}
    assert since_last(meter) == {CPU_S: 0.0}
    since_last()
    total = sum(range(300_000))
    assert 0 < since_last()[CPU_S] < 60
    assert total


def test_files_and_seconds_of_a_stage_are_added_up() -> None:
    one = Marker(10, {"a": {"bytes": 5}, "b": {"bytes": 7}}, {}, {CPU_S: 1.5})
    other = Marker(20, {"c": {"bytes": 8}}, {}, {CPU_S: 0.5})
    assert of_stages({"gather": [one, other], "group": []}) == [StageCost("gather", 3, 20, 2.0)]


def test_where_a_marker_says_nothing_of_time_no_sum_is_told() -> None:
    one = Marker(10, {"a": {"bytes": 5}}, {}, {CPU_S: 1.5})
    old = Marker(20, {"b": {"bytes": 8}})
    assert costs.of_stage("gather", [one, old]).cpu_s is None


def test_a_stage_over_the_pool_adds_up_its_tasks_also_those_of_runs_that_were_stopped(
    tmp_path: Path,
) -> None:
    store, search = Store.at(tmp_path), search_folder("0123456789abcdef")
    for path, spent in (("keys/000000", 1.5), ("keys/000001", 0.5), ("equal/000000", 4.0)):
        commit(store, f"{search}/{path}.json", Marker(1, {}, {}, {CPU_S: spent}))
    since_last()
    found = costs.of_rounds(store, [search, "group/blocks"])[CPU_S]
    assert 6.0 <= found < 7.0  # and what reading them took
    assert costs.of_rounds(store, ["group/blocks"])[CPU_S] < 1.0


def test_every_task_commits_what_it_has_spent_unless_it_says_so_itself(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    since_last()
    assert sum(range(300_000))
    assert commit(store, "a.json", Marker(1, {})).extra[CPU_S] > 0
    assert commit(store, "b.json", Marker(1, {}, {}, {CPU_S: 9.0})).extra == {CPU_S: 9.0}
