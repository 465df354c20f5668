"""The CLIP model: images and texts in, vectors of length 1 out.

A row's vector must not depend on what else is in its batch, or a unit cut in two after a crash
would give other bytes. So every batch has the same number of rows, the last one filled up.
Measured: ViT-B/32 on CPU, batches of 16: the same bits in any order, any company, with 1 to 8
threads; batches of 1 to 7 give other bits (1.8e-7), also after rounding to float16.
"""

import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.pretrained import Source, fetch_command, find
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

CONTEXT_LENGTH = 77  # tokens; CLIP's own, for tokenizers that do not say
CHARS_PER_TOKEN = 32  # no token of CLIP's vocabulary is longer; keeps hostile texts cheap
WORDS_REMEMBERED = 200_000  # by open_clip's tokenizer, whose memory has no bound of its own


@dataclass(frozen=True)
class Model:
    """A CLIP model ready to embed.

    Attributes:
        network: open_clip's model.
        transform: Its preprocessing: a PIL image to a float tensor (3, h, w).
        tokenize: Its tokenizer: a text to token ids, (context length,).
        device: `cpu` or `cuda`.
        batch: Rows per forward pass.
        dimensions: Length of a vector.
        logit_scale: What cosines are multiplied by before a softmax: the inverse temperature.
        logit_bias: What SigLIP adds after that; 0 for models without one.
        weights: SHA-256 of the weights, hex.
        settings: SHA-256 of architecture, preprocessing and tokenizer, hex.
    """

    network: Any
    transform: Callable[[Any], Any]
    tokenize: Callable[[str], Any]
    device: str
    batch: int
    dimensions: int
    logit_scale: float
    logit_bias: float
    weights: str
    settings: str

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for all that shapes a vector."""
        return hashlib.sha256((self.weights + self.settings).encode()).hexdigest()[:16]

    def images(self, arrays: Iterable[NDArray[np.uint8]]) -> Vectors:
        """Return the vectors of upright RGB images (h, w, 3), (n, d), each of length 1.

        Images are taken one by one; what is held of a batch is the preprocessed ones.
        """
        from PIL import Image

        tensors = (self.transform(Image.fromarray(array)) for array in arrays)
        return self._vectors(self.network.encode_image, tensors)

    def texts(self, texts: Iterable[str]) -> Vectors:
        """Return the vectors of texts, (n, d), each of length 1."""
        return self._vectors(self.network.encode_text, map(self.tokenize, texts))

    def classes(self, prompts: dict[str, tuple[str, ...]]) -> Vectors:
        """Return a vector per class, (classes, d), of length 1: the mean of its prompts' vectors.

        Source: CLIP (arXiv:2103.00020), section 3.1.4.
        """
        means = [self.texts(texts).mean(axis=0) for texts in prompts.values()]
        return np.stack([mean / np.linalg.norm(mean) for mean in means]).astype(np.float32)

    def _vectors(self, encode: Callable[..., Any], rows: Iterator[Any]) -> Vectors:
        """Return what `encode` makes of tensors, in batches that all have the same size."""
        import torch

        made = [np.zeros((0, self.dimensions), np.float32)]
        with torch.inference_mode():
            while some := list(islice(rows, self.batch)):
                filled = torch.stack(some + some[:1] * (self.batch - len(some)))
                vectors = encode(filled.to(self.device), normalize=True)[: len(some)]
                made.append(vectors.float().cpu().numpy())
        if not all(np.isfinite(part).all() for part in made):
            raise BadOption("embed: the model gives vectors that are not numbers: broken weights")
        return np.concatenate(made)


def check(options: Embed) -> None:
    """Refuse a model that cannot be had, without building it.

    Raises:
        BadOption: an unknown model or tag, a missing or corrupt file, weights not downloaded.
    """
    find(options)


def load(options: Embed) -> Model:
    """Return the model on its device.

    Raises:
        BadOption: what `check` refuses, and weights that do not fit the model.
    """
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    source = find(options)
    torch.set_num_threads(_cpus())  # Ray tells its workers to use one
    name = _registered(source) if source.local else source.name
    network = _network(options, source, name)
    tokenizer = _tokenizer(options, name)
    preprocess = network.visual.preprocess_cfg
    settings = [source.config, source.quick_gelu, preprocess, type(tokenizer).__name__]
    bias = getattr(network, "logit_bias", None)
    device = _device(options)
    return Model(
        network=network.to(device),
        transform=image_transform_v2(PreprocessCfg(**preprocess), is_train=False),
        tokenize=_bounded(tokenizer),
        device=device,
        batch=options.batch,
        dimensions=int(source.config["embed_dim"]),
        logit_scale=float(network.logit_scale.detach().exp()),
        logit_bias=0.0 if bias is None else float(bias.detach()),
        weights=_sha256(network.state_dict()),
        settings=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    )


def _device(options: Embed) -> str:
    """Return where the model is to run: `cpu` or `cuda`."""
    import torch

    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise BadOption("embed.device: `cuda`, but PyTorch finds no GPU here; say `auto` or `cpu`")
    return "cuda" if available and options.device != "cpu" else "cpu"


def _network(options: Embed, source: Source, name: str) -> Any:
    """Return open_clip's model in single precision, weights loaded, ready to infer."""
    import open_clip
    from safetensors import SafetensorError

    try:
        network = open_clip.create_model(
            name,
            pretrained=str(source.weights),
            force_quick_gelu=source.quick_gelu,
            force_preprocess_cfg=source.preprocess,
            weights_only=True,
        )
    except (
        *(OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError),
        *(AssertionError, StopIteration, pickle.UnpicklingError, SafetensorError),
    ) as error:
        raise BadOption(
            f"embed.pretrained: {options.pretrained} gives no weights for `{source.name}`: "
            f"{str(error)[:500] or type(error).__name__}"
        ) from error
    return network.eval().requires_grad_(False)


def _tokenizer(options: Embed, name: str) -> Callable[..., Any]:
    """Return the tokenizer of the model's own config."""
    import open_clip

    try:
        tokenizer: Callable[..., Any] = open_clip.get_tokenizer(name)
    except (OSError, ValueError, ImportError) as error:
        raise BadOption(
            f"embed.model: the tokenizer of `{options.model}` cannot be loaded: {error}; "
            f"this fetches it: {fetch_command(options)}"
        ) from error
    return tokenizer


def _bounded(tokenizer: Any) -> Callable[[str], Any]:
    """Return the tokenizer for one text, bounded in time and in memory.

    White space is collapsed, as open_clip's tokenizers do themselves, and what lies beyond the
    tokens that the model reads is left off: byte-pair encoding one endless word takes its length
    squared. The words that open_clip's tokenizer remembers are forgotten when they are many.
    """
    limit = CHARS_PER_TOKEN * (getattr(tokenizer, "context_length", None) or CONTEXT_LENGTH)
    words = getattr(tokenizer, "cache", {})
    special = dict(words)

    def tokenize(text: str) -> Any:
        if len(words) > WORDS_REMEMBERED:
            words.clear()
            words.update(special)
        return tokenizer([" ".join(text.split())[:limit]])[0]

    return tokenize


def _registered(source: Source) -> str:
    """Return a name by which open_clip now knows a config that is not its own.

    The name holds a hash of the config, so it hides no model of open_clip's or of another recipe.
    """
    import open_clip

    text = json.dumps(source.config, sort_keys=True)
    name = f"{source.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if name not in open_clip.list_models():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.json")
            path.write_text(text)
            open_clip.add_model_config(path)
    return name


def _sha256(state: dict[str, Any]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of the tensors, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _cpus() -> int:
    """Return the CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
