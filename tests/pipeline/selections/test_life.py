from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline import group, select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.selections import life
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PutUnits = Callable[[Store, list[dict[str, Any]], int], None]
ROWS: list[dict[str, Any]] = [
    {"url": "http://a.example/0", "sharpness": 0.9, "sha256": "a" * 64, "width": 9000},
    {"url": "http://a.example/1", "sharpness": 0.2, "aspect_ratio": 1.0, "sha256": "b" * 64},
    {"url": "http://a.example/2", "sharpness": 0.9, "sha256": "a" * 64},
    {"url": "http://a.example/3", "outcome": "http_4xx", "detail": "404", "http_status": 404},
    {"url": "http://a.example/1", "sharpness": 0.8, "sha256": "c" * 64},
]


@pytest.fixture
def store(tmp_path: Path, put_units: PutUnits) -> Store:
    """Five pairs in three units: of one URL twice, of one file twice, one without an image."""
    store = Store.at(tmp_path / "dataset")
    put_units(store, ROWS, 2)
    keep = [{"sharpness": {"min_sharpness": 0.5}}, {"duplicate": {}}]
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": keep})
    group.run(recipe, store, Serial())
    select.run(recipe, store, Serial(), "default")
    return store


def uids(store: Store) -> list[str]:
    with connect(store) as connection:
        attach(connection, store)
        return [uid for (uid,) in connection.execute("SELECT uid FROM ledger").fetchall()]


def told(store: Store, what: str, units: int = 1) -> list[life.Life]:
    return life.run(store, Serial(), "default", what, units)


@pytest.mark.parametrize("units", [1, 2, 100])
def test_all_pairs_of_a_url_are_told_in_the_order_of_their_rows(store: Store, units: int) -> None:
    lives = told(store, "http://a.example/1", units)
    assert [one.pair["row"] for one in lives] == [1, 4]
    said = [{verdict.rule: verdict for verdict in one.verdicts} for one in lives]
    assert [of["sharpness"].passed for of in said] == [False, True]
    assert [of["duplicate"].passed for of in said] == [True, True]
    assert said[0]["sharpness"].values == {"sharpness": pytest.approx(0.2)}


def test_a_uid_and_a_sample_of_a_shard_are_the_same_pair(store: Store) -> None:
    uid = uids(store)[0]
    (by_uid,), (by_key,) = told(store, uid), told(store, f"shards/default/00000.tar/{uid}.jpg")
    assert by_uid == by_key
    assert by_uid.pair["uid"] == uid


def test_copies_are_told_with_the_one_that_stays(store: Store) -> None:
    (copy,) = told(store, "http://a.example/2")
    assert [(one["row"], one["kept"]) for one in copy.copies] == [(0, True)]
    assert [v.rule for v in copy.verdicts if not v.passed] == ["duplicate"]


def test_a_pair_without_an_image_has_its_outcome_and_no_verdicts(store: Store) -> None:
    (lost,) = told(store, "http://a.example/3")
    assert lost.verdicts == []
    assert lost.attempts == [
        {"retry_layer": 0, "outcome": "http_4xx", "detail": "404", "http_status": 404}
    ]


def test_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(BadOption, match=r"no pair has the url 'http://b.example/'"):
        told(store, "http://b.example/")
    with pytest.raises(BadOption, match=r"no pair has the uid 'f{32}'"):
        told(store, "f" * 32)
    with pytest.raises(BadOption, match=r"there is no selection `other`"):
        life.run(store, Serial(), "other", "0" * 32)


def test_quotes_in_a_url_are_no_sql(store: Store) -> None:
    with pytest.raises(BadOption, match="no pair has the url"):
        told(store, "http://a.example/' OR true --")
