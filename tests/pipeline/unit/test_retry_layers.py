import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.input_tar import gradient

from pairsieve.pipeline import gather, gc, group, plan, select, shard
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import layer_of, parsed
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Serial
from pairsieve.pipeline.integrity.garbage import Garbage
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.status import Status, status
from pairsieve.pipeline.unit import retry_layers
from pairsieve.pipeline.unit.task_slices import Retry, TaskSlice
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Pair = tuple[str, str]


def png(number: int) -> bytes:
    """A picture that no other number has."""
    return gradient(7 * number, (60 + number, 50))


@dataclass
class World:
    """A web of pictures `p0`, `p1`, ..., pairs of them, and the dataset made of these."""

    site: Any
    recipe: Recipe
    store: Store

    def up(self, *names: str) -> None:
        for name in names:
            self.site.behaviours[name] = self.site.whole(png(int(name[1:])))

    def down(self, *names: str) -> None:
        for name in names:
            self.site.behaviours[name] = self.site.behaviours["500"]

    def gather(self, engine: Any = None) -> list[str]:
        planned = plan.run(self.recipe, self.store)
        done = gather.run(self.recipe, self.store, planned, engine or Serial())
        return [slice_name for slice_name, _ in done]

    def begin(self, outcomes: str = "transient") -> retry_layers.BegunLayer | None:
        planned = plan.run(self.recipe, self.store)
        return retry_layers.begin(self.store, planned, retry_layers.parse_outcomes(outcomes))

    def working(
        self, outcomes: str = "transient", engine: Any = None
    ) -> Generator[tuple[str, Marker]]:
        begun = self.begin(outcomes)
        assert begun
        planned = plan.run(self.recipe, self.store)
        yield from gather.work(self.recipe, self.store, planned, engine or Serial(), begun.todo)

    def retry(self, outcomes: str = "transient", engine: Any = None) -> list[str]:
        return [slice_name for slice_name, _ in self.working(outcomes, engine)]

    def query(self, query: str) -> list[dict[str, Any]]:
        with connect(self.store) as connection:
            attach(connection, self.store)
            return rows(connection, query)

    def outcomes(self, view: str = "gathered") -> list[tuple[int, int, str]]:
        pairs = self.query(f"SELECT row, retry_layer, outcome FROM {view} ORDER BY ALL")
        return [tuple(pair.values()) for pair in pairs]

    def requests(self) -> Counter[str]:
        return Counter(path[1:] for path in self.site.paths())

    def status(self) -> Status:
        report = status(self.store, "default")
        assert report.complaints == []
        return report


MakeWorld = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path, site: Any) -> MakeWorld:
    """Return a function that makes a world of pairs; a picture's path is what its pair names."""

    def make(
        names: list[str], texts: list[str] | None = None, unit_pairs: int = 4, **more: Any
    ) -> World:
        texts = texts or [f"picture {number}" for number in range(len(names))]
        table = {"url": [site.url(name) for name in names], "text": texts, "page": names}
        pq.write_table(pa.table(table), tmp_path / "pairs.parquet")
        sections = {
            "input": {"path": str(tmp_path / "pairs.parquet"), "unit_pairs": unit_pairs},
            "fetch": {
                "user_agent": "test (+mailto:test@example.org)",
                "robots": "ignore",
                "per_host_per_s": 10_000,
                "host_failures": 10_000,
                "allow_networks": ["127.0.0.0/8"],
                "ports": [site.port],
                "retries": 0,
            },
            "opt_outs": {"obey": "none"},
        }
        recipe = Recipe.model_validate(sections | more)
        dataset = World(site, recipe, Store.at(tmp_path / "dataset"))
        dataset.up(*(f"p{number}" for number in range(20)))
        return dataset

    return make


def test_transient_stands_for_every_outcome_that_time_may_cure() -> None:
    assert set(retry_layers.parse_outcomes("transient")) == {
        *("host_paused", "dns", "refused", "unreachable", "timeout_connect", "timeout_first_byte"),
        *("timeout_total", "too_slow", "interrupted", "http_5xx"),
    }


