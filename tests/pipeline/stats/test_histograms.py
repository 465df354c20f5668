import pytest

from pairsieve.pipeline.stats.histograms import drawn


@pytest.mark.parametrize(
    ("highest", "bounds", "constant"), [(3.0, (), True), (4.0, (), False), (3.0, (3.5,), False)]
)
def test_nothing_is_drawn_of_a_number_that_is_the_same_for_all_and_that_no_rule_bounds(
    highest: float, bounds: tuple[float, ...], constant: bool
) -> None:
    bins = [{"low": 3.0, "high": 4.0, "pairs": 5, "kept": 2}]
    assert drawn(bins, bounds, {"lowest": 3.0, "highest": highest}).constant is constant
