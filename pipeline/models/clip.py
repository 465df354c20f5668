"""Getting a CLIP model: checked in seconds before any work, loaded later where it computes.

Both ways begin alike (which files, which tokenizer), so what `check` lets pass `load` can load. The
precision is settled here too: the one of the recipe, the one recorded with earlier vectors, or the
one that this machine chooses.
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pairsieve.pipeline.models import builtin, open_clip, precision
from pairsieve.pipeline.models import encoder as encoders
from pairsieve.pipeline.models.attention import replace_attention
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.models.encoder import Encoder
from pairsieve.pipeline.models.model_files import hashed_config
from pairsieve.pipeline.models.preprocess import preprocess
from pairsieve.pipeline.models.pretrained import find
from pairsieve.pipeline.models.tokenizer import bounded, identity, tokenizer
from pairsieve.pipeline.models.towers import Towers, towers
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

CPU_BATCH = 16  # ViT-B/32 in bfloat16, CPU-ms per image: 25 in fours, 23 in sixteens


def check(options: Embed) -> None:
    """Refuse a model that cannot be had, without loading its weights.

    Files that came with pairsieve fit together, so they are not tried: that would import open_clip.

    Raises:
        BadOption: an unknown model or tag, a missing or corrupt file, weights or tokenizer not
            downloaded, weights of another model, a precision that cannot be had.
    """
    precision.check(options)
    source = find(options)
    if builtin.is_complete(options):
        return
    tokenizer(options, source)
    open_clip.check(options, source)


def load(options: Embed, recorded: str | None = None) -> ClipModel:
    """Return the model on its device.

    Args:
        options: Which model, and how it computes.
        recorded: The precision that `auto` took when the first vectors were made.

    Raises:
        BadOption: what `check` refuses, weights that give no numbers, and a model that cannot be
            compiled.
    """
    import torch

    precision.check(options)
    device = _device(options)
    source = find(options)
    torch.set_num_threads(1)  # batches run side by side instead
    if device == "cuda":
        encoders.share_gpu(options.num_gpus)
    text_tokenizer = tokenizer(options, source)
    network = open_clip.load(options, source)
    config = network.visual.preprocess_cfg
    settings = [hashed_config(source.config), source.quick_gelu, config, identity(text_tokenizer)]
    bias = getattr(network, "logit_bias", None)
    weights_sha256 = _sha256(network.state_dict())
    replace_attention(network)
    prepare, tokenize = preprocess(config), bounded(text_tokenizer)
    both = towers(network, prepare, tokenize(""))
    with_encoders = partial(
        ClipModel,
        preprocess=prepare,
        tokenize=tokenize,
        needed_tokens=both.needed_tokens,
        device=device,
        dimensions=int(source.config["embed_dim"]),
        logit_scale=float(network.logit_scale.detach().exp()),
        logit_bias=0.0 if bias is None else float(bias.detach()),
        weights_sha256=weights_sha256,
        settings_sha256=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    )
    model = _at_precision(with_encoders, both, options, recorded)
    if options.compile and isinstance(model.image, encoders.TorchEncoder):
        _compile(model, model.image)
    torch.cuda.empty_cache()  # what precisions that were tried have left; on CPU, nothing
    return model


def _compile(model: ClipModel, image: encoders.TorchEncoder) -> None:
    """Compile the half that reads images; texts are a few per cent of the work, in many lengths.

    Raises:
        BadOption: it cannot be compiled here.
    """
    from torch._dynamo.exc import TorchDynamoException

    image.compile()
    try:
        model.images(precision.probe_images())
    except TorchDynamoException as error:
        why = " ".join(str(error).partition("\n\n")[0].split())  # advice on debugging follows
        raise BadOption(f"embed.compile: the model cannot be compiled here: {why}") from error


def _at_precision(
    with_encoders: Callable[..., ClipModel], both: Towers, options: Embed, recorded: str | None
) -> ClipModel:
    """Return the model with encoders at the recipe's precision, the recorded or the chosen one."""

    def make(name: str) -> ClipModel:
        return with_encoders(*_encoders(both, options, name), name)

    images = precision.probe_images()

    def probe(model: ClipModel) -> Vectors:
        return np.concatenate([model.images(images), model.texts(precision.PROBE_TEXTS)])

    name = options.precision if options.precision != "auto" else recorded or "auto"
    return precision.choose(name, _device(options), make, probe)


def _encoders(both: Towers, options: Embed, name: str) -> tuple[Encoder, Encoder]:
    """Return the encoders of images and texts at the precision of that name.

    Raises:
        PrecisionUnavailable: the model or the device cannot be had at it.
    """
    device = _device(options)
    if name == "int8":
        int8 = {"precision": name, "device": device, "compile": False}
        precision.check(options.model_copy(update=int8))
        return encoders.onnx_encoders(both)
    batch = CPU_BATCH if options.batch == "auto" else options.batch
    image, text = encoders.torch_encoders(both, precision.TYPES[name], device, batch)
    if options.batch == "auto" and device == "cuda":
        image.batch = encoders.largest_batch(image, both.pixels, options.num_gpus)
        text.batch = image.batch
    return image, text


def _device(options: Embed) -> str:
    """Return where the model is to run: `cpu` or `cuda`."""
    import torch

    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise BadOption("embed.device: `cuda`, but PyTorch finds no GPU here; say `auto` or `cpu`")
    return "cuda" if available and options.device != "cpu" else "cpu"


def _sha256(state: dict[str, Any]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of the tensors, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().reshape(-1).view(np.uint8))
    return digest.hexdigest()
