"""Hosts counted over all of an input, whatever is sampled of it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.estimate.hosts import largest, some_urls
from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit.plan_limit import Limit
from pairsieve.schemas.recipe import Recipe

URLS = [
    *(
        "http://big.example/1",
        "https://BIG.example:8443/2",
        " //big.example/3",
        "http://u@big.example",
    ),
    *("http://[::1]:80/a", "https://small.example?x=//big.example/", "nonsense", "", None),
]


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_the_hosts_of_all_files_are_counted_though_one_pair_is_sampled(
    format: str, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        table = pa.table({"url": pa.array(URLS).dictionary_encode(), "text": ["t"] * len(URLS)})
        if format == "parquet":
            pq.write_table(table, folder / f"{number}.parquet")
        else:
            table.to_pandas().to_json(folder / f"{number}.jsonl", orient="records", lines=True)
    recipe = Recipe.model_validate(
        {"input": {"path": str(folder)}, "fetch": {"user_agent": "me/1 (+https://me.example/)"}}
    )
    store = Store.at(tmp_path / "dataset")
    planned = plan.run(recipe, store, limit=Limit(1, seed=0))
    assert planned.pairs == 1
    assert largest(planned, store, 2) == [("big.example", 8), ("[::1]", 2)]
    some = some_urls(planned, store, ["big.example", "small.example", "elsewhere.example"], 2)
    assert {host: len(urls) for host, urls in some.items()} == {
        "big.example": 2,
        "small.example": 1,
    }
    assert set(some["big.example"]) < set(URLS)
    assert some == some_urls(planned, store, ["small.example", "big.example"], 2)
    further = ["small.example", "elsewhere.example"]
    assert largest(planned, store, 1, further) == [("big.example", 8), ("small.example", 2)]
