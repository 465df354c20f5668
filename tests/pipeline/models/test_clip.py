import hashlib
import json
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch._dynamo.utils import counters

from pairsieve.pipeline.models.clip import check, load
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.models.encoder import TorchEncoder
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
TEXTS = ["a red square", "two blue discs on a striped ground", "ein Hund & eine Katze", "猫"] * 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of ours: tiny.json, tiny.safetensors and tiny.pt."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(0)
    state = open_clip.model.CLIP(**CONFIG).state_dict()
    save_file(state, folder / "tiny.safetensors")
    torch.save(state, folder / "tiny.pt")
    return folder


@pytest.fixture(scope="module")
def model(files: Path) -> ClipModel:
    return load(options(files))


def options(files: Path, weights: str = "tiny.safetensors", batch: int = 8) -> Embed:
    return Embed(
        model=str(files / "tiny.json"),
        pretrained=str(files / weights),
        batch=batch,
        device="cpu",
        precision="fp32",
    )


def images(count: int) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    shapes = [(60 + 7 * n, 90 - 3 * n, 3) for n in range(count)]
    return [random.integers(0, 256, shape, np.uint8) for shape in shapes]


@pytest.fixture(scope="module")
def reference(files: Path) -> tuple[Any, Any, Any]:
    """Return open_clip's own model, preprocessing and tokenizer for the same files."""
    open_clip.add_model_config(files / "tiny.json")
    network, _, transform = open_clip.create_model_and_transforms(
        "tiny", pretrained=str(files / "tiny.pt")
    )
    return network.eval(), transform, open_clip.get_tokenizer("tiny")


@pytest.mark.parametrize(
    ("pictures", "tolerance"),
    [
        (images(11), 1e-3),  # resizing is within 2 of 255
        ([array[:48, :48] for array in images(11)], 1e-6),  # nothing to resize
    ],
)
def test_image_vectors_are_open_clips(
    model: ClipModel,
    reference: tuple[Any, Any, Any],
    pictures: list[NDArray[np.uint8]],
    tolerance: float,
) -> None:
    network, transform, _ = reference
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(array)) for array in pictures])
        expected = network.encode_image(batch, normalize=True).numpy()
    np.testing.assert_allclose(model.images(pictures), expected, atol=tolerance)


def test_text_vectors_are_open_clips(model: ClipModel, reference: tuple[Any, Any, Any]) -> None:
    network, _, tokenizer = reference
    with torch.inference_mode():
        expected = network.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    np.testing.assert_allclose(model.texts(TEXTS), expected, atol=1e-6)


def test_knows_the_temperature_and_the_dimensions(model: ClipModel) -> None:
    assert model.logit_scale == pytest.approx(1 / 0.07, rel=1e-6)  # CLIP's initial temperature
    assert (model.logit_bias, model.dimensions) == (0, 24)


def test_a_row_does_not_depend_on_the_rows_beside_it(model: ClipModel) -> None:
    whole, alone = model.images(images(11)), [model.images([array]) for array in images(11)]
    assert whole.tobytes() == np.concatenate(alone).tobytes()
    assert model.texts(TEXTS[:1]).tobytes() == model.texts(TEXTS[::-1])[-1:].tobytes()


def test_preparing_ahead_of_a_gpu_or_in_the_threads_of_a_cpu_changes_nothing(
    model: ClipModel,
) -> None:
    ahead = replace(model, device="cuda")  # its encoders stay on the CPU
    assert np.array_equal(ahead.images(images(20)), model.images(images(20)))
    assert np.array_equal(ahead.texts(TEXTS), model.texts(TEXTS))


def test_no_rows_give_no_vectors(model: ClipModel) -> None:
    assert model.images([]).shape == model.texts([]).shape == (0, 24)


def test_a_class_is_the_normalised_mean_of_its_prompts(model: ClipModel) -> None:
    first, second = model.texts(["a dog", "a photo of a dog"])
    mean = (first + second) / 2
    classes = model.classes({"dog": ("a dog", "a photo of a dog"), "cat": ("a cat",)})
    np.testing.assert_allclose(classes[0], mean / np.sqrt((mean**2).sum()), atol=1e-6)
    np.testing.assert_allclose(classes[1], model.texts(["a cat"])[0], atol=1e-6)


def test_a_megabyte_of_text_costs_no_more_than_the_tokens_read(model: ClipModel) -> None:
    endless = "abcdefghij" * 100_000  # byte-pair encoding all of this would take days
    assert np.isfinite(model.texts([endless, " \n" * 500_000 + "a dog", "\0\u202e<b>"])).all()
    assert model.texts([" \n" * 500_000 + "a dog"]).tobytes() == model.texts(["a dog"]).tobytes()


