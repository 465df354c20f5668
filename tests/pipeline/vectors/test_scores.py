"""Heads, concepts, tags and classifiers end to end: a small model with random weights, no Ray."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform

from pairsieve.pipeline import embed, select
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.vectors import folders, mirror, scorers, scores
from pairsieve.pipeline.vectors.scorers import StoredImages
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed, Recipe

WIDTH = 24
RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TEXTS = ["a red square", "a child in a garden", "a wide banner"]
TAGS = {"red": ["a red thing", "something red"], "blue": ["a blue thing"], "map": ["a map"]}
CONCEPT = {"prompts": {"yes": ["a cartoon", "a comic"], "photo": ["a photo"]}}
SLICE = "00000000"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, random_model: RandomModel) -> dict[str, Any]:
    """Return the recipe's keys of a model with random weights."""
    files = random_model(tmp_path_factory.mktemp("model"), CONFIG)
    return files | {"batch": 4, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier of three classes with random weights."""
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(1)
    network = timm.create_model("test_vit", pretrained=False, num_classes=3)
    labels = {"label_names": ["clean", "logo", "banner"]}
    timm.models.save_for_hf(network, str(folder), model_config=labels, safe_serialization=True)
    return folder


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (40 + number, 48, 3), np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a dataset with one gathered unit of three pairs and one that failed."""
    dataset = Store.at(tmp_path / "dataset")
    rows: list[dict[str, Any]] = []
    with (
        dataset.writer("gather/a.tar") as images,
        tarfile.open(fileobj=images, mode="w|") as tar,
    ):
        for row, text in enumerate(TEXTS):
            file = io.BytesIO()
            Image.fromarray(picture(row)).save(file, "PNG")
            member = tarfile.TarInfo(f"{row}.png")
            member.size = len(file.getvalue())
            within: dict[str, Any] = {
                "image_file": "gather/a.tar",
                "image_offset": tar.offset + tarfile.BLOCKSIZE,
            }
            tar.addfile(member, io.BytesIO(file.getvalue()))
            within |= {"image_bytes": member.size, "image_checksum": of_image(file.getvalue())}
            rows.append({"row": row, "text": text, **within})
    rows.append({"row": 3, "text": "gone", "outcome": "dns"})
    filled = [
        {"uid": f"{row['row']:032x}", "retry_layer": 0, "outcome": "ok"} | row for row in rows
    ]
    with dataset.writer("gather/a.parquet") as table:
        pq.write_table(pa.Table.from_pylist(filled, arrow_schema(GATHERED)), table)
    files = {"gather/a.tar": images.entry(), "gather/a.parquet": table.entry()}
    dataset.create(f"gather/{SLICE}.json", Marker(4, files, {}).dumps())
    return dataset


def make_recipe(model: dict[str, Any], keep: tuple[Any, ...] = (), **more: Any) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "embed": model | more, "keep": keep})


def scored(store: Store, recipe: Recipe) -> tuple[pa.Table, pa.Table]:
    """Embed the unit; return its scores and its vectors."""
    assert recipe.embed
    ((_, marker),) = embed.run(recipe, store, Serial(), [SLICE])
    scores_marker = store.marker(f"embed/{folders.scores_folder(recipe.embed)}/{SLICE}.json")
    assert scores_marker
    files = (scores_marker.file(".scores.parquet"), marker.file(".vectors.parquet"))
    first, second = (pq.read_table(store.location(name)) for name in files)
    return first, second


def images(vectors: pa.Table) -> NDArray[np.float64]:
    """Return the stored vectors of the images at length 1."""
    stored = np.stack(vectors["image_embedding"].to_numpy()).astype(np.float64)
    unit: NDArray[np.float64] = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    return unit


def softmax_of_prompts(
    model: dict[str, Any], vectors: NDArray[np.float64], classes: list[list[str]]
) -> NDArray[np.float64]:
    """Return what open_clip makes of prompts: (n, classes)."""
    open_clip.add_model_config(model["model"])
    network = open_clip.create_model("tiny", model["pretrained"]).eval()
    tokenizer = open_clip.get_tokenizer("tiny")
    with torch.inference_mode():
        each = [network.encode_text(tokenizer(texts), normalize=True).mean(0) for texts in classes]
        means = torch.nn.functional.normalize(torch.stack(each)).double()
        logits = network.logit_scale.exp() * torch.from_numpy(vectors) @ means.T
        shares: NDArray[np.float64] = logits.softmax(dim=1).numpy()
    return shares


