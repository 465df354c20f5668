"""Small models of every kind that open_clip builds, with random weights, beside open_clip."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.repetition import LONG

from pairsieve.pipeline.models.clip import check, load
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

VISION: dict[str, Any] = {
    "image_size": 32,
    "layers": 2,
    "width": 32,
    "head_width": 16,
    "patch_size": 16,
}
TEXT: dict[str, Any] = {
    "context_length": 24,
    "vocab_size": 49408,
    "width": 32,
    "heads": 2,
    "layers": 2,
}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "image_size": 224, "timm_proj": "linear"}
FASTVIT = {"timm_model_name": "fastvit_t8", "image_size": 64, "timm_proj": "linear"}
TEXTS = ["a dog", "ein Hund an der Leine im Park", "一只狗", "the dog " * 40, ""] * 2
WORDS = ["a", "dog", "the", "ein", "hund", "park", "leine", "im", "an", "der"]

Made = tuple[Embed, dict[str, Any]]


def pictures(side: int) -> list[NDArray[np.uint8]]:
    """Return pictures that need no resizing, so that only the networks are compared."""
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (5, side, side, 3), np.uint8))


def write_model(folder: Path, **config: Any) -> Embed:
    """Write a model of that config with random weights; return the options that name it."""
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps({"model_cfg": {"embed_dim": 24} | config}))
    built = json.loads(json.dumps({"embed_dim": 24} | config))
    text = built["text_cfg"]
    for key in ("hf_model_name", "hf_tokenizer_name"):
        if key in text:
            text[key] = str(folder / text[key])
    (folder / "theirs.json").write_text(json.dumps(built))
    open_clip.add_model_config(folder / "theirs.json")
    torch.manual_seed(0)
    network = open_clip.create_model("theirs", pretrained_text=False)
    torch.save(network.state_dict(), folder / "weights.pt")
    return Embed(
        model=str(folder / "model.json"),
        pretrained=str(folder / "weights.pt"),
        device="cpu",
        precision="fp32",
        batch=4,
    )


def tokenizer_in(folder: Path, kind: str = "wordpiece") -> str:
    """Write a tokenizer of the package transformers into the folder."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {word: at for at, word in enumerate([*special, *WORDS])}
    if kind == "wordpiece":
        inner = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    else:
        scored_tokens = [(token, -float(number)) for token, number in vocabulary.items()]
        inner = Tokenizer(models.Unigram(scored_tokens, unk_id=3))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast: Any = PreTrainedTokenizerFast
    whole = fast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", cls_token="<s>", sep_token="</s>",
    )  # fmt: skip
    whole.save_pretrained(folder / "words")
    return "words"


def tower_in(folder: Path, kind: str) -> str:
    """Write the config of a text tower of the package transformers into the folder."""
    import transformers

    small: dict[str, Any] = {"vocab_size": 20, "pad_token_id": 1}
    layers: dict[str, Any] = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 40,
    }  # fmt: skip
    config: Any
    if kind == "m2m_100":
        ends: dict[str, Any] = {"d_model": 32, "max_position_embeddings": 40}
        half = {"layers": 2, "attention_heads": 2, "ffn_dim": 48}
        halves: dict[str, Any] = {
            f"{side}_{k}": v for side in ("encoder", "decoder") for k, v in half.items()
        }
        config = transformers.M2M100Config(**small, **ends, **halves)
    elif kind == "mt5":
        config = transformers.MT5Config(
            **small, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2
        )
    else:
        named = {"bert": transformers.BertConfig, "xlm-roberta": transformers.XLMRobertaConfig}
        config = named[kind](**small, **layers)
    config.save_pretrained(folder / "tower")
    return "tower"


def clip(folder: Path) -> Made:
    return write_model(folder, vision_cfg=VISION, text_cfg=TEXT), {}


def custom_text(folder: Path) -> Made:
    return write_model(folder, vision_cfg=VISION, text_cfg=TEXT, custom_text=True), {}


