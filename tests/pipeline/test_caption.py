import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import caption, gc, report, select, verify
from pairsieve.pipeline.captions import slices
from pairsieve.pipeline.captions.folders import measured_folders
from pairsieve.pipeline.captions.sentences import caption_sentences
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.integrity.repair import repair
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe

TEXTS = ["a dog", "gone", "a cat", "a red square", "a green hill"]  # "gone" has no image
SLICES = {"00000000": [0, 1, 2], "00000001": [3, 4]}
ASKED = ["a dog", "a cat", "a red square", "a green hill"]


def image(row: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (40 * row, 0, 0)).save(file, "JPEG")
    return file.getvalue().ljust(1000, b"\0")


@pytest.fixture
def store(tmp_path: Path, put_plan: Callable[[Store], None]) -> Store:
    """Return a dataset with two gathered task slices."""
    dataset = Store.at(tmp_path / "dataset")
    put_plan(dataset)
    for name, rows in SLICES.items():
        put_slice(dataset, name, rows)
    return dataset


def put_slice(store: Store, name: str, rows: Sequence[int]) -> None:
    tar, part = (f"gather/{name}.0123456789ab.{kind}" for kind in ("tar", "parquet"))
    with store.writer(tar) as images:
        images.write(b"".join(image(row) for row in rows))
    stored = {
        row: {
            "image_file": tar,
            "image_offset": at * len(image(row)),
            "image_bytes": len(image(row)),
            "image_checksum": of_image(image(row)),
        }
        for at, row in enumerate(rows)
        if TEXTS[row] != "gone"
    }
    ledger = [
        {"row": row, "uid": f"{row:032x}", "text": TEXTS[row], "url": f"http://a/{row}"}
        | {"language": "en", "retry_layer": 0, "caption_words": len(TEXTS[row].split())}
        | {"outcome": "ok" if row in stored else "http_4xx"}
        | stored.get(row, {})
        for row in rows
    ]
    with store.writer(part) as sink:
        pq.write_table(pa.Table.from_pylist(ledger, schema=arrow_schema(GATHERED)), sink)
    files = {tar: images.entry(), part: sink.entry()}
    failed = sum(row not in stored for row in rows)
    counts = {"ok": len(stored)} | ({"http_4xx": failed} if failed else {})
    store.create(f"gather/{name}.json", Marker(len(rows), files, counts).dumps())


def recipe(service: Any, keep: Sequence[dict[str, Any]] = (), **changes: Any) -> Recipe:
    given = {
        "url": service and service.url,
        "model": "org/model",
        "prompt": "{text}",
        "backoff_s": 0,
        "timeout_s": 20,
        "concurrency": 2,
    }
    sections = {"captions": given | changes} if service else {}
    return Recipe.model_validate({"input": {"path": "p.parquet"}, "keep": list(keep)} | sections)


def captioned(
    store: Store, recipe: Recipe, engine: Engine | None = None, again: bool = False
) -> Any:
    """Caption, and return the captions by row as the ledger has them."""
    list(caption.run(recipe, store, engine or Serial(), again))
    with connect(store) as connection:
        attach(connection, store, measured_folders(recipe))
        query = "SELECT row, recaption FROM ledger WHERE recaption IS NOT NULL ORDER BY row"
        return dict(connection.execute(query).fetchall())


def outcomes(store: Store, recipe: Recipe) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, marker in caption.run(recipe, store, Serial()):
        counts = {n: counts.get(n, 0) + marker.counts.get(n, 0) for n in {*counts, *marker.counts}}
    return counts


def test_pairs_with_an_image_get_a_caption(store: Store, service: Any) -> None:
    found = captioned(store, recipe(service))
    assert found == {n: f"seen: {text}" for n, text in enumerate(TEXTS) if text != "gone"}


def test_the_image_goes_as_it_is_stored(store: Store, service: Any) -> None:
    captioned(store, recipe(service, concurrency=1))
    urls = [each["messages"][0]["content"][0]["image_url"]["url"] for each in service.requests]
    assert [base64.b64decode(url.removeprefix("data:image/jpeg;base64,")) for url in urls] == [
        image(row) for row in (0, 2, 3, 4)
    ]


def test_a_request_says_what_the_recipe_does(store: Store, service: Any) -> None:
    wanted = recipe(
        service,
        prompt="{{{language}}} {text} at {url}",
        system="Be brief.",
        image=False,
        max_tokens=7,
        parameters={"top_p": 0.5},
        concurrency=1,
    )
    captioned(store, wanted)
    assert service.requests[0] == {
        "model": "org/model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "{en} a dog at http://a/0"},
        ],
        "max_tokens": 7,
        "temperature": 0,
        "top_p": 0.5,
    }


