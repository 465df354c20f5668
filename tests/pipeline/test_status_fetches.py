import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.console import print_status
from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.status import status
from pairsieve.schemas.recipe import Recipe

HALF = {"ok": 30, "dns": 20}
MET = {"at_once": 128, "at_once_low": 64, "lowered": 1, "requests": 50, "suffered": 4}
HTTPS = {"https": 40, "handshakes": 10, "http2": 20}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a dataset of 100 pairs in two units, each with 50 pairs of a.example."""
    pq.write_table(pa.table({"url": ["u"] * 100, "text": ["t"] * 100}), tmp_path / "p.parquet")
    made = Store.at(tmp_path / "dataset")
    recipe = {"input": {"path": str(tmp_path / "p.parquet"), "unit_pairs": 50}}
    plan.run(Recipe.model_validate(recipe), made)
    for unit in range(2):
        told = {"answers": HALF, "hosts": {"a.example": HALF}, "steps": {str(60 * unit): HALF}}
        marker = Marker(50, {}, HALF, {"fetches": told, "line": MET | HTTPS})
        commit(made, f"gather/{unit:08d}.json", marker)
    return made


def test_status_tells_hosts_times_and_what_they_mean(store: Store) -> None:
    found = status(store, "default")
    assert found.complaints == []
    assert found.worst_hosts == [("a.example", 40, 100, "dns")]
    assert found.over_time == [(0, 20, 50, "dns"), (60, 20, 50, "dns")]
    assert found.diagnoses == [
        "40% of the host names could not be resolved, 100% of these at hosts that answered other "
        "requests: your resolver is overloaded; run a caching one, or fewer units at once, and "
        "fetch these again (`gather --retry dns`)."
    ]


def test_the_terminal_shows_them(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    print_status(status(store, "default"))
    said = capsys.readouterr().out
    assert "a.example" in said
    assert "1970-01-01 00:01:00" in said
    assert "your resolver is overloaded" in said
    assert "Between 64 and 128 requests at once in a process, lowered 2 times: 8 %" in said
    assert "https: 80 answers, 25 % after a handshake of their own, 50 % over HTTP/2" in said


def test_the_stages_say_how_far_they_are(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    commit(store, "embed/tiny/00000000.json", Marker(50, {}, {}, {"cpu_s": 3.0}))
    found = status(store, "default")
    assert [(one.stage, one.pairs, one.total) for one in found.work] == [
        ("gather", 100, 100),
        ("embed tiny", 50, 100),
    ]
    print_status(found)
    assert re.search(r"embed tiny: the last commit \d+ s ago\.", capsys.readouterr().out)
