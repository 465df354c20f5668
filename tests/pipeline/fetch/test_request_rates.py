from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import REQUESTS_SUFFIX
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.fetch.request_rates import HostRate
from pairsieve.schemas.recipe import Recipe


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a dataset of two units that sent requests to a.example in the same second."""
    dataset = Store.at(tmp_path)
    for unit, seen in enumerate(
        (
            Counter({("a.example", 60): 2, ("a.example", 61): 1}),
            Counter({("a.example", 60): 3, ("b.example", 60): 4}),
        )
    ):
        path = f"gather/{unit}.x{REQUESTS_SUFFIX}"
        with dataset.writer(path) as sink:
            request_rates.write(seen, sink)
        commit(dataset, f"gather/{unit:08d}.json", Marker(1, {path: sink.entry()}))
    return dataset


def test_units_at_the_same_time_are_added_up(store: Store) -> None:
    assert request_rates.highest(store) == HostRate("a.example", 6, 5, 0.1)


def test_the_file_is_small_and_sorted(store: Store) -> None:
    rows = pq.read_table(store.local / "gather/0.x.requests.pq").to_pylist() if store.local else []
    assert rows == [
        {"host": "a.example", "second": 60, "requests": 2},
        {"host": "a.example", "second": 61, "requests": 1},
    ]


def test_a_dataset_without_requests_has_no_rate(tmp_path: Path) -> None:
    assert request_rates.highest(Store.at(tmp_path)) is None


def test_the_sentence_tells_host_rate_and_limit(store: Store) -> None:
    fetch = {"user_agent": "lab (+https://example.org/)", "per_host_per_s": 2.5}
    recipe = Recipe.model_validate({"input": {"path": "p"}, "fetch": fetch})
    peak = request_rates.highest(store)
    assert peak is not None
    assert request_rates.sentence(peak, recipe) == (
        "Most requests that any host saw in one second: 5 (a.example; 0.10 per second over its "
        "busiest minute); the limit was 2.5 per second."
    )
    own = fetch | {"hosts": {"a.example": {"per_s": 5}}}
    recipe = Recipe.model_validate({"input": {"path": "p"}, "fetch": own})
    assert request_rates.sentence(peak, recipe).endswith("the limit was 5 per second.")
