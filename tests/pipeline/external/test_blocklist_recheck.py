from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe

PutGathered = Callable[[Store, list[dict[str, Any]]], None]
ROWS: list[dict[str, Any]] = [
    {"url": "http://fine.example/1", "sha256": f"{1:064x}", "perceptual_hash": 0},
    {"url": "http://www.bad.example/1"},
    {"url": "http://fine.example/1", "final_url": "http://www.bad.example/1"},
    {"url": " http://u@BAD.example.:8080/1"},
    {"url": "https://page.example/a b"},
    {"url": "https://page.example/other"},
    {"sha256": f"{7 << 200:064x}"},
    {"sha256": f"{8 << 200:064x}"},
    {"perceptual_hash": 2**64 - 4},
    {"perceptual_hash": 2**64 - 8},
    {"url": "http://bücher.example/1"},
    {"url": "http://bad.example/1", "outcome": "dns"},
    {"url": "http://fine.example/1", "final_url": "https://bad.example.:8443/a?b:1"},
    {"url": "http://fine.example/1", "final_url": "http://[2606:4700::1]:81/"},
    {"url": "http:\\\\x@%62ad.example\\1"},
    {"url": "https://page.example./a b#c"},
    {"url": "http://fine.example/1", "final_url": "https://page.example/a%20b"},
    {"url": "http://page.example:8080/a b"},
]
NEVER = f"""
host bad.example
url http://page.example/a%20b
sha256 {7 << 200:064x}
phash ffffffffffffffff 2
host bücher.example
host [2606:4700::1]
"""
BLOCKED = [1, 2, 3, 4, 6, 8, 10, 12, 13, 14, 15, 16]


@pytest.fixture
def store(tmp_path: Path, put_gathered: PutGathered) -> Store:
    made = Store.at(tmp_path / "dataset")
    put_gathered(made, ROWS)
    return made


def recipe(folder: Path, never: str | None) -> Recipe:
    sections: dict[str, Any] = {"input": {"path": "p"}, "keep": [{"where": "row != 0"}]}
    if never is not None:
        (folder / "never.txt").write_text(never)
        sections["blocklist"] = {"files": [str(folder / "never.txt")]}
    return Recipe.model_validate(sections)


def failing(store: Store) -> dict[int, list[str]]:
    with connect(store) as connection:
        attach(connection, store, selection="default")
        query = "SELECT row, failing FROM ledger WHERE len(failing) > 0"
        return dict(connection.execute(query).fetchall())


def test_what_is_listed_later_is_dropped_by_what_the_ledger_holds(
    tmp_path: Path, store: Store
) -> None:
    select.run(recipe(tmp_path, None), store, Serial(), "default")
    assert failing(store) == {0: ["row != 0"]}
    marker = select.run(recipe(tmp_path, NEVER), store, Serial(), "default")
    assert failing(store) == {0: ["row != 0"]} | {row: ["blocklist"] for row in BLOCKED}
    assert [step["rule"] for step in marker.extra["funnel"]] == ["outcome", "blocklist", "row != 0"]


def test_the_ledger_tells_the_entry(tmp_path: Path, store: Store) -> None:
    select.run(recipe(tmp_path, NEVER), store, Serial(), "default")
    with connect(store) as connection:
        attach(connection, store)
        query = "SELECT row, blocked FROM ledger WHERE blocked IS NOT NULL ORDER BY row"
        told = dict(connection.execute(query).fetchall())
    assert list(told) == BLOCKED
    assert told[4] == "url in line 3 of never.txt"
    assert told[8] == "phash in line 5 of never.txt, 2 bits away"


def test_without_a_change_nothing_is_looked_up_again(tmp_path: Path, store: Store) -> None:
    made = recipe(tmp_path, NEVER)
    first = select.run(made, store, Serial(), "default")
    before = list(store.list())
    assert select.run(made, store, Serial(), "default") == first
    assert list(store.list()) == before


def test_killed_after_any_task_it_goes_on_and_lists_the_same(
    tmp_path: Path, store: Store, dying: Callable[[int], Engine]
) -> None:
    listing = recipe(tmp_path, NEVER)
    for _ in range(3):  # the list's keys, the columns, the only block
        with pytest.raises(KeyboardInterrupt):
            select.run(listing, store, dying(1), "default")
    select.run(listing, store, Serial(), "default")
    assert sorted(failing(store)) == [0, *BLOCKED]
    left = [path.rpartition(".")[2] for path, _, _ in store.list("blocklist")]
    assert sorted(left) == ["json", "parquet"]


def test_ray_lists_what_serial_does(tmp_path: Path, store: Store, ray: Engine) -> None:
    select.run(recipe(tmp_path, NEVER), store, ray, "default")
    assert sorted(failing(store)) == [0, *BLOCKED]


def test_damaged_keys_of_a_list_are_told(
    tmp_path: Path, store: Store, dying: Callable[[int], Engine]
) -> None:
    listing = recipe(tmp_path, NEVER)
    with pytest.raises(KeyboardInterrupt):
        select.run(listing, store, dying(1), "default")
    (keys,) = (path for path, _, _ in store.list("blocklist") if path.endswith(".bin"))
    body = store.read(keys)
    store.write(keys, body[:9] + bytes([body[9] ^ 1]) + body[10:])
    with pytest.raises(Stopped, match="the keys of the blocklist are damaged"):
        select.run(listing, store, Serial(), "default")


def test_an_entry_that_is_taken_off_lets_pairs_in_again(tmp_path: Path, store: Store) -> None:
    select.run(recipe(tmp_path, NEVER), store, Serial(), "default")
    select.run(recipe(tmp_path, "host bad.example"), store, Serial(), "default")
    assert failing(store) == {0: ["row != 0"], **{row: ["blocklist"] for row in (1, 2, 3, 12, 14)}}
    select.run(recipe(tmp_path, None), store, Serial(), "default")
    assert failing(store) == {0: ["row != 0"]}
    assert list(store.list("blocklist")) == []


def test_the_blocklist_in_a_glob_of_nothing_but_remarks(tmp_path: Path, store: Store) -> None:
    counts = select.run(recipe(tmp_path, "# nothing yet\n"), store, Serial(), "default").counts
    assert counts == {"pairs": 18, "failed": 1, "dropped": 1, "kept": 16}