def test_several_columns_come_of_one_answer(store: Store, service: Any) -> None:
    service.behave = lambda _: '{"recaption": "long", "translation": "other"}'
    wanted = recipe(service, columns=["recaption", "translation"])
    assert set(captioned(store, wanted).values()) == {"long"}
    schema = service.requests[0]["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["recaption", "translation"]
    table = Pool(store, Serial(), ledger_files(store, measured_folders(wanted)), 1)
    (row,) = list(table.query(["translation"], "SELECT max(translation) FROM ledger"))[:1]
    assert row == ("other",)


@pytest.mark.parametrize(
    "change",
    [{}, {"concurrency": 5}, {"price_in": 2}, {"failures_in_a_row": 3}, {"requests_per_s": 1000}],
)
def test_nothing_is_asked_twice(store: Store, service: Any, change: dict[str, Any]) -> None:
    first = captioned(store, recipe(service))
    assert captioned(store, recipe(service, **change)) == first
    assert sorted(service.asked()) == sorted(ASKED)


@pytest.mark.parametrize("change", [{"prompt": "2 {text}"}, {"model": "b"}, {"temperature": 1}])
def test_another_question_is_asked(store: Store, service: Any, change: dict[str, Any]) -> None:
    captioned(store, recipe(service))
    captioned(store, recipe(service, **change))
    assert len(service.requests) == 2 * len(ASKED)


def test_gates_spare_the_question(store: Store, service: Any) -> None:
    gate = [{"where": "caption_words > 2", "gate": True}]
    assert set(captioned(store, recipe(service, gate))) == {3, 4}
    captioned(store, recipe(service))  # without the gate the others are asked of, too
    assert sorted(service.asked()) == sorted(ASKED)


def test_only_survivors_of_a_selection_are_asked_of(store: Store, service: Any) -> None:
    select.run(recipe(None, [{"where": "row IN (0, 3)"}]), store, Serial(), "few")
    select.run(recipe(None, [{"where": "row IN (0, 4)"}]), store, Serial(), "others")
    assert set(captioned(store, recipe(service, of="few"))) == {0, 3}
    assert set(captioned(store, recipe(service, of="others"))) == {0, 3, 4}
    assert sorted(service.asked()) == ["a dog", "a green hill", "a red square"]


def test_a_selection_that_is_not_there_is_refused(store: Store, service: Any) -> None:
    with pytest.raises(BadOption, match="captions.of: there is no selection `few`; make it with"):
        captioned(store, recipe(service, of="few"))
    assert service.requests == []


def test_what_was_answered_before_a_stop_is_kept(
    store: Store, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "COMMIT_EVERY", 1)
    service.behave = lambda asked: (401, b"", {}) if asked == "a cat" else f"seen: {asked}"
    wanted = recipe(service, concurrency=1)
    with pytest.raises(Stopped, match="status 401: ; is the key .* goes on from there"):
        captioned(store, wanted)
    with pytest.raises(BadOption, match="of 2 task slices the model was not asked"):
        select.run(wanted, store, Serial(), "default")
    service.behave = lambda asked: f"seen: {asked}"
    assert len(captioned(store, wanted)) == 4
    assert service.asked() == ["a dog", "a cat", "a cat", "a red square", "a green hill"]


def test_an_interrupt_loses_no_answer(store: Store, service: Any) -> None:
    wanted = recipe(service, concurrency=1)
    markers = caption.run(wanted, store, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        list(markers)
    assert len(captioned(store, wanted)) == 4
    assert sorted(service.asked()) == sorted(ASKED)


class Interrupted(Serial):
    """Is stopped by the user after the first task."""

    def map(self, function: Any, items: Any) -> Any:
        for number, item in enumerate(items):
            if number:
                raise KeyboardInterrupt
            yield item, function(item)


def test_a_service_that_answers_nobody_ends_it(store: Store, service: Any) -> None:
    service.behave = lambda _: (500, b"broken", {})
    with pytest.raises(
        Stopped, match="2 pairs in a row have no answer, at last: status 500: broken; mend that"
    ):
        captioned(store, recipe(service, retries=0, failures_in_a_row=2, concurrency=1))
    assert len(service.requests) == 2


def test_pairs_without_an_answer_are_asked_again_on_request(store: Store, service: Any) -> None:
    service.behave = lambda asked: (503, b"", {}) if asked == "a cat" else "a caption"
    wanted = recipe(service, retries=0)
    assert outcomes(store, wanted) == {"ok": 3, "no_answer": 1}
    service.behave = lambda _: "at last"
    assert set(captioned(store, wanted)) == {0, 3, 4}
    assert captioned(store, wanted, again=True)[2] == "at last"
    assert len(service.requests) == 5


def test_the_money_is_for_all_slices(store: Store, service: Any) -> None:
    wanted = recipe(service, price_in=10_000, max_cost=3, concurrency=1)  # an answer costs 1
    with pytest.raises(Stopped, match=r"captions\.max_cost: 3 (of 3 )?are spent; raise it"):
        captioned(store, wanted)
    assert len(service.requests) == 3
    with pytest.raises(Stopped, match=r"captions\.max_cost: 3 of 3 are spent; raise it to go on"):
        captioned(store, wanted)
    richer = recipe(service, price_in=10_000, max_cost=9, concurrency=1)
    assert len(captioned(store, richer)) == 4
    assert (
        "4 requests (0 repeated), 400 tokens in, 40 out, cost 4.00." in caption_sentences(store)[0]
    )


def test_captions_that_are_gone_are_asked_for_again(store: Store, service: Any) -> None:
    captioned(store, recipe(service))
    file = next(path for path, _, _ in store.list("captions") if path.endswith(".parquet"))
    store.delete([file])
    assert len(captioned(store, recipe(service))) == 4
    assert len(service.requests) == 6


def test_damage_is_found_and_mended_by_asking_again(store: Store, service: Any) -> None:
    captioned(store, recipe(service))
    file = next(path for path, _, _ in store.list("captions") if path.endswith(".parquet"))
    store.write(file, store.read(file)[:-1] + b"x")
    (record,) = (path for path, _, _ in store.list("captions") if path.count("/") == 1)
    store.write(record, store.read(record).replace(b"org/model", b"org/other"))
    found = [one for checked in verify.run(store, Serial()) for one in checked.findings]
    assert sorted(finding.path for finding in found) == sorted([file, record])
    said = list(repair(store, [finding for finding in found if finding.path == file]))
    assert said == [f"{found[-1].marker}: deleted; `pairsieve caption` makes it again"]
    assert len(captioned(store, recipe(service))) == 4
    assert len(service.requests) == 6


def test_tasks_on_ray_ask_the_same(store: Store, service: Any, ray: Engine) -> None:
    wanted = recipe(service, requests_per_s=1000)
    found = captioned(store, wanted, ray)
    assert found == {n: f"seen: {text}" for n, text in enumerate(TEXTS) if text != "gone"}
    assert sorted(service.asked()) == sorted(ASKED)


def test_hostile_texts_are_stored_as_they_are(store: Store, service: Any) -> None:
    texts = iter(["'; DROP TABLE ledger; --", "\u202e<script>", "\0\ud800", "x" * 1_000_000])
    service.behave = lambda _: next(texts)
    found = captioned(store, recipe(service, concurrency=1))
    assert found == {
        0: "'; DROP TABLE ledger; --",
        2: "\u202e<script>",
        3: "\ufffd\ufffd",
        4: "x" * 1_000_000,
    }


def test_rules_read_captions(store: Store, service: Any) -> None:
    wanted = recipe(service, [{"where": "recaption LIKE '%cat' OR caption_outcome <> 'ok'"}])
    captioned(store, wanted)
    marker = select.run(wanted, store, Serial(), "default")
    assert marker.counts["kept"] == 1


def test_gc_leaves_captions_alone(store: Store, service: Any) -> None:
    captioned(store, recipe(service))
    with store.writer("captions/org-model-0/00000000.0123456789ab.captions.parquet") as sink:
        sink.write(b"of a beaten attempt")
    (garbage,) = gc.run(store, 0)
    assert garbage.path.startswith("captions/org-model-0/")


def test_the_key_is_nowhere_in_the_dataset(
    store: Store, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", "sk-very-secret")
    captioned(store, recipe(service, api_key_env="MODEL_KEY"))
    assert set(service.keys) == {"Bearer sk-very-secret"}
    files = [path for path in Path(store.url).rglob("*") if path.is_file()]
    assert [path for path in files if b"sk-very-secret" in path.read_bytes()] == []


def test_a_report_has_the_captions_and_one_without_has_none(store: Store, service: Any) -> None:
    for name, wanted in (("with", recipe(service)), ("without", recipe(None))):
        list(caption.decide(wanted, store, Serial(), name))
        select.run(wanted, store, Serial(), name)
        report.run(wanted, store, Serial(), name)
        stats = Path(store.url, "report", name, "stats.duckdb")
        with duckdb.connect(str(stats), read_only=True) as connection:
            (count,) = connection.execute("SELECT count(recaption) FROM ledger").fetchone() or ()
        assert count == (4 if name == "with" else 0)
