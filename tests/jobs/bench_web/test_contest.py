"""A short `bench web`: that what was drawn is served, and that all that is answered is stored."""

import time
import urllib.error
import urllib.request
from collections import Counter
from http.client import RemoteDisconnected
from pathlib import Path

import pytest

from pairsieve.jobs.bench_web.contest import WebBenchmark, bench
from pairsieve.jobs.bench_web.server import Web, serving


def test_every_request_meets_the_fate_that_was_drawn(tmp_path: Path) -> None:
    web = Web(hosts=3, median_s=0.01, sigma=0.1, never=0.2, reset=0.2, slow=0.2, slow_s=0.3)
    fates = {number: web.fate(number) for number in range(30)}
    assert fates == {number: web.fate(number) for number in range(30)}
    body = bytes(range(256)) * 100
    (tmp_path / "0.jpg").write_bytes(body)
    seen: Counter[str] = Counter()
    with serving(web, tmp_path) as port:
        for number, (fate, _) in fates.items():
            url = f"http://{web.address(number)}:{port}/{number}.jpg"
            began = time.monotonic()
            try:
                with urllib.request.urlopen(url, timeout=3 if fate != "never" else 0.1) as answer:
                    assert answer.read() == body
                got = "drops" if fate == "drops" else "answered"
                assert fate != "drops" or time.monotonic() - began >= 0.25
            except TimeoutError:
                got = "never"
            except (ConnectionResetError, RemoteDisconnected, urllib.error.URLError):
                got = "reset"
            assert got == fate
            seen[got] += 1
    assert len(seen) == 4


def test_all_that_is_answered_is_stored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    web = Web(hosts=4, median_s=0.01, never=0.0, reset=0.3, slow=0.0)
    answered = sum(web.fate(number)[0] == "answered" for number in range(16))
    (tmp_path / "one.jpg").write_bytes(_jpeg())
    benchmark = WebBenchmark(web, 16, 8, runs=1, folder=tmp_path, engine="serial")
    bench(benchmark, lambda _: None)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "pairsieve" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1] == str(answered)
    assert 0 < float(cells[6]) < float(cells[5])


def _jpeg() -> bytes:
    from pairsieve.jobs.bench_data.photos import corpus

    return corpus(0, 1)[0].body