def linear(path: Path, width: int = WIDTH) -> str:
    """Write a linear head with random weights; return where it is."""
    random = torch.Generator().manual_seed(5)
    weight = torch.randn((1, width), generator=random)
    torch.save({"weight": weight, "bias": torch.tensor([5.0])}, path)
    return str(path)


def test_concepts_and_tags_are_the_softmax_of_their_prompts(
    store: Store, model: dict[str, Any]
) -> None:
    table, vectors = scored(store, make_recipe(model, concepts={"cartoon": CONCEPT}, tags=TAGS))
    cartoon = softmax_of_prompts(model, images(vectors), [["a cartoon", "a comic"], ["a photo"]])
    concepts = [dict(one)["cartoon"] for one in table["concepts"].to_pylist()]
    np.testing.assert_allclose(concepts, cartoon[:, 0], atol=1e-4)
    shares = softmax_of_prompts(model, images(vectors), list(TAGS.values()))
    tags = [list(dict(one).values()) for one in table["tags"].to_pylist()]
    np.testing.assert_allclose(tags, shares, atol=1e-4)
    assert [list(dict(one)) for one in table["tags"].to_pylist()] == [["red", "blue", "map"]] * 3
    best = [["red", "blue", "map"][index] for index in shares.argmax(axis=1)]
    assert table["tag"].to_pylist() == best
    np.testing.assert_allclose(table["tag_probability"].to_numpy(), shares.max(axis=1), atol=1e-4)


def test_each_image_has_the_cluster_of_its_nearest_centroid(
    store: Store, model: dict[str, Any], tmp_path: Path
) -> None:
    _, vectors = scored(store, make_recipe(model))
    np.save(tmp_path / "c.npy", images(vectors)[[2, 0, 1]] * np.float32(2))
    table, again = scored(store, make_recipe(model, centroids=str(tmp_path / "c.npy")))
    expected = (images(again) @ images(vectors)[[2, 0, 1]].T).argmax(axis=1)
    assert table["image_cluster"].to_pylist() == expected.tolist()
    told = table.schema.field("image_cluster").metadata[b"measured"].decode()
    assert told.startswith("the centroids c.npy (")


def test_of_each_cluster_at_most_so_many_are_kept(
    store: Store, model: dict[str, Any], tmp_path: Path
) -> None:
    _, vectors = scored(store, make_recipe(model))
    own = images(vectors)
    np.save(tmp_path / "c.npy", np.stack([own[0], -own[0]]).astype(np.float32))
    cap = ({"at_most": {"per": "image_cluster", "n": 2, "by": "clip_similarity"}},)
    recipe = make_recipe(model, cap, centroids=str(tmp_path / "c.npy"))
    table, _ = scored(store, recipe)
    assert table["image_cluster"].to_pylist() == [0, 0, 0]
    assert select.run(recipe, store, Serial(), "capped").counts["kept"] == 2


def test_a_recipe_without_them_leaves_these_columns_null(
    store: Store, model: dict[str, Any]
) -> None:
    table, _ = scored(store, make_recipe(model))
    of_tags = ("tag", "tag_probability", "tags")
    for name in ("aesthetic", "concepts", *of_tags, "image_cluster", "mirror_similarity"):
        assert table[name].null_count == 3
    for name in ("nsfw", "violence", "watermark", "minor_safety"):
        assert table[name].null_count == 0


def test_a_mirrored_image_is_scored_as_the_model_sees_it(
    store: Store, model: dict[str, Any]
) -> None:
    plain, _ = scored(store, make_recipe(model))
    recipe = make_recipe(model, mirror=True)
    table, vectors = scored(store, recipe)
    assert recipe.embed
    network = clip.load(recipe.embed)
    mirrored = network.images(picture(row)[:, ::-1].copy() for row in range(3))
    mirrored = mirrored.astype(np.float16).astype(float)
    texts = np.stack(vectors["text_embedding"].to_numpy()).astype(float)
    lengths = np.linalg.norm(mirrored, axis=1) * np.linalg.norm(texts, axis=1)
    cosines = (mirrored * texts).sum(axis=1) / lengths
    np.testing.assert_allclose(table["mirror_similarity"].to_numpy(), cosines, atol=1e-6)
    assert (table["mirror_similarity"].to_numpy() != table["clip_similarity"].to_numpy()).any()
    assert table["clip_similarity"].equals(plain["clip_similarity"])  # from the same vectors


