from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.costs import CPU_S, CpuMeter, StageCost, of_stages, since_last
from pairsieve.pipeline.dataset.marker import Marker


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