def end_token(folder: Path) -> Made:
    """Texts of which the token that ends them counts, not the one with the highest number."""
    text = TEXT | {"pool_type": "eos", "eos_id": 49407, "proj_bias": True}
    return write_model(folder, vision_cfg=VISION, text_cfg=text, custom_text=True), {}


def resnet(folder: Path) -> Made:
    vision: dict[str, Any] = {
        "image_size": 64,
        "layers": [1, 1, 1, 1],
        "width": 16,
        "patch_size": None,
    }
    return write_model(folder, vision_cfg=vision, text_cfg=TEXT, quick_gelu=True), {}


def siglip(folder: Path) -> Made:
    """SigLIP reads the last token of texts that attend in both directions, padding included."""
    text = TEXT | {
        "context_length": 16, "vocab_size": 20, "no_causal_mask": True, "pool_type": "last",
        "proj_bias": True, "hf_tokenizer_name": tokenizer_in(folder, "unigram"),
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }  # fmt: skip
    return write_model(
        folder, vision_cfg=TIMM, text_cfg=text, custom_text=True,
        init_logit_scale=2.3, init_logit_bias=-10.0,
    ), {"logit_bias": -10.0, "logit_scale": np.exp(2.3), "longest": 16}  # fmt: skip


def mean_of_tokens(folder: Path, tower: str) -> Made:
    text: dict[str, Any] = {
        "hf_model_name": tower_in(folder, tower),
        "hf_pooler_type": "mean_pooler",
    }
    text |= {"hf_tokenizer_name": tokenizer_in(folder, "unigram"), "context_length": 32}
    return write_model(folder, vision_cfg=VISION, text_cfg=text), {"longest": 32}


def first_token(folder: Path, tower: str) -> Made:
    text: dict[str, Any] = {
        "hf_model_name": tower_in(folder, tower),
        "hf_pooler_type": "cls_pooler",
    }
    text |= {"hf_tokenizer_name": tokenizer_in(folder), "hf_proj_type": "linear"}
    return write_model(folder, vision_cfg=VISION, text_cfg=text | {"context_length": 32}), {
        "longest": 32
    }


def multilingual(folder: Path) -> Made:
    return mean_of_tokens(folder, "xlm-roberta")


def nllb(folder: Path) -> Made:
    return first_token(folder, "m2m_100")


def mt5(folder: Path) -> Made:
    return mean_of_tokens(folder, "mt5")


def chinese(folder: Path) -> Made:
    """Chinese-CLIP has BERT and reads its first token."""
    return first_token(folder, "bert")


def mobileclip(folder: Path) -> Made:
    text = TEXT | {"no_causal_mask": True}
    return write_model(folder, vision_cfg=FASTVIT, text_cfg=text, custom_text=True), {}


def coca(folder: Path) -> Made:
    """CoCa adds a token of its own after the text's."""
    text = TEXT | {"embed_cls": True, "output_tokens": True}
    vision = VISION | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    decoder = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    return write_model(
        folder, vision_cfg=vision, text_cfg=text, multimodal_cfg=decoder, custom_text=True
    ), {}


FAMILIES = (
    clip, custom_text, end_token, resnet, siglip, multilingual, nllb, mt5, chinese, mobileclip,
    coca,
)  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_of_every_family_are_open_clips(
    tmp_path: Path, family: Callable[[Path], Made]
) -> None:
    options, known = family(tmp_path)
    check(options)
    model = load(options)
    theirs, _, transform = open_clip.create_model_and_transforms(
        "theirs", options.pretrained, pretrained_text=False
    )
    tokenize = open_clip.get_tokenizer("theirs")
    shown = pictures(model.preprocess.size[0])
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(array)) for array in shown])
        images = theirs.eval().encode_image(batch, normalize=True).numpy()
        texts = theirs.encode_text(tokenize(TEXTS), normalize=True).numpy()
    np.testing.assert_allclose(model.images(shown), images, atol=2e-6)
    np.testing.assert_allclose(model.texts(TEXTS), texts, atol=2e-6)
    assert model.logit_bias == known.get("logit_bias", 0)
    assert model.logit_scale == pytest.approx(known.get("logit_scale", 1 / 0.07), rel=1e-5)
    assert len(model.tokenize("a dog")) == known.get("longest", 24)