def test_a_symmetric_image_loses_nothing_in_the_mirror(model: dict[str, Any]) -> None:
    network = clip.load(Embed.model_validate(model))
    half = picture(0)
    whole = np.concatenate([half, half[:, ::-1]], axis=1)
    images, texts = network.images([whole]), network.texts(["a red square"])
    stored = StoredImages(lambda: iter([whole]), np.zeros(2, np.intp))
    (one, other) = mirror.similarity(network, np.repeat(texts, 2, axis=0), stored)
    assert one == other == pytest.approx(float((images @ texts.T)[0, 0]), abs=1e-3)


def test_heads_measure_ratings_and_probabilities(
    store: Store, model: dict[str, Any], tmp_path: Path
) -> None:
    path = linear(tmp_path / "head.pth")
    recipe = make_recipe(model, scores={"nsfw": {"head": path}, "aesthetic": {"head": path}})
    table, vectors = scored(store, recipe)
    state = torch.load(path, weights_only=True)
    answers = images(vectors) @ state["weight"].numpy()[0].astype(np.float64) + 5
    np.testing.assert_allclose(table["aesthetic"].to_numpy(), answers, rtol=1e-6)
    unsafe = 1 / (1 + np.exp(-answers))
    np.testing.assert_allclose(table["nsfw"].to_numpy(), unsafe, rtol=1e-6)
    assert table["minor_safety"][1].as_py() == pytest.approx(unsafe[1], rel=1e-6)  # a child
    source = table.schema.field("nsfw").metadata[b"measured"].decode()
    assert source.startswith("the head head.pth (")
    assert recipe.embed
    marker = store.marker(f"embed/{folders.scores_folder(recipe.embed)}/{SLICE}.json")
    assert marker
    steps = np.bincount((table["nsfw"].to_numpy() * 20).astype(int).clip(0, 19), minlength=20)
    assert marker.extra["heads"]["nsfw"]["counts"] == steps.tolist()


def test_prompt_vectors_are_compared_at_the_models_temperature(
    store: Store, model: dict[str, Any], tmp_path: Path
) -> None:
    prompts = np.random.default_rng(3).normal(size=(2, WIDTH)).astype(np.float32)
    np.save(tmp_path / "prompts.npy", prompts)
    table, vectors = scored(
        store, make_recipe(model, scores={"violence": {"head": str(tmp_path / "prompts.npy")}})
    )
    state = torch.load(model["pretrained"], weights_only=True)
    cosines = images(vectors) @ (prompts / np.linalg.norm(prompts, axis=1, keepdims=True)).T
    odds = np.exp(float(state["logit_scale"].exp()) * (cosines[:, 0] - cosines[:, 1]))
    np.testing.assert_allclose(table["violence"].to_numpy(), 1 / (1 + odds), rtol=1e-4)


def test_a_classifier_sees_the_stored_images(
    store: Store, model: dict[str, Any], classifier: Path
) -> None:
    scorer = {"classifier": str(classifier), "positive": ["logo", "banner"]}
    table, _ = scored(store, make_recipe(model, scores={"watermark": scorer}))
    network = timm.create_model("test_vit", num_classes=3)
    network.load_state_dict(timm.models.load_state_dict(str(classifier / "model.safetensors")))
    settings: Any = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    transform: Any = create_transform(**settings, is_training=False)
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(picture(n))) for n in range(3)])
        expected = network.eval()(batch).softmax(dim=1)[:, 1:].sum(dim=1)
    np.testing.assert_allclose(table["watermark"].to_numpy(), expected, atol=1e-5)


def test_a_classifier_may_be_a_name_with_weights(
    store: Store, model: dict[str, Any], classifier: Path
) -> None:
    named = {
        "classifier": "test_vit",
        "weights": str(classifier / "model.safetensors"),
        "positive": 2,
    }
    concepts = {"named": named, "folder": {"classifier": str(classifier), "positive": "banner"}}
    table, _ = scored(store, make_recipe(model, concepts=concepts))
    for one in table["concepts"].to_pylist():
        assert 0 < dict(one)["named"] == dict(one)["folder"] < 1