def test_asked_for_outcomes_come_in_the_order_of_the_list() -> None:
    assert retry_layers.parse_outcomes("timeout_total, dns,dns") == ("dns", "timeout_total")
    assert set(retry_layers.parse_outcomes("http_4xx,transient")) == {
        "http_4xx",
        *retry_layers.parse_outcomes("transient"),
    }


@pytest.mark.parametrize("name", ["ok", "gated", "no_url", "not_an_image", "", "dns,,dns"])
def test_what_cannot_be_tried_again_is_refused(name: str) -> None:
    with pytest.raises(BadOption, match=r"--retry: `.*` cannot be retried; (known|did)"):
        retry_layers.parse_outcomes(name)


def test_refusal_names_the_nearest_outcome() -> None:
    with pytest.raises(BadOption, match="did you mean `timeout_total`"):
        retry_layers.parse_outcomes("timeout_totl")


@pytest.mark.parametrize("name", ["00000012", "00000012.3+4", "00000012.r2", "00000012.r2.3+4"])
def test_piece_is_named_after_unit_layer_and_slice(name: str) -> None:
    unit, layer, span = parsed(name)
    again = Retry(layer, ("dns",), ()) if layer else None
    first, count = span or (0, 10)
    assert TaskSlice(unit, first, count, span is None, again).name == name
    assert (unit, layer_of(name), span) == (12, 2 * (".r2" in name), (3, 4) if span else None)


def test_only_what_failed_is_fetched_again(world: MakeWorld) -> None:
    dataset = world([f"p{number}" for number in range(10)])
    dataset.down("p1", "p6")
    assert dataset.gather() == ["00000000", "00000001", "00000002"]
    dataset.up("p1", "p6")
    assert dataset.retry() == ["00000000.r1", "00000001.r1"]  # unit 2 has nothing to retry
    assert dataset.outcomes() == [(row, int(row in (1, 6)), "ok") for row in range(10)]
    assert dataset.outcomes("superseded") == [(1, 0, "http_5xx"), (6, 0, "http_5xx")]
    assert dataset.requests() == {f"p{row}": 2 if row in (1, 6) else 1 for row in range(10)}


def test_row_won_is_as_if_the_fetch_had_succeeded_at_once(world: MakeWorld) -> None:
    dataset = world(["p0", "p1", "p2"])
    dataset.down("p1")
    dataset.gather()
    dataset.up("p1")
    dataset.retry()
    won = dataset.query("FROM gathered WHERE row = 1")
    dataset.store = Store.at(f"{dataset.store.url}-undisturbed")
    dataset.gather()
    (other,) = dataset.query("FROM gathered WHERE row = 1")
    differing = {name for name, value in won[0].items() if value != other[name]}
    assert differing <= {"retry_layer", "image_file", "image_offset", "fetch_ms", "fetched_at"}
    assert (won[0]["page"], won[0]["caption_words"], won[0]["width"]) == ("p1", 2, 61)


def test_what_fails_again_is_in_the_layer_too_and_the_next_takes_it(world: MakeWorld) -> None:
    dataset = world(["p0", "500,500,500,p1/x", "500,p2/x", "500,500,p3/x", "404"])
    dataset.gather()
    for layer in (1, 2, 3):
        assert [layer_of(name) for name in dataset.retry()] == [layer]
        assert retry_layers.read_layers(dataset.store)[-1].pairs == 4 - layer
        assert dataset.status().retries[-1].recovered == 1
    assert dataset.outcomes() == [
        (0, 0, "ok"), (1, 3, "ok"), (2, 1, "ok"), (3, 2, "ok"), (4, 0, "http_4xx"),
    ]  # fmt: skip
    assert dataset.outcomes("superseded") == [
        (1, 0, "http_5xx"), (1, 1, "http_5xx"), (1, 2, "http_5xx"),
        (2, 0, "http_5xx"), (3, 0, "http_5xx"), (3, 1, "http_5xx"),
    ]  # fmt: skip
    assert dataset.begin() is None
    assert sum(dataset.requests().values()) == 5 + 3 + 2 + 1


def test_with_nothing_to_retry_no_layer_is_made(world: MakeWorld) -> None:
    dataset = world(["p0", "404"])
    dataset.gather()
    before = list(dataset.store.list())
    assert dataset.begin() is None
    assert list(dataset.store.list()) == before


