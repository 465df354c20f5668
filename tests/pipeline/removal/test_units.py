"""Pairs that came from the web leave every retry layer, and the counts of requests."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.input_tar import gradient

from pairsieve.pipeline import forget, plan
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.run import retried, run
from pairsieve.pipeline.status import status
from pairsieve.pipeline.unit import retry_layers
from pairsieve.schemas.recipe import Recipe

FoundIn = Callable[[Store, dict[str, bytes]], list[tuple[str, str]]]


def walk(recipe: Recipe, store: Store) -> None:
    run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)


def forgotten(store: Store, **named: str) -> list[forget.Taken]:
    return forget.run(store, Serial(), keys({k: [value] for k, value in named.items()}, ()))


def fetched(folder: Path, site: Any, options: Any, paths: list[str]) -> tuple[Recipe, Store]:
    """Gather and shard URLs of a site, in units of three, without a model."""
    lines = [{"url": site.url(path), "text": f"{path} in words"} for path in paths]
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content: dict[str, Any] = {
        "input": {"path": str(folder / "in.jsonl"), "unit_pairs": 3},
        "fetch": options(site.port, timeout_s=1),
        "shard": {"samples": 2},
    }
    recipe, store = Recipe.model_validate(content), Store.at(folder / "out")
    walk(recipe, store)
    return recipe, store


@pytest.fixture
def pictures(site: Any) -> Any:
    """A site with pictures."""
    for number in range(4):
        site.behaviours[f"p{number}"] = site.whole(gradient(37 * number))
    return site


def test_a_url_that_a_retry_has_fetched_leaves_every_layer_and_is_not_fetched_again(
    found_in: FoundIn, pictures: Any, fetch_options: Any, tmp_path: Path
) -> None:
    listed = ["p0/birch", "500,p1/amber", "p2/cedar", "p3/maple"]
    recipe, store = fetched(tmp_path, pictures, fetch_options, listed)
    planned = plan.run(recipe, store)
    begun = retry_layers.begin(store, planned, ("http_5xx",))
    assert begun
    retried(recipe, store, Serial(), planned, begun, lambda stage, marker, new=True: None)
    walk(recipe, store)
    assert status(store, "default").complaints == []
    sought = {"path": b"amber"}
    assert found_in(store, sought)
    requested = len(pictures.paths())
    (taken,) = forgotten(store, url=pictures.url("500,p1/amber"))
    assert (taken.pairs, taken.images) == (1, 1)
    assert found_in(store, sought) == []
    assert status(store, "default").complaints == []
    assert status(store, "default").outcomes == {"forgotten": 1, "ok": 3}
    for name in [*store.markers(GATHER_FOLDER)]:
        store.delete([f"{GATHER_FOLDER}/{name}.json"])
    walk(recipe, store)
    assert not any("amber" in path for path in pictures.paths()[requested:])
    assert status(store, "default").outcomes == {"forgotten": 1, "ok": 3}


def test_a_host_leaves_the_counts_of_requests_and_failures(
    found_in: FoundIn, pictures: Any, fetch_options: Any, tmp_path: Path
) -> None:
    _, store = fetched(tmp_path, pictures, fetch_options, ["p0/a", "p1/b"])
    assert found_in(store, {"host": b"127.0.0.1"})
    assert forgotten(store, host="127.0.0.1")[0].pairs == 2
    assert found_in(store, {"host": b"127.0.0.1"}) == []
    assert status(store, "default").complaints == []
    (shard,) = (path for path in store.paths() if path.endswith("0.tar") and "shards/" in path)
    with store.reader(shard) as file, tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == []
