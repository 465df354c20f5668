"""What the report says of fetches, and what it does not show of what is on the blocklist."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pairsieve.pipeline import group, report, select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import REQUESTS_SUFFIX, report_page
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.fetch import request_rates
from pairsieve.schemas.recipe import Recipe

PutGathered = Callable[[Store, list[dict[str, Any]]], None]
START = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)


def _rows(image: bytes) -> list[dict[str, Any]]:
    """Return 100 pairs, one a second: every fifth is turned away by b.example."""
    rows: list[dict[str, Any]] = []
    for number in range(100):
        refused = number % 5 == 0
        rows.append(
            {
                "url": f"http://{'b' if refused else 'a'}.example/{number}",
                "fetched_at": START + timedelta(seconds=number),
                "http_status": 403 if refused else 200,
            }
            | (
                {"outcome": "http_4xx", "width": None}
                if refused
                else {
                    "image_file": "gather/x.tar",
                    "image_offset": 0,
                    "image_bytes": len(image),
                    "perceptual_hash": number << 32,
                }
            )
        )
    return rows


@pytest.fixture
def store(tmp_path: Path, put_gathered: PutGathered) -> Store:
    made = Store.at(tmp_path / "dataset")
    sink = BytesIO()
    Image.new("RGB", (40, 30)).save(sink, "JPEG")
    made.write("gather/x.tar", sink.getvalue())
    put_gathered(made, _rows(sink.getvalue()))
    path = f"gather/1.x{REQUESTS_SUFFIX}"
    with made.writer(path) as requests:
        request_rates.write(Counter({("b.example", 60): 7}), requests)
    commit(made, "gather/00000001.json", Marker(0, {path: requests.entry()}))
    return made


def page(store: Store, **sections: Any) -> str:
    recipe = Recipe.model_validate({"input": {"path": "p"}} | sections)
    group.run(recipe, store, Serial())
    select.run(recipe, store, Serial(), "default")
    report.run(recipe, store, Serial(), "default")
    return store.read(report_page("default")).decode()


def test_the_page_tells_hosts_times_rate_and_what_they_mean(store: Store) -> None:
    shown = page(store)
    assert "20% were turned away (403, 429) by one host, no more at the end" in shown
    assert "Most requests that any host saw in one second: 7 (b.example;" in shown
    assert '<td class="n">20</td><td class="n">20</td><td class="n">100.0 %</td>' in shown
    # 100 s are 20 steps of 5 s with 4 pairs that are ok and one that is not.
    assert shown.count("4 ok, 1 http_4xx</title>") == 20
    assert shown.count('<rect class="failed1"') == shown.count('<rect class="ok"') == 20


def test_no_picture_of_what_is_listed_later_is_shown(store: Store, tmp_path: Path) -> None:
    assert "data:image" in page(store)
    (tmp_path / "never.txt").write_text("host a.example\n")
    shown = page(store, blocklist={"files": [str(tmp_path / "never.txt")]})
    assert "data:image" not in shown
    assert "Dropped by" not in shown
    assert "not on the blocklist as it is now" in shown


def test_another_selection_has_its_own_report(store: Store) -> None:
    first = page(store)
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": [{"where": "row % 2 = 0"}]})
    select.run(recipe, store, Serial(), "even")
    report.run(recipe, store, Serial(), "even")
    assert "<h1>80 of 100 pairs are kept</h1>" in first
    assert "<h1>40 of 100 pairs are kept</h1>" in store.read(report_page("even")).decode()
    assert store.read(report_page("default")).decode() == first
