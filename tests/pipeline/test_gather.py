import io
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Serial
from pairsieve.pipeline.unit import plan_file, task_slices
from pairsieve.pipeline.unit.ledger_part import uid
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from tests.pipeline.conftest import Connection, Site

Serve = Callable[[Path], str]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> tuple[Path, str]:
    """Three pictures and a page, served."""
    folder = tmp_path_factory.mktemp("web")
    random = np.random.default_rng(7)
    for name, size in (("wide.png", (90, 30)), ("tall.jpg", (40, 60)), ("other.png", (50, 50))):
        noise = random.integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / name)
    (folder / "page.jpg").write_text("<html>not a picture</html>")
    return folder, serve(folder)


def recipe(folder: Path, base: str, **more: Any) -> Recipe:
    port = int(base.rpartition(":")[2])
    sections = {
        "input": {"path": str(folder / "pairs.parquet"), "unit_pairs": 100},
        "fetch": {
            "user_agent": "test (+mailto:test@example.org)",
            "per_host_per_s": 100_000,
            "allow_networks": ["127.0.0.0/8"],
            "ports": [port],
            "retries": 0,
        },
    }
    return Recipe.model_validate(sections | more)


def gathered(
    recipe: Recipe, store: Store, pairs: list[tuple[str | None, str | None]]
) -> list[dict[str, Any]]:
    """Gather the pairs and return the ledger rows."""
    table: dict[str, Any] = {
        "url": [url for url, _ in pairs],
        "text": [text for _, text in pairs],
        "page": range(len(pairs)),
    }
    types = pa.schema([("url", pa.string()), ("text", pa.string()), ("page", pa.int64())])
    pq.write_table(pa.table(table, types), recipe.input.path)
    made = plan.run(recipe, store)
    for _ in gather.run(recipe, store, made, Serial()):
        continue
    return ledger(store)


def ledger(store: Store) -> list[dict[str, Any]]:
    rows = []
    for marker in store.markers("gather").values():
        with store.reader(marker.file(".parquet")) as source:
            rows += pq.read_table(source).to_pylist()
    return sorted(rows, key=lambda row: row["row"])


def test_a_marker_says_what_its_requests_met(tmp_path: Path, web: tuple[Path, str]) -> None:
    base = web[1]
    store = Store.at(tmp_path / "dataset")
    asked = recipe(tmp_path, base, opt_outs={"obey": "none"})
    gathered(asked, store, [(f"{base}/{name}", "a text") for name in ("wide.png", "none.jpg")])
    (marker,) = store.markers("gather").values()
    assert marker.extra["line"] == {
        "at_once": 128,
        "at_once_low": 128,
        "lowered": 0,
        "requests": 3,  # with robots.txt
        "suffered": 0,
        "https": 0,
        "handshakes": 0,
        "http2": 0,
    }


def test_every_row_has_its_outcome(tmp_path: Path, web: tuple[Path, str]) -> None:
    folder, base = web
    rows = gathered(
        recipe(tmp_path, base),
        Store.at(tmp_path / "dataset"),
        [
            (f"{base}/wide.png", "a wide one"),
            (None, "no address"),
            (f"{base}/tall.jpg", " \n"),
            (f"{base}/wide.png", "a wide one"),
            (f"{base}/page.jpg", "a page"),
            (f"{base}/none.jpg", "not there"),
            ("ftp://127.0.0.1/x", "old"),
        ],
    )
    assert [row["outcome"] for row in rows] == [
        "ok",
        "no_url",
        "no_text",
        "repeated",
        "not_an_image",
        "http_4xx",
        "blocked_scheme",
    ]
    first = rows[0]
    assert (first["width"], first["height"], first["aspect_ratio"]) == (90, 30, 3.0)
    assert first["sha256"] == sha256((folder / "wide.png").read_bytes()).hexdigest()
    assert first["fetch_bytes"] == (folder / "wide.png").stat().st_size
    assert rows[5]["http_status"] == 404
    assert [row["page"] for row in rows] == list(range(7))
    assert rows[3]["caption_words"] is None


