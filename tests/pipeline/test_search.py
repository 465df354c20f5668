import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline import embed, search, select
from pairsieve.pipeline.dataset import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.verdicts import VERDICTS
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.search import Query
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.model_record import read_record
from pairsieve.schemas.columns import arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed, Recipe

RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
HOSTILE = "<script>alert(1)</script> \x1b[2J \u202e" + "x" * 1000
PAIRS = 6
PutGathered = Callable[[Store, list[dict[str, Any]]], None]


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)


def png(number: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(picture(number)).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, random_model: RandomModel) -> Recipe:
    """Return a recipe with a model of ours with random weights."""
    model = {
        **random_model(tmp_path_factory.mktemp("tiny"), CONFIG),
        "device": "cpu",
        "precision": "fp32",
    }
    keep = [{"where": "row <> 2", "name": "no_twos"}]
    return Recipe.model_validate({"input": {"path": "p"}, "embed": model, "keep": keep})


@pytest.fixture(scope="module")
def judged_store(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, put_gathered: PutGathered
) -> Store:
    """Return a dataset of six pairs with vectors, judged."""
    made = Store.at(tmp_path_factory.mktemp("judged") / "dataset")
    rows: list[dict[str, Any]] = []
    bodies = b""
    for number in range(PAIRS):
        body = png(number)
        within = {"image_offset": len(bodies), "image_bytes": len(body)}
        rows.append({"image_file": "gather/images.tar", **within})
        bodies += body
    rows[1]["text"] = HOSTILE
    made.write("gather/images.tar", bodies)
    put_gathered(made, rows)
    list(embed.run(recipe, made, Serial(), ["00000000"]))
    select.run(recipe, made, Serial(), "default")
    return made


@pytest.fixture
def store(tmp_path: Path, judged_store: Store) -> Store:
    """Return a copy of it, to be changed."""
    assert judged_store.local
    return Store.at(shutil.copytree(judged_store.local, tmp_path / "dataset"))


def options(recipe: Recipe) -> Embed:
    assert recipe.embed
    return recipe.embed


def test_a_stored_picture_is_nearest_to_itself(
    store: Store, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "query.png").write_bytes(png(4))
    result = search.run(store, Query(image=tmp_path / "query.png"), recipe)
    assert (result.rows, result.exact, len(result.pairs)) == (PAIRS, True, PAIRS)
    first = result.pairs[0]
    assert (first["row"], first["rank"], first["uid"]) == (4, 1, f"{4:032x}")
    assert first["cosine"] == pytest.approx(1, abs=1e-3)


def test_a_text_finds_what_its_own_vector_is_nearest_to(store: Store, recipe: Recipe) -> None:
    result = search.run(store, Query("a red bus", count=3), recipe)
    (text,) = clip.load(options(recipe)).texts(["a red bus"])
    (unit,) = reader.units(store, reader.choose_folder(store, None))
    _, (images, _) = reader.read(store, unit)
    exact = images.astype(float)
    cosines = exact @ text / np.linalg.norm(exact, axis=1)
    assert [pair["row"] for pair in result.pairs] == np.argsort(-cosines)[:3].tolist()
    assert [p["cosine"] for p in result.pairs] == pytest.approx(sorted(cosines)[:-4:-1], abs=1e-5)


def test_pairs_come_with_their_verdicts(store: Store, recipe: Recipe) -> None:
    result = search.run(store, Query("a red bus"), recipe)
    verdicts = {pair["row"]: pair["verdict"] for pair in result.pairs}
    assert verdicts == {0: "kept", 1: "kept", 2: "no_twos", 3: "kept", 4: "kept", 5: "kept"}
    unjudged = search.run(store, Query("a red bus"), recipe, selection="other")
    assert {pair["verdict"] for pair in unjudged.pairs} == {"not judged"}


def test_hostile_text_is_escaped_on_the_page(store: Store, recipe: Recipe) -> None:
    page = search.page(store, search.run(store, Query("<img src=x> & all"), recipe))
    assert page.count("data:image/jpeg;base64,") == PAIRS
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page
    assert "x" * 300 not in page


def judged(store: Store, row: int, failing: list[str]) -> None:
    """Commit a selection in which one row fails some rules."""
    verdicts = [
        {
            "row": number,
            "keep": number != row,
            "failing_bits": (1 << len(failing)) - 1 if number == row else 0,
        }
        for number in range(PAIRS)
    ]
    with store.writer("select/default/other.parquet") as sink:
        pq.write_table(pa.Table.from_pylist(verdicts, arrow_schema(VERDICTS)), sink)
    files = {"select/default/other.parquet": sink.entry()}
    commit.replace(store, select_marker("default"), Marker(PAIRS, files, {}, {"rules": failing}))


@pytest.mark.parametrize("failing", [["minor_safety"], ["sharpness", "minor_safety"]])
def test_no_picture_is_shown_of_what_the_protection_of_minors_drops(
    store: Store, recipe: Recipe, failing: list[str]
) -> None:
    judged(store, 3, failing)
    result = search.run(store, Query("a red bus"), recipe)
    assert [pair["row"] for pair in result.pairs if pair["withheld"]] == [3]
    page = search.page(store, result)
    assert page.count("data:image/jpeg;base64,") == PAIRS - 1
    assert page.count("<span>no image</span>") == 1


def test_no_picture_is_shown_of_what_the_blocklist_drops(
    store: Store, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "never.txt").write_text("url http://127.0.0.1/5\n")
    blocklist = {"blocklist": {"files": (str(tmp_path / "never.txt"),)}}
    content = recipe.model_dump(exclude={"keep"}, exclude_none=True) | blocklist
    content.pop("image")
    select.run(Recipe.model_validate(content), store, Serial(), "default")
    result = search.run(store, Query("a red bus"), recipe)
    assert [pair["row"] for pair in result.pairs if pair["withheld"]] == [5]
    assert {pair["row"]: pair["verdict"] for pair in result.pairs}[5] == "blocklist"


def test_a_local_model_must_be_named_by_the_recipe(store: Store) -> None:
    with pytest.raises(BadOption, match=r"local files, tiny and weights; .*--recipe RECIPE"):
        search.run(store, Query("a red bus"))


def test_another_model_than_that_of_the_vectors_is_refused(store: Store, recipe: Recipe) -> None:
    folder = reader.choose_folder(store, None)
    record = replace(read_record(store, folder), weights_sha256="0" * 64)
    store.write(f"embed/{folder}.json", json.dumps(record.to_json()).encode())
    with pytest.raises(BadOption, match="made by another model .* weights 0000"):
        search.run(store, Query("a red bus"), recipe)


def test_a_recipe_without_that_model_is_refused(store: Store) -> None:
    other = Recipe.model_validate({"input": {"path": "p"}})
    with pytest.raises(BadOption, match="--recipe: names no model"):
        search.run(store, Query("a red bus"), other)


@pytest.mark.parametrize("query", [{}, {"text": "a", "image": Path("b.png")}])
def test_a_query_is_either_a_text_or_a_picture(query: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="a text, or --image FILE, and not both"):
        Query(**query)


def test_a_picture_that_cannot_be_read_is_refused(
    store: Store, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(BadOption, match=r"--image: .*no\.png: not a readable picture"):
        search.run(store, Query(image=tmp_path / "no.png"), recipe)