def test_named_outcomes_alone_are_tried_again(world: MakeWorld) -> None:
    dataset = world(["404,p0/x", "500,p1/x"])
    dataset.gather()
    dataset.retry("http_4xx")
    assert dataset.outcomes() == [(0, 1, "ok"), (1, 0, "http_5xx")]


def test_stopped_layer_is_finished_before_another_begins(world: MakeWorld) -> None:
    dataset = world([f"500,p{number}/x" for number in range(12)])
    dataset.gather()
    working = dataset.working()
    assert next(working)[0] == "00000000.r1"
    working.close()
    retry = dataset.status().retries[0]
    assert (retry.pairs, retry.pending, retry.recovered) == (12, 8, 4)
    with pytest.raises(BadOption, match="layer 1 is not finished.*--retry transient$"):
        dataset.begin("http_5xx")
    assert dataset.retry() == ["00000001.r1", "00000002.r1"]
    assert dataset.outcomes() == [(row, 1, "ok") for row in range(12)]
    assert [layer.number for layer in retry_layers.read_layers(dataset.store)] == [1]


def test_gated_pair_is_not_tried_again(world: MakeWorld) -> None:
    keep = [{"caption_words": {"min_words": 2}, "gate": True}]
    dataset = world(["500,p0/x", "500,p1/x"], ["short", "long enough"], keep=keep)
    dataset.gather()
    dataset.retry()
    assert dataset.outcomes() == [(0, 0, "gated"), (1, 1, "ok")]


def test_url_of_several_rows_is_fetched_once_per_layer(world: MakeWorld) -> None:
    dataset = world(["500,500,p0/x"] * 3)
    dataset.gather()
    dataset.retry()
    dataset.retry()
    assert dataset.outcomes() == [(row, 2, "ok") for row in range(3)]
    assert dataset.requests() == {"500,500,p0/x": 3}


class CrashingAt:
    """An engine on which work on the row `culprit` kills its process, once or always."""

    workers = 1

    def __init__(self, culprit: int, times: int | None = None) -> None:
        self.culprit = culprit
        self.left = itertools.count() if times is None else iter(range(times))
        self.tasks = 0

    def map_with(
        self, setup: Any, function: Any, items: Any, **_: Any
    ) -> Iterator[tuple[Any, Any]]:
        state = setup()
        for slice_name in items:
            self.tasks += 1
            inside = slice_name.first <= self.culprit < slice_name.first + slice_name.rows
            if inside and next(self.left, None) is not None:
                yield slice_name, Crashed("WorkerCrashedError")
            else:
                yield slice_name, function(state, slice_name)


def test_pair_that_kills_its_process_in_a_layer_is_isolated(world: MakeWorld) -> None:
    names = [f"500,p{number}/x" if number % 2 else f"p{number}" for number in range(16)]
    dataset = world(names, unit_pairs=16)
    dataset.gather()
    engine = CrashingAt(11)
    dataset.retry(engine=engine)
    assert engine.tasks == 2 * 3 + 1  # log2(8 rows to try again) rounds of two halves
    assert dataset.outcomes() == [
        (row, row % 2, "crashed" if row == 11 else "ok") for row in range(16)
    ]
    assert dataset.status().outcomes == {"crashed": 1, "ok": 15}
    assert dataset.begin() is None
    assert dataset.retry("crashed") == ["00000000.r2"]
    assert dataset.status().outcomes == {"ok": 16}


def test_layer_stopped_among_its_slices_goes_on_with_the_others(world: MakeWorld) -> None:
    dataset = world([f"500,p{number}/x" for number in range(8)], unit_pairs=8)
    dataset.gather()
    working = dataset.working(engine=CrashingAt(0, times=1))
    assert next(working)[0] == "00000000.r1.0+4"
    working.close()
    assert dataset.retry() == ["00000000.r1.4+4"]
    assert dataset.outcomes() == [(row, 1, "ok") for row in range(8)]