def test_the_words_remembered_are_bounded(
    model: ClipModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["several words", "are forgotten", "<start_of_text> is remembered"]
    before = model.texts(texts)
    monkeypatch.setattr("pairsieve.pipeline.models.tokenizer.WORDS_REMEMBERED", 3)
    assert model.texts(texts).tobytes() == before.tobytes()


def test_fingerprints_stand_for_the_weights_whatever_the_container(
    files: Path, model: ClipModel
) -> None:
    other = load(options(files, "tiny.pt"))
    digest = hashlib.sha256()
    for name, tensor in sorted(torch.load(files / "tiny.pt").items()):
        digest.update(f"{name} torch.float32 {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    assert model.weights_sha256 == other.weights_sha256 == digest.hexdigest()
    assert model.fingerprint == other.fingerprint


def test_preprocessing_of_the_config_is_used_and_changes_the_fingerprint(
    files: Path, model: ClipModel
) -> None:
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
    published = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (files / "published.json").write_text(json.dumps(published))
    chosen = options(files).model_copy(update={"model": str(files / "published.json")})
    other = load(chosen)
    assert other.preprocess.mean == other.preprocess.std == (0.5, 0.5, 0.5)
    assert other.weights_sha256 == model.weights_sha256
    assert other.settings_sha256 != model.settings_sha256


def test_the_bias_of_a_siglip_kind_of_model_is_read(files: Path) -> None:
    config = CONFIG | {"init_logit_bias": -10.0}
    (files / "biased.json").write_text(json.dumps(config))
    torch.save(open_clip.model.CLIP(**config).state_dict(), files / "biased.pt")
    chosen = Embed(model=str(files / "biased.json"), pretrained=str(files / "biased.pt"))
    assert load(chosen).logit_bias == -10.0


@pytest.mark.parametrize(
    ("model", "pretrained", "words"),
    [
        ("ViT-B32", "openai", "no model `ViT-B32`.*did you mean `ViT-B-32`"),
        ("ViT-B-32", "openia", "no pretrained tag `openia`.*did you mean `openai`"),
        ("coca_base", "openai", "no pretrained tag `openai`.*name a checkpoint"),
        ("absent.json", "tiny.pt", "embed.model: .*absent.json: no such file"),
        ("tiny.json", "absent.pt", "embed.pretrained: .*absent.pt: no such file"),
        ("tiny.json", "openai", "'openai' is not the path of a checkpoint"),
        ("broken.json", "tiny.pt", "broken.json: not JSON"),
        ("other.json", "tiny.pt", "other.json: .*lacks embed_dim, vision_cfg, text_cfg"),
        ("tiny.json", "cut.safetensors", "cut.safetensors: corrupt"),
        ("tiny.json", "cut.pt", "cut.pt: not a checkpoint of PyTorch's, or cut short"),
        ("tiny.json", "text.bin", "text.bin: not a checkpoint of PyTorch's"),
        ("wide.json", "tiny.pt", "(?s)gives no weights for `wide`: .*size mismatch"),
        ("wide.json", "tiny.safetensors", "(?s)gives no weights for `wide`: .*size mismatch"),
        ("deep.json", "tiny.safetensors", "(?s)gives no weights for `deep`: .*Missing key"),
        ("odd.json", "tiny.pt", "`odd` cannot be built: .*unexpected keyword argument 'colour'"),
        ("tiny.json", "code.pt", "code.pt gives no weights"),
        ("tiny.json", "few.safetensors", "(?s)few.safetensors gives no weights .*Missing key"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(
    files: Path, model: str, pretrained: str, words: str
) -> None:
    (files / "broken.json").write_text("{")
    (files / "other.json").write_text("[]")
    (files / "text.bin").write_text("<html>")
    (files / "wide.json").write_text(json.dumps(CONFIG | {"embed_dim": 32}))
    deep = CONFIG["text_cfg"] | {"layers": 3}
    (files / "deep.json").write_text(json.dumps(CONFIG | {"text_cfg": deep}))
    (files / "odd.json").write_text(json.dumps(CONFIG | {"colour": 1}))
    torch.save({"state_dict": Path("/")}, files / "code.pt")
    save_file({"logit_scale": torch.ones(())}, files / "few.safetensors")
    for name in ("tiny.safetensors", "tiny.pt"):
        path = files / name
        path.with_stem("cut").write_bytes(path.read_bytes()[:-1000])
    values = [str(files / value) if "." in value else value for value in (model, pretrained)]
    with pytest.raises(BadOption, match=words):
        check(Embed(model=values[0], pretrained=values[1]))


def test_weights_not_downloaded_are_refused_with_the_command_that_fetches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    command = "pairsieve fetch-model ViT-B-32 laion2b_s34b_b79k"
    with pytest.raises(BadOption, match=f"not downloaded; this fetches them: {command}$"):
        check(Embed(model="ViT-B-32", pretrained="laion2b_s34b_b79k"))


def test_weights_that_give_no_numbers_are_refused(files: Path) -> None:
    state = torch.load(files / "tiny.pt")
    state["visual.proj"][0, 0] = float("nan")
    torch.save(state, files / "nan.pt")
    with pytest.raises(BadOption, match="not numbers"):
        load(options(files, "nan.pt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(files: Path) -> None:
    with pytest.raises(BadOption, match="no GPU here"):
        load(options(files).model_copy(update={"device": "cuda"}))


@pytest.mark.skipif(not which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_model_gives_the_same_vectors(model: ClipModel, files: Path) -> None:
    compiled = load(options(files).model_copy(update={"compile": True}))
    counters["frames"].clear()
    assert np.allclose(compiled.images(images(11)), model.images(images(11)), atol=1e-6)
    assert not counters["frames"]  # compiled when it was loaded, for every batch


def test_a_model_that_cannot_be_compiled_here_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*arguments: Any) -> Any:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(
        TorchEncoder, "compile", lambda self: self.tower.compile(backend=no_compiler)
    )
    with pytest.raises(BadOption, match="compiled here: .*: no compiler found$"):
        load(options(files).model_copy(update={"compile": True}))