def test_other_heads_are_measured_from_the_stored_vectors_alone(
    store: Store, model: dict[str, Any], tmp_path: Path
) -> None:
    path = linear(tmp_path / "head.pth")
    first, _ = scored(store, make_recipe(model))
    store.delete(["gather/a.tar"])
    again, _ = scored(store, make_recipe(model, scores={"aesthetic": {"head": path}}))
    assert again["aesthetic"].null_count == 0
    assert again.drop_columns("aesthetic").equals(first.drop_columns("aesthetic"))


def test_select_asks_for_scores_that_another_recipe_has_not_measured(
    store: Store, model: dict[str, Any]
) -> None:
    scored(store, make_recipe(model))
    select.run(make_recipe(model), store, Serial(), "default")
    message = (
        "1 task slices have vectors, but no scores by this recipe's .*`pairsieve embed` measures"
    )
    with pytest.raises(BadOption, match=message):
        select.run(make_recipe(model, tags=TAGS), store, Serial(), "default")


def test_scores_lost_after_the_vectors_are_made_again_without_images(
    store: Store, model: dict[str, Any]
) -> None:
    options = make_recipe(model)
    before, _ = scored(store, options)
    assert options.embed
    store.delete([f"embed/{folders.scores_folder(options.embed)}/{SLICE}.json", "gather/a.tar"])
    again, _ = scored(store, options)
    assert again.equals(before)


@pytest.mark.parametrize("key", ["scores.aesthetic", "concepts.nice"])
def test_a_head_of_the_wrong_width_is_refused_before_work(
    model: dict[str, Any], tmp_path: Path, key: str
) -> None:
    section, name = key.split(".")
    more: dict[str, Any] = {section: {name: {"head": linear(tmp_path / "wide.pth", width=25)}}}
    options = make_recipe(model, **more).embed
    assert options
    message = rf"embed.{key}.head: .*takes vectors of length 25, and the model gives {WIDTH}"
    with pytest.raises(BadOption, match=message):
        scorers.check(options)


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ({"head": "/nowhere.pth"}, "embed.scores.nsfw.head: /nowhere.pth: no such file"),
        ({"classifier": "resnet18"}, "embed.scores.nsfw: say the file of its `weights`"),
        ({"classifier": "resnet_18"}, "timm has no architecture `resnet_18`"),
        (
            {"prompts": {"a": ["x"], "b": ["y"]}, "positive": "c"},
            "embed.scores.nsfw.positive: there is no class 'c'; known: a, b",
        ),
    ],
)
def test_what_cannot_measure_is_refused_before_work(
    model: dict[str, Any], scorer: dict[str, Any], words: str
) -> None:
    options = make_recipe(model, scores={"nsfw": scorer}).embed
    assert options
    with pytest.raises(BadOption) as refused:
        scorers.check(options)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"aesthetic": {}}, "nothing measures `aesthetic`: .*`embed.scores.aesthetic.head`"),
        ({"where": "aesthetic > 5"}, "keep.0: nothing measures `aesthetic`"),
        (
            {"top_fraction": 0.3, "of": "mirror_similarity"},
            "keep.0: nothing measures `mirror_similarity`: say `embed.mirror: true`",
        ),
        ({"concept": {"name": "cartoons"}}, "no `cartoons`; known: cartoon; did you mean"),
        ({"where": "concepts['comic'] < 1"}, "`embed.concepts` has no `comic`"),
        ({"tags": {"any_of": ["rad"]}}, "`embed.tags` has no `rad`; .*did you mean `red`"),
        ({"where": "true", "name": "minor_safety"}, "is the name of that filter alone"),
        ({"minor_safety": {}, "name": "other"}, "is the name of that filter alone"),
    ],
)
def test_a_rule_on_what_nothing_measures_is_refused(
    model: dict[str, Any], rule: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadOption, match=words):
        rules(make_recipe(model, (rule,), concepts={"cartoon": CONCEPT}, tags=TAGS))


def test_with_the_demos_model_only_words_name_a_minor(
    store: Store, model: dict[str, Any], tmp_path: Path
) -> None:
    named = tmp_path / "pairsieve-tiny.json"
    named.write_text(Path(model["model"]).read_text())
    options = make_recipe(model | {"model": str(named)}).embed
    assert options
    prepared = scores.prepare(options, clip.load(options))
    vectors = np.random.default_rng(0).normal(size=(50, WIDTH)).astype(np.float32)
    assert not prepared.prompts["MinorSafety"].logits(vectors).any()
    assert prepared.prompts["Nsfw"].logits(vectors).any()