def test_url_that_another_row_of_the_unit_has_is_not_fetched_again(world: MakeWorld) -> None:
    names = ["p0,500/x", "p1", "y/../p0,500/x", "404,p3/x"]
    dataset = world(names)
    dataset.gather(CrashingAt(0, times=1))  # parts rows 0 and 2, so the URL is fetched by both
    assert [outcome for _, _, outcome in dataset.outcomes()] == ["ok", "ok", "http_5xx", "http_4xx"]
    dataset.retry("http_5xx,http_4xx")
    assert dataset.outcomes() == [(0, 0, "ok"), (1, 0, "ok"), (2, 1, "ok"), (3, 1, "ok")]
    assert dataset.requests()["p0,500/x"] == 2
    first, other = dataset.query("FROM gathered WHERE row IN (0, 2) ORDER BY row")
    differing = {name for name, value in first.items() if value != other[name]}
    assert differing == {"row", "uid", "url", "text", "page", "retry_layer"}


def test_selection_made_before_a_retry_is_outdated_and_does_not_fail_to_add_up(
    world: MakeWorld,
) -> None:
    dataset = world(["p0", "500,p1/x", "404"])
    dataset.gather()
    judge(dataset)
    assert (dataset.status().failed, dataset.status().kept) == (2, 1)
    dataset.retry()
    assert (dataset.status().outdated, dataset.status().kept) == (True, None)
    judge(dataset)
    assert (dataset.status().outdated, dataset.status().failed, dataset.status().kept) == (
        False,
        1,
        2,
    )


def judge(dataset: World) -> None:
    group.run(dataset.recipe, dataset.store, Serial())
    select.run(dataset.recipe, dataset.store, Serial(), "default")


def test_status_complains_of_a_layer_that_replaces_more_than_it_answers_for(
    world: MakeWorld,
) -> None:
    dataset = world(["p0", "500,p1/x"])
    dataset.gather()
    dataset.retry()
    path = "gather/00000000.r1.json"
    marker = dataset.store.marker(path)
    assert marker
    marker.extra["replaced"]["http_5xx"] = 2
    dataset.store.write(path, marker.dumps())
    assert (
        "retry layer 1 replaced: 2, but pairs retried: 1"
        in status(dataset.store, "default").complaints[1]
    )


def test_gc_deletes_nothing_of_a_layer_that_is_named(world: MakeWorld) -> None:
    dataset = world([f"500,p{number}/x" for number in range(8)])
    dataset.gather()
    next(dataset.working())
    before = list(dataset.store.list())
    left = "gather/00000001.r1.0123456789ab.tar"
    dataset.store.write(left, b"left behind")
    assert gc.run(dataset.store, 0) == [Garbage(left, 11)]
    assert list(dataset.store.list()) == before


def test_shards_are_those_of_a_web_that_worked_at_once(world: MakeWorld) -> None:
    dataset = world([f"p{number}" for number in range(10)], shard={"samples": 4})
    dataset.down("p2", "p3", "p9")
    dataset.gather()
    pack(dataset)
    dataset.up("p2", "p9")
    dataset.retry()
    dataset.up("p3")
    dataset.retry()
    after = pack(dataset)
    dataset.store = Store.at(f"{dataset.store.url}-undisturbed")
    dataset.gather()
    assert after == pack(dataset)
    assert len(after) == 3


def pack(dataset: World) -> dict[str, str]:
    """Shard what is gathered; return the checksum of each tar."""
    judge(dataset)
    markers = list(shard.run(dataset.recipe, dataset.store, Serial(), "default"))
    return {marker.file(".tar"): marker.files[marker.file(".tar")]["sha256"] for marker in markers}


def test_layers_work_in_an_object_store(world: MakeWorld, s3: str) -> None:
    dataset = world(["p0", "500,500,p1/x", "500,p2/x"])
    dataset.store = Store.at(f"{s3}/layers")
    dataset.gather()
    dataset.retry()
    dataset.retry()
    assert dataset.outcomes() == [(0, 0, "ok"), (1, 2, "ok"), (2, 1, "ok")]
    assert dataset.outcomes("superseded") == [
        (1, 0, "http_5xx"), (1, 1, "http_5xx"), (2, 0, "http_5xx"),
    ]  # fmt: skip
    assert [retry.recovered for retry in dataset.status().retries] == [1, 1]
