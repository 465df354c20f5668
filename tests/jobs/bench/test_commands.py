"""Short benchmarks: that they run and compare like with like. Nothing here depends on time."""

import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.jobs.bench.contestants import answer_here
from tests.jobs.conftest import command
from tests.repetition import LONG

from pairsieve.jobs.bench import alternate, fetch, pixels
from pairsieve.jobs.bench.alternate import (
    Contestant,
    Result,
    alternating,
    answer,
    img2dataset_python,
    median,
    ratio,
)
from pairsieve.jobs.bench_contestants.our_fetch_loop import Meter, clock
from pairsieve.jobs.bench_data.certificates import ROOT_NAME, make_authority, subject_hash
from pairsieve.jobs.bench_data.photos import (
    BASELINE,
    FULL_COLOUR,
    PROGRESSIVE,
    corpus,
    own_photographs,
)
from pairsieve.schemas.errors import BadOption, Stopped

# Of the long benchmarks, which start processes for each case: those that are of another kind.
FETCHED = (0, 2, 4)  # over http; over https, with a folder of certificates and with a bundle
RESIZED = (0, 1, 2)  # everything; the resizing alone; of one kind of JPEG


def bench(*arguments: str | Path) -> list[list[str]]:
    """Run a benchmark; return the cells of every row that it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        if not LONG:
            for module, few in ((fetch, FETCHED), (pixels, RESIZED)):
                patch.setattr(module, "CASES", tuple(module.CASES[number] for number in few))
        done = command("bench", *arguments)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.fixture(scope="module")
def fetched() -> list[list[str]]:
    """The rows of one short benchmark of fetching."""
    sizes = ("--images", "100", "--concurrency", "4", "--hosts", "100")
    return bench("fetch", "--runs", "1", *sizes)


def test_fetch_is_compared_in_every_case(fetched: list[list[str]]) -> None:
    cases = {row[0]: row for row in fetched if len(row) == 6}
    more = ("http, keep-alive",) if LONG else ()
    for case in ("http, new connections", "https, full handshakes", *more):
        _, *costs, share, most = cases[case]
        assert all(float(cost) > 0 for cost in costs)
        assert float(share) > 0
        assert 0 < float(most) < 1


def test_a_unit_is_measured_inside(fetched: list[list[str]]) -> None:
    shares = {row[0]: row[3] for row in fetched if len(row) == 4}
    assert len(shares) == 4
    assert all(0 < int(share.removesuffix(" %")) <= 100 for share in shares.values())
    numbers = {tuple(row[:2]): float(row[2]) for row in fetched if len(row) == 3}
    assert all(number > 0 for number in numbers.values())
    assert {("100", "20"), ("400", "80")} <= set(numbers)  # images and the MB that were fetched


def test_a_meter_leaves_out_what_is_called_back() -> None:
    meter = Meter()

    def burn(seconds: float) -> None:
        end = clock() + seconds
        while clock() < end:
            continue

    def outer(back: Callable[[float], None]) -> None:
        burn(0.05)
        back(0.2)

    meter.timed(outer)(burn)
    assert 0.04 < meter.spent_s() < 0.1


def _answered(contestant: Contestant, job: dict[str, Any]) -> Result:
    """Have ours done in this process: in one of its own, imports take a second."""
    return (answer_here if "-m" in contestant.command else answer)(contestant, job)


def test_pixels_are_compared_and_every_share_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (alternate, pixels):
        monkeypatch.setattr(module, "answer", _answered)
    rows = bench("pixels", "--images", "6", "--runs", "1", "--passes", "1")
    compared = [row for row in rows if len(row) == 6]
    assert len(compared) == (5 if LONG else 3)
    assert all(float(cell) > 0 for row in compared for cell in row[2:5])
    shares = {row[0]: float(row[1].removesuffix(" %")) for row in rows if len(row) == 2}
    assert {"perceptual_hash.hashes", "our_pixels.sha256"} <= set(shares)
    assert 90 < sum(shares.values()) <= 100.5


def test_a_missing_environment_is_refused_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="make img2dataset.*--without-img2dataset"):
        img2dataset_python(tmp_path / "python")


def test_contestants_take_turns_and_are_given_the_job(tmp_path: Path) -> None:
    answer = "import json, sys; print('noise'); print(json.dumps(json.load(sys.stdin)))"
    note = f"import pathlib; pathlib.Path({str(tmp_path / 'log')!r}).open('a').write('%s');"
    entered = [
        Contestant(name, (sys.executable, "-c", note.replace("%s", name) + answer)) for name in "ab"
    ]
    results = alternating(entered, {"cpu_s": 2}, 3)
    assert results == {name: [{"cpu_s": 2}] * 3 for name in "ab"}
    assert (tmp_path / "log").read_text() == "ababab"


def test_a_contestant_that_fails_stops_the_benchmark_with_its_last_words() -> None:
    with pytest.raises(Stopped, match="mine failed:\nout of cheese"):
        alternating([Contestant("mine", (sys.executable, "-c", "exit('out of cheese')"))], {}, 1)


def test_the_median_stands_for_the_runs() -> None:
    assert median([{"cpu_s": cost} for cost in (9, 1, 2)]) == 2
    assert ratio(1, 4) == "0.25"


def test_openssl_finds_the_root_in_its_folder(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, ("localhost",), ("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=str(authority.folder))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.chain, authority.key)
    ends = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(ends[0], ends[1], server_hostname="127.0.0.1")
    answering = server.wrap_bio(ends[1], ends[0], server_side=True)
    for _ in range(3):
        for end in (client, answering):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert()["subject"] == ((("commonName", "pairsieve bench"),),)  # type: ignore[index]
    assert [path.name for path in authority.folder.iterdir()] == [
        f"{subject_hash(ROOT_NAME):08x}.0"
    ]


def test_corpus_is_the_same_for_a_seed_and_mixed() -> None:
    samples = corpus(3, 6)
    assert samples == corpus(3, 6)
    drawn = [sample for sample in samples if sample.name.startswith("drawn")]
    assert [sample.kind for sample in drawn] == [
        BASELINE,
        BASELINE,
        PROGRESSIVE,
        BASELINE,
        FULL_COLOUR,
        BASELINE,
    ]
    assert all(100_000 < sample.pixels < 4_000_000 for sample in drawn)


def test_own_photographs_are_taken_as_they_are(tmp_path: Path) -> None:
    drawn = corpus(0, 5)[:5]
    for sample in drawn:
        (tmp_path / f"{sample.name}.jpg").write_bytes(sample.body)
    samples = own_photographs(tmp_path)
    assert [each.body for each in samples] == [each.body for each in drawn]
    assert [each.kind for each in samples] == [each.kind for each in drawn]


def test_drawn_pictures_have_as_much_detail_as_photographs() -> None:
    bits = [8 * len(each.body) / each.pixels for each in corpus(1, 12)]
    assert 1.0 < np.median(bits) < 2.5