@pytest.fixture(scope="module", params=[clip, siglip, chinese, mobileclip])
def exact(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Embed, ClipModel]:
    """Return a model of a family in single precision, and its options."""
    options, _ = request.param(tmp_path_factory.mktemp("exact"))
    return options, load(options)


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.999), ("int8", 0.99)])
def test_other_precisions_are_close_whatever_the_company(
    exact: tuple[Embed, ClipModel], precision: str, least: float
) -> None:
    check_close(*exact, precision, least)


# How an older processor adds up does not depend on the network.
@pytest.mark.parametrize("family", (clip, siglip, chinese, mobileclip) if LONG else (clip, chinese))
def test_int8_is_close_on_an_older_processor(
    tmp_path: Path, family: Callable[[Path], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = family(tmp_path)
    single = load(options)
    monkeypatch.setattr("pairsieve.pipeline.models.encoder.sums_int8_exactly", lambda: False)
    check_close(options, single, "int8", 0.99)


def check_close(options: Embed, single: ClipModel, precision: str, least: float) -> None:
    """Compare a model's vectors in a precision with those in single precision, and alone."""
    model = load(options.model_copy(update={"precision": precision}))
    assert model.precision == precision
    shown = pictures(model.preprocess.size[0])
    assert np.sum(single.images(shown) * model.images(shown), axis=1).min() > least
    assert np.sum(single.texts(TEXTS) * model.texts(TEXTS), axis=1).min() > least
    assert model.images(shown)[::-1].tobytes() == model.images(shown[::-1]).tobytes()
    alone = np.concatenate([model.images([array]) for array in shown])
    assert alone.tobytes() == model.images(shown).tobytes()
    alone = np.concatenate([model.texts([text]) for text in TEXTS[:5]])
    assert alone.tobytes() == model.texts(TEXTS)[:5].tobytes()


@pytest.mark.parametrize("missing", ["tower", "words"])
def test_files_of_the_text_side_that_are_missing_are_refused_with_what_fetches_them(
    tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    options, _ = multilingual(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(BadOption, match=f"`{missing}`.* not downloaded; .*pairsieve fetch-model "):
        check(options)


def test_the_text_side_is_read_from_the_hugging_face_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, _ = chinese(tmp_path)
    for name in ("tower", "words"):
        repository = tmp_path / "cache" / f"models--some--{name}"
        (repository / "snapshots").mkdir(parents=True)
        (tmp_path / name).rename(repository / "snapshots" / "0123")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    config = (tmp_path / "model.json").read_text()
    config = config.replace('"tower"', '"some/tower"').replace('"words"', '"some/words"')
    (tmp_path / "model.json").write_text(config)
    check(options)
    assert load(options).texts(["a dog"]).shape == (1, 24)


def test_a_tokenizer_that_is_cut_short_is_refused_before_any_work(tmp_path: Path) -> None:
    options, _ = chinese(tmp_path)
    for file in (tmp_path / "words").iterdir():
        file.write_text(file.read_text()[:40])
    with pytest.raises(BadOption, match="tokenizer of .* cannot be loaded"):
        check(options)


def test_another_vocabulary_changes_the_fingerprint(tmp_path: Path) -> None:
    options, _ = chinese(tmp_path)
    before = load(options)
    path = tmp_path / "words" / "tokenizer.json"
    path.write_text(path.read_text().replace('"hund"', '"katze"'))
    after = load(options)
    assert before.weights_sha256 == after.weights_sha256
    assert before.settings_sha256 != after.settings_sha256