def test_the_engine_of_the_recipe_fetches(
    tmp_path: Path, web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(tmp_path, web[1])
    assert chosen.fetch is not None
    other = chosen.fetch.model_copy(update={"engine": "img2dataset"})
    chosen = chosen.model_copy(update={"fetch": other})
    monkeypatch.setitem(sys.modules, "img2dataset", None)  # as where it is not installed
    with pytest.raises(BadOption, match="fetch.engine: img2dataset cannot be imported"):
        gathered(chosen, Store.at(tmp_path / "d"), [(f"{web[1]}/wide.png", "a wide one")])


def test_a_unit_without_a_usable_pair(tmp_path: Path, web: tuple[Path, str]) -> None:
    keep = [{"caption_words": {"min_words": 2}, "gate": True}]
    pairs = [(None, "no address"), (f"{web[1]}/wide.png", None)]
    rows = gathered(recipe(tmp_path, web[1], keep=keep), Store.at(tmp_path / "d"), pairs)
    assert [row["outcome"] for row in rows] == ["no_url", "no_text"]


def test_uid_is_blake2b_of_length_url_and_text(tmp_path: Path, web: tuple[Path, str]) -> None:
    url = f"{web[1]}/wide.png"
    (row,) = gathered(recipe(tmp_path, web[1]), Store.at(tmp_path / "d"), [(url, "é")])
    expected = blake2b(len(url).to_bytes(8, "little") + url.encode() + "é".encode(), digest_size=16)
    assert row["uid"] == expected.hexdigest()


def test_the_stored_image_lies_where_the_ledger_says(tmp_path: Path, web: tuple[Path, str]) -> None:
    _, base = web
    store = Store.at(tmp_path / "dataset")
    rows = gathered(
        recipe(tmp_path, base),
        store,
        [(f"{base}/wide.png", "wide"), (f"{base}/tall.jpg", "tall")],
    )
    for row in rows:
        (body,) = store.read_ranges(row["image_file"], [row["image_offset"]], [row["image_bytes"]])
        with Image.open(io.BytesIO(body)) as image:
            assert image.size == (row["stored_width"], row["stored_height"])
    with tarfile.open(fileobj=io.BytesIO(store.read(rows[0]["image_file"]))) as tar:
        assert sorted(tar.getnames()) == ["000000.jpg", "000001.jpg"]


def test_a_url_with_several_texts_is_fetched_once(tmp_path: Path, web: tuple[Path, str]) -> None:
    url = f"{web[1]}/wide.png"
    store = Store.at(tmp_path / "d")
    rows = gathered(recipe(tmp_path, web[1]), store, [(url, "one"), (url, "two of them")])
    assert rows[0]["image_offset"] == rows[1]["image_offset"]
    assert rows[0]["perceptual_hash"] == rows[1]["perceptual_hash"]
    assert [row["caption_words"] for row in rows] == [1, 3]
    with tarfile.open(fileobj=io.BytesIO(store.read(rows[0]["image_file"]))) as tar:
        assert len(tar.getnames()) == 1


def test_spellings_of_a_url_are_one_url_and_stay_as_they_came(
    tmp_path: Path, web: tuple[Path, str]
) -> None:
    port = web[1].rpartition(":")[2]
    urls: list[str | None] = [
        f"http://127.0.0.1:{port}/wide.png",
        f" HTTP://u:p@2130706433:{port}/no/../wi\tde.png#part",
        f"http:\\\\127.1:{port}\\wide.png",
        "ftp://H.example/a",
        "no url",
        None,
    ]
    store = Store.at(tmp_path / "d")
    pairs: list[tuple[str | None, str | None]] = [
        (url, f"text {number}") for number, url in enumerate(urls)
    ]
    rows = gathered(recipe(tmp_path, web[1]), store, pairs)
    assert [row["url"] for row in rows] == urls
    assert [row["host"] for row in rows] == [*["127.0.0.1"] * 3, "h.example", None, None]
    digests = [
        int.from_bytes(blake2b(url.encode(), digest_size=8).digest(), "big")
        for url in (str(urls[0]), "ftp://h.example/a")
    ]
    assert [row["url_hash"] for row in rows] == [*digests[:1] * 3, digests[1], None, None]
    assert {row["final_url"] for row in rows[:3]} == {urls[0]}
    assert len({row["image_offset"] for row in rows[:3]}) == 1


def test_a_gate_stops_a_pair_before_the_fetch(tmp_path: Path, web: tuple[Path, str]) -> None:
    keep = [{"caption_words": {"min_words": 2}, "gate": True}]
    rows = gathered(
        recipe(tmp_path, web[1], keep=keep),
        Store.at(tmp_path / "d"),
        [(f"{web[1]}/wide.png", "short"), (f"{web[1]}/tall.jpg", "long enough")],
    )
    assert [row["outcome"] for row in rows] == ["gated", "ok"]
    assert rows[0]["caption_words"] == 1
    assert rows[0]["attempts"] is None


def test_no_personal_data_is_kept_where_the_recipe_says_so(
    tmp_path: Path, web: tuple[Path, str]
) -> None:
    url = f"{web[1]}/wide.png"
    pairs: list[tuple[str | None, str | None]] = [
        (url, "mail ada@example.org"),
        (url, "<b>ada&#64;example.org</b> says"),
        (url, "a red  dog &amp; a cat"),
        ("", "+1 212 736 5000"),
        (url, "mail ada@example.org"),
        (url, None),
    ]
    options = {"text": {"keep_personal_data": False}, "keep": [{"personal_data": {}}]}
    rows = gathered(recipe(tmp_path, web[1], **options), Store.at(tmp_path / "d"), pairs)
    assert [row["text"] for row in rows] == [
        "mail [email]",
        "[email] says",
        "a red  dog &amp; a cat",
        "[phone]",
        "mail [email]",
        None,
    ]
    assert [row["personal_data"] for row in rows[:3]] == [[("email", 1)], [("email", 1)], []]
    assert rows[0]["uid"] == uid(url, "mail ada@example.org")
    assert b"example.org" not in b"".join(p.read_bytes() for p in tmp_path.glob("d/gather/*"))


def test_what_is_committed_is_not_done_again(tmp_path: Path, web: tuple[Path, str]) -> None:
    made = recipe(tmp_path, web[1])
    store = Store.at(tmp_path / "d")
    gathered(made, store, [(f"{web[1]}/wide.png", "wide")])
    before = list(store.list())
    assert list(gather.run(made, store, plan.run(made, store), Serial())) == []
    assert list(store.list()) == before


def test_rules_may_read_extra_columns_and_what_comes_later(
    tmp_path: Path, web: tuple[Path, str]
) -> None:
    keep = [{"where": "page >= 0"}, {"duplicate": {}}]
    made = recipe(tmp_path, web[1], keep=keep)
    (row,) = gathered(made, Store.at(tmp_path / "d"), [(f"{web[1]}/wide.png", "wide")])
    assert row["outcome"] == "ok"


def test_a_unit_is_gathered_while_the_last_answer_of_the_one_before_is_waited_for(
    tmp_path: Path, site: "Site"
) -> None:
    opened = threading.Event()

    def held(connection: "Connection") -> None:
        opened.wait(20)
        connection.sock.sendall(site.whole(site.jpeg, "200 OK", "Connection: close"))

    site.behaviours |= {"held": held, "robots.txt": site.behaviours["404"]}
    two = {"path": str(tmp_path / "pairs.parquet"), "unit_pairs": 2}
    made = recipe(tmp_path, site.url("")[:-1], input=two)
    urls = [site.url(path) for path in ("held", "ok/1", "ok/2", "ok/3")]
    pq.write_table(pa.table({"url": urls, "text": urls}), made.input.path)
    store = Store.at(tmp_path / "d")
    slices = task_slices.pending(plan.run(made, store), [])
    worker = gather.Worker(made, store, plan_file.sha256_of(store), 1)
    gathering = gather.Gathering(worker)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(gather.gather, gathering, slices[0])
        with site.changed:
            assert site.changed.wait_for(lambda: "/held" in site.paths(), 20)
        second = threads.submit(gather.gather, gathering, slices[1])
        assert second.result(20).rows == 2
        assert not first.done()
        opened.set()
        assert first.result(20).rows == 2
    assert sorted(store.markers("gather")) == [each.name for each in slices]


class CrashingAt:
    """An engine on which work that contains the row `culprit` always kills its process."""

    workers = 1

    def __init__(self, culprit: int) -> None:
        self.culprit = culprit
        self.tasks = 0

    def map_with(
        self, setup: Any, function: Any, items: Any, per_cpu: int, **_: Any
    ) -> Iterator[tuple[Any, Any]]:
        assert per_cpu == 8  # of a few pairs
        state = setup()
        for slice_name in items:
            self.tasks += 1
            if slice_name.first <= self.culprit < slice_name.first + slice_name.rows:
                yield slice_name, Crashed("WorkerCrashedError")
            else:
                yield slice_name, function(state, slice_name)


def test_a_pair_that_kills_its_process_is_isolated(tmp_path: Path, web: tuple[Path, str]) -> None:
    made = recipe(tmp_path, web[1])
    store = Store.at(tmp_path / "d")
    pairs = [(f"{web[1]}/wide.png", f"text {number}") for number in range(11)]
    table = pa.table({"url": [url for url, _ in pairs], "text": [text for _, text in pairs]})
    pq.write_table(table, made.input.path)
    engine: Any = CrashingAt(7)
    markers: list[tuple[str, Marker]] = list(gather.run(made, store, plan.run(made, store), engine))
    assert sum(marker.rows for _, marker in markers) == 11
    assert engine.tasks <= 2 * 4 + 1  # log2(11) rounds of two halves
    rows = ledger(store)
    assert [row["row"] for row in rows] == list(range(11))
    assert [row["row"] for row in rows if row["outcome"] == "crashed"] == [7]
    assert {row["outcome"] for row in rows} == {"ok", "crashed"}


@pytest.mark.parametrize(
    ("rows", "expected"), [(1, 8), (2500, 8), (2501, 7), (10_000, 2), (1_000_000, 2)]
)
def test_a_process_has_as_many_units_in_hand_as_their_pairs_allow(rows: int, expected: int) -> None:
    assert gather._in_hand([task_slices.TaskSlice(n, 0, rows, True) for n in (0, 1)]) == expected


def test_pending_is_what_no_marker_answers_for(tmp_path: Path, web: tuple[Path, str]) -> None:
    made = recipe(tmp_path, web[1])
    table = pa.table({"url": ["u"] * 250, "text": ["t"] * 250})
    pq.write_table(table, made.input.path)
    store = Store.at(tmp_path / "d")
    planned = plan.run(made, store)
    for name in ("00000000", "00000001.20+30", "00000001.70+30"):
        store.create(f"gather/{name}.json", Marker(1, {}).dumps())
    assert [
        slice_name.name for slice_name in task_slices.pending(planned, store.marker_names("gather"))
    ] == [
        "00000001.0+20",
        "00000001.50+20",
        "00000002",
    ]


def test_signals_of_looks_are_measured_and_orientation_hashes_only_when_asked(
    tmp_path: Path, web: tuple[Path, str]
) -> None:
    folder, base = web
    pairs: list[tuple[str | None, str | None]] = [(f"{base}/wide.png", "a picture")]
    (plain,) = gathered(recipe(tmp_path, base), Store.at(tmp_path / "plain"), pairs)
    oriented_recipe = recipe(tmp_path, base, group={"orientations": ["mirrored"]})
    (oriented,) = gathered(oriented_recipe, Store.at(tmp_path / "turned"), pairs)
    with Image.open(folder / "wide.png") as image:
        means = np.asarray(image.resize((5, 5), Image.Resampling.BOX)).ravel()
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).convert("L")
    assert np.abs(np.array(plain["colour"]) - means).max() <= 1
    assert plain["orientation_hashes"] is None
    assert (oriented["dhash"], oriented["colour"]) == (plain["dhash"], plain["colour"])
    assert len(oriented["orientation_hashes"]) == 2
    phash = int(str(imagehash.phash(mirrored)), 16)
    assert (oriented["orientation_hashes"][0] ^ phash).bit_count() <= 4
