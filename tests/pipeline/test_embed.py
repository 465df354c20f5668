import io
import os
import signal
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pairsieve.filters.nsfw import Nsfw
from pairsieve.pipeline import embed
from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine, open_engine
from pairsieve.pipeline.vectors import folders, model_record
from pairsieve.schemas.columns import EMBEDDED, GATHERED, ROW, arrow_schema
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Embed, Recipe

COMPUTED: dict[str, Any] = {"batch": 4, "device": "cpu", "precision": "fp32"}
RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
Pair = tuple[int | None, str, str]  # image, text, outcome
# rows 0 and 3 share an image, 0 and 4 a caption.
FIRST = [
    (0, "a red square", "ok"),
    (1, "a wide banner", "ok"),
    (None, "gone", "http_4xx"),
    (0, "ein rotes Quadrat", "ok"),
    (2, "a red square", "ok"),
]
SECOND = [(3, "<b>\0 \u202e; DROP TABLE ledger", "ok"), (4, "x" * 100_000, "ok")]
SLICES = ["00000000", "00000001.0+2"]
KINDS = ("scores", "vectors")
SIZES = [(40, 40), (40, 160), (50, 45), (33, 64), (64, 33)]  # height, width


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, random_model: RandomModel) -> Embed:
    """Return a model of ours with random weights."""
    files = random_model(tmp_path_factory.mktemp("tiny"), CONFIG)
    return Embed.model_validate(files | COMPUTED)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a dataset with two gathered task slices."""
    dataset = Store.at(tmp_path / "dataset")
    put_slice(dataset, SLICES[0], 0, FIRST)
    put_slice(dataset, SLICES[1], 10, SECOND)
    return dataset


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (*SIZES[number], 3), np.uint8)


def put_slice(store: Store, name: str, first: int, pairs: Sequence[Pair]) -> None:
    """Write a gathered task slice: its tar of stored images, its ledger part and its marker."""
    tar_name, table_name = (f"gather/{name}.a1.{kind}" for kind in ("tar", "parquet"))
    stored: dict[int | None, dict[str, Any]] = {None: {}}
    with store.writer(tar_name) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
        for number in sorted({image for image, _, _ in pairs if image is not None}):
            file = io.BytesIO()
            Image.fromarray(picture(number)).save(file, "PNG")
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(file.getvalue())
            stored[number] = {
                "aspect_ratio": max(SIZES[number]) / min(SIZES[number]),
                "image_file": tar_name,
                "image_offset": tar.offset + tarfile.BLOCKSIZE,
                "image_bytes": member.size,
                "image_checksum": of_image(file.getvalue()),
            }
            tar.addfile(member, io.BytesIO(file.getvalue()))
    rows = [
        {"row": row, "uid": f"{row:032x}", "text": text, "retry_layer": 0, "outcome": outcome}
        | stored[image]
        for row, (image, text, outcome) in enumerate(pairs, first)
    ]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(GATHERED))
    with store.writer(table_name) as out:
        pq.write_table(table, out)
    files = {tar_name: sink.entry(), table_name: out.entry()}
    store.create(f"gather/{name}.json", Marker(len(pairs), files, {}).dumps())


def recipe(options: Embed, **more: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": "pairs.parquet"}, "embed": options} | more)


def embedded(
    store: Store,
    options: Embed,
    engine: Any = None,
    slice_names: Sequence[str] = SLICES,
    **more: Any,
) -> dict[str, Marker]:
    """Return for each task slice one marker of its vectors and its scores."""
    committed = embed.run(
        recipe(options, **more), store, engine or open_engine("serial"), slice_names
    )
    scores_folder = f"embed/{folders.scores_folder(options)}"
    return {
        slice_name: replace(
            marker, files=marker.files | store.markers(scores_folder)[slice_name].files
        )
        for slice_name, marker in committed
    }


def tables(store: Store, marker: Marker) -> tuple[pa.Table, pa.Table]:
    """Return the scores and the vectors that a marker commits."""
    scores, vectors = (
        pq.read_table(store.location(marker.file(f".{kind}.parquet"))) for kind in KINDS
    )
    return scores, vectors


def contents(markers: dict[str, Marker]) -> dict[str, list[str]]:
    """Return the checksums of what each slice committed, whatever the names of the attempts."""
    return {
        slice_name: [marker.files[marker.file(f".{kind}.parquet")]["sha256"] for kind in KINDS]
        for slice_name, marker in markers.items()
    }


def reference(options: Embed) -> tuple[Any, Any, Any]:
    open_clip.add_model_config(options.model)
    network, _, transform = open_clip.create_model_and_transforms("tiny", options.pretrained)
    return network.eval(), transform, open_clip.get_tokenizer("tiny")


def matrix(table: pa.Table, name: str) -> NDArray[np.float32]:
    return np.stack(table[name].to_numpy()).astype(np.float32)


def kind(name: str) -> str:
    return name.split(".", 2)[-1].split(".")[-2]


@dataclass
class Answering:
    """An engine that gives an answer for each item and does no work."""

    workers = 1
    answer: Callable[[Any], Any]

    def map(self, function: Any, items: Iterable[Any]) -> Generator[tuple[Any, Any]]:
        return ((item, self.answer(item)) for item in items)

    def map_with(
        self, setup: Any, function: Any, items: Iterable[Any], gpus: float = 0, **_: Any
    ) -> Generator[tuple[Any, Any]]:
        return self.map(function, items)

    def close(self) -> None: ...


@dataclass
class Killing:
    """An engine whose actor is killed at its first call."""

    engine: Engine
    flag: Path
    workers = 1

    def map(self, function: Any, items: Iterable[Any]) -> Generator[tuple[Any, Any]]:
        return self.engine.map(function, items)

    def map_with(
        self, setup: Any, function: Any, items: Iterable[Any], gpus: float = 0, **_: Any
    ) -> Generator[tuple[Any, Any]]:
        return self.engine.map_with(setup, partial(die_once, self.flag, function), items, gpus)

    def close(self) -> None: ...


def die_once(flag: Path, function: Callable[[Any, Any], Any], state: Any, item: Any) -> Any:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return function(state, item)


def test_every_pair_with_an_image_has_the_vectors_of_open_clip(
    store: Store, options: Embed
) -> None:
    scores, vectors = tables(store, embedded(store, options)[SLICES[0]])
    network, transform, tokenizer = reference(options)
    with torch.inference_mode():
        pictures = torch.stack([transform(Image.fromarray(picture(n))) for n in (0, 1, 0, 2)])
        images = network.encode_image(pictures, normalize=True).numpy()
        texts = network.encode_text(
            tokenizer([text for _, text, outcome in FIRST if outcome == "ok"]), normalize=True
        ).numpy()
    assert scores["row"].to_pylist() == vectors["row"].to_pylist() == [0, 1, 3, 4]
    for name, expected in (("image_embedding", images), ("text_embedding", texts)):
        np.testing.assert_allclose(matrix(vectors, name), expected, atol=2.0**-11)  # float16
    cosines = (images * texts).sum(axis=1)
    np.testing.assert_allclose(scores["clip_similarity"].to_numpy(), cosines, atol=1e-3)


def test_scores_can_be_computed_again_from_what_is_stored(store: Store, options: Embed) -> None:
    scores, vectors = tables(store, embedded(store, options)[SLICES[0]])
    images, texts = (
        matrix(vectors, f"{kind}_embedding").astype(float) for kind in ("image", "text")
    )
    lengths = np.linalg.norm(images, axis=1) * np.linalg.norm(texts, axis=1)
    cosines = (images * texts).sum(axis=1) / lengths
    np.testing.assert_allclose(scores["clip_similarity"].to_numpy(), cosines, atol=1e-7)

    network, _, tokenizer = reference(options)
    with torch.inference_mode():
        classes = [
            network.encode_text(tokenizer(list(texts)), normalize=True).mean(dim=0)
            for texts in Nsfw.prompts.values()
        ]
        prompts = torch.nn.functional.normalize(torch.stack(classes)).double()
        logits = network.logit_scale.exp() * torch.from_numpy(images) @ prompts.T
    expected = logits.softmax(dim=1)[:, 1].numpy()
    np.testing.assert_allclose(scores["nsfw"].to_numpy(), expected, atol=1e-5)


def test_files_say_what_their_columns_are(store: Store, options: Embed) -> None:
    scores, vectors = tables(store, embedded(store, options)[SLICES[0]])
    assert scores.schema.equals(arrow_schema((ROW, *EMBEDDED)))
    assert scores.schema.field("nsfw").metadata[b"measured"] == b"the prompts of pairsieve"
    assert vectors.schema.field("image_embedding").type == pa.list_(pa.float16(), 24)
    assert vectors.schema.field("text_embedding").metadata[b"doc"].startswith(b"CLIP vector")


def test_an_image_and_a_caption_that_occur_twice_are_embedded_once(
    store: Store, options: Embed
) -> None:
    marker = embedded(store, options)[SLICES[0]]
    assert marker.rows == 5
    assert marker.counts == {"embedded": 4, "images": 3, "texts": 3}
    assert 0 < marker.extra["model_s"] <= marker.extra["seconds"]


def test_a_pair_that_fails_a_gate_is_not_embedded(store: Store, options: Embed) -> None:
    keep = [{"aspect_ratio": {"max_ratio": 3}, "gate": True}, {"where": "row = 3"}]
    scores, _ = tables(store, embedded(store, options, keep=keep)[SLICES[0]])
    assert scores["row"].to_pylist() == [0, 3, 4]


def test_a_slice_without_images_is_committed_empty(store: Store, options: Embed) -> None:
    put_slice(store, "00000002", 20, [(None, "gone", "dns")])
    (marker,) = embedded(store, options, slice_names=["00000002"]).values()
    scores, vectors = tables(store, marker)
    assert (marker.rows, scores.num_rows, vectors.num_rows) == (1, 0, 0)


def test_a_row_has_the_same_bytes_however_its_unit_was_cut(store: Store, options: Embed) -> None:
    put_slice(store, "00000002.0+3", 0, FIRST[:3])
    put_slice(store, "00000002.3+2", 3, FIRST[3:])
    whole = tables(store, embedded(store, options)[SLICES[0]])
    slice_names = ["00000002.0+3", "00000002.3+2"]
    halves = embedded(store, options, slice_names=slice_names)
    for at in range(2):
        joined = pa.concat_tables(tables(store, halves[name])[at] for name in slice_names)
        assert joined.combine_chunks().equals(whole[at].combine_chunks())


def test_committed_slices_are_yielded_without_work(store: Store, options: Embed) -> None:
    first = embedded(store, options)
    before = list(store.list())
    assert embedded(store, options, Answering(pytest.fail)) == first
    assert list(store.list()) == before


def test_only_what_is_missing_is_embedded(store: Store, options: Embed) -> None:
    first = embedded(store, options)
    name = folders.model_folder(options)
    store.delete([f"embed/{name}/{SLICES[0]}.json", f"gather/{SLICES[1]}.a1.tar"])
    again = embedded(store, options)
    assert again[SLICES[1]] == first[SLICES[1]]
    assert contents(again) == contents(first)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_or_cut_is_made_again(store: Store, options: Embed, kind: str) -> None:
    first = embedded(store, options)
    for change in (store.delete, lambda names: store.write(names[0], store.read(names[0])[:-1])):
        before = embedded(store, options)
        change([before[SLICES[0]].file(f".{kind}.parquet")])
        again = embedded(store, options)
        assert contents(again) == contents(first)
        assert again[SLICES[1]] == first[SLICES[1]]


def test_slices_are_taken_as_they_come(store: Store, options: Embed) -> None:
    taken: list[str] = []

    def slice_names() -> Iterator[str]:
        for slice_name in SLICES:
            taken.append(slice_name)
            yield slice_name

    running = embed.run(recipe(options), store, open_engine("serial"), slice_names())
    assert next(running)[0] == SLICES[0]
    assert taken == SLICES[:1]


def test_ray_gives_the_same_bytes(
    store: Store, options: Embed, ray: Engine, tmp_path: Path
) -> None:
    other = Store.at(tmp_path / "other")
    for name, _, _ in store.list("gather"):
        other.write(name, store.read(name))
    assert contents(embedded(store, options)) == contents(embedded(other, options, ray))


def test_a_killed_actor_loses_nothing(
    store: Store, options: Embed, ray: Engine, tmp_path: Path
) -> None:
    flag = tmp_path / "killed"
    killed = embedded(store, options, Killing(ray, flag))
    assert flag.exists()
    store.delete(
        [f"embed/{folders.model_folder(options)}/{slice_name}.json" for slice_name in SLICES]
    )
    assert contents(killed) == contents(embedded(store, options))


def test_a_slice_that_kills_every_process_stops_the_run_by_name(
    store: Store, options: Embed
) -> None:
    with pytest.raises(Stopped, match=r"task slice 00000000 \(ActorDiedError\).*the same command"):
        embedded(store, options, Answering(lambda _: Crashed("ActorDiedError")))


def test_a_damaged_image_stops_the_run_and_is_named(store: Store, options: Embed) -> None:
    name = f"gather/{SLICES[0]}.a1.tar"
    data = bytearray(store.read(name))
    data[600:700] = bytes(100)
    store.write(name, bytes(data))
    with pytest.raises(Stopped, match=f"{name}: the image at byte 512: its bytes are not"):
        embedded(store, options)


def test_a_tar_that_is_gone_stops_the_run_and_is_named(store: Store, options: Embed) -> None:
    name = f"gather/{SLICES[1]}.a1.tar"
    store.delete([name])
    with pytest.raises(Stopped, match=f"{name.replace('+', '.')}: committed, but gone"):
        embedded(store, options)


def test_other_weights_are_refused_under_the_same_name(store: Store, options: Embed) -> None:
    embedded(store, options)
    record = checked_json.loads(store.read(path := f"embed/{folders.model_folder(options)}.json"))
    store.write(path, checked_json.dumps(record | {"weights_sha256": "0" * 64}))
    store.delete([f"embed/{folders.model_folder(options)}/{SLICES[0]}.json"])
    with pytest.raises(BadOption, match=f"{path}.* weights_sha256 was 0000.*to embed anew"):
        embedded(store, options)


def test_record_and_columns_name_the_model(store: Store, options: Embed) -> None:
    _, vectors = tables(store, embedded(store, options)[SLICES[0]])
    (record,) = model_record.read_records(store).values()
    (sentence,) = model_record.model_sentences(store)
    assert f"tiny (weights) in fp32: sha256 of the weights {record.weights_sha256}" in sentence
    metadata = vectors.schema.field("text_embedding").metadata
    for name, value in record.to_json().items():
        assert metadata[f"model.{name}".encode()] == str(value).encode()


def test_each_model_has_a_folder_of_its_own(
    store: Store, options: Embed, tmp_path: Path, random_model: RandomModel
) -> None:
    other = Embed.model_validate(random_model(tmp_path, CONFIG, seed=1) | COMPUTED)
    first, second = embedded(store, options), embedded(store, other)
    assert set(first[SLICES[0]].files).isdisjoint(second[SLICES[0]].files)
    assert contents(first) != contents(second)


def test_a_recipe_without_a_model_is_refused(store: Store) -> None:
    without = Recipe.model_validate({"input": {"path": "pairs.parquet"}})
    with pytest.raises(BadOption, match="embed: missing"):
        list(embed.run(without, store, open_engine("serial"), SLICES))
