"""The CLIP model: images and texts in, vectors of length 1 out.

Threads decode and resize pictures while others compute; batches are packed across images. A row's
vector must not depend on what else is in its batch, or a unit cut in two after a crash would give
other bytes: `encoders.py` sees to that.

On CPU as many threads as there are processors each prepare batches of their own and run the network
on them, so its bits do not depend on how many there are.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from pairsieve.pipeline.engine.ordered_threads import Meter, in_order
from pairsieve.pipeline.models import encoder as encoders
from pairsieve.pipeline.models import open_clip, precision
from pairsieve.pipeline.models.attention import replace_attention
from pairsieve.pipeline.models.encoder import Encoder
from pairsieve.pipeline.models.preprocess import Pixels, Preprocess, preprocess
from pairsieve.pipeline.models.pretrained import described, find
from pairsieve.pipeline.models.tokenizer import bounded, identity, tokenizer
from pairsieve.pipeline.models.towers import Towers, towers
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

CPU_BATCH = 16  # ViT-B/32 in bfloat16, CPU-ms per image: 25 in fours, 23 in sixteens
AHEAD = 2  # batches in hand for every one that is computed

Item = TypeVar("Item")


@dataclass(frozen=True)
class Model:
    """A CLIP model ready to embed.

    Attributes:
        image: Turns batches of preprocessed images into vectors.
        text: Turns batches of token ids into vectors.
        precision: Numbers it computes in: `fp32`, `bf16`, `fp16` or `int8`.
        preprocess: Turns a picture into what the model reads.
        tokenize: Its tokenizer: a text to token ids, (context length,).
        needed: How many of these say what the vector is.
        device: `cpu` or `cuda`.
        dimensions: Length of a vector.
        logit_scale: What cosines are multiplied by before a softmax: the inverse temperature.
        logit_bias: What SigLIP adds after that; 0 for models without one.
        weights: SHA-256 of the weights, hex.
        settings: SHA-256 of architecture, preprocessing and tokenizer, hex.
        meter: The time that threads have spent in the network.
    """

    image: Encoder
    text: Encoder
    precision: str
    preprocess: Preprocess
    tokenize: Callable[[str], Any]
    needed: Callable[[Any], int]
    device: str
    dimensions: int
    logit_scale: float
    logit_bias: float
    weights: str
    settings: str
    meter: Meter = field(default_factory=Meter)

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for all that shapes a vector."""
        return hashlib.sha256((self.weights + self.settings).encode()).hexdigest()[:16]

    @property
    def lanes(self) -> int:
        """Return how many batches are computed at once."""
        return encoders.GPU_LANES if self.device == "cuda" else _cpus()

    @property
    def busy_s(self) -> float:
        """Return how long the model has computed so far: the mean over the lanes, s."""
        return self.meter.spent_s / self.lanes

    def images(self, arrays: Iterable[Pixels]) -> Vectors:
        """Return the vectors of upright RGB images (h, w, 3), (n, d), each of length 1."""
        return self.pictures(arrays, lambda array: array)

    def pictures(self, items: Iterable[Item], decode: Callable[[Item], Pixels]) -> Vectors:
        """Return the vectors of what `decode` makes of the items, (n, d), each of length 1.

        Decoding and resizing happen in threads.
        """
        return self._vectors(self.image, items, lambda item: self.preprocess(decode(item)))

    def texts(self, texts: Iterable[str]) -> Vectors:
        """Return the vectors of texts, (n, d), each of length 1.

        Texts that need as many tokens are computed together.
        """
        rows = [self.tokenize(text) for text in texts]
        groups: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(self.needed(row), []).append(number)
        made = np.zeros((len(rows), self.dimensions), np.float32)
        for length, numbers in sorted(groups.items()):
            cut = (rows[number][:length] for number in numbers)
            made[numbers] = self._vectors(self.text, cut, lambda row: row)
        return made

    def classes(self, prompts: dict[str, tuple[str, ...]]) -> Vectors:
        """Return a vector per class, (classes, d), of length 1: the mean of its prompts' vectors.

        Source: CLIP (arXiv:2103.00020), section 3.1.4.
        """
        means = [self.texts(texts).mean(axis=0) for texts in prompts.values()]
        return np.stack([mean / np.linalg.norm(mean) for mean in means]).astype(np.float32)

    def _vectors(
        self, encoder: Encoder, items: Iterable[Item], prepare: Callable[[Item], Any]
    ) -> Vectors:
        """Return what `encoder` makes of the prepared items, in batches.

        For a GPU, threads prepare while it computes. On CPU a lane prepares its own batches: with
        more threads than processors, ViT-B/32 in bfloat16 took 2 % more CPU time.
        """
        made = [np.zeros((0, self.dimensions), np.float32)]
        with ThreadPoolExecutor(_cpus()) as preparing, ThreadPoolExecutor(self.lanes) as computing:
            waiting: Iterable[Any] = items
            left_to_do: Callable[[Any], Any] = prepare
            if self.device != "cpu":
                waiting = in_order(preparing, prepare, items, AHEAD * self.lanes * encoder.batch)
                left_to_do = _nothing
            compute = partial(self._computed, encoder, left_to_do)
            batches = _packed(iter(waiting), encoder.batch)
            made += in_order(computing, compute, batches, AHEAD * self.lanes)
        if not all(np.isfinite(part).all() for part in made):
            raise BadOption("embed: the model gives vectors that are not numbers: broken weights")
        return np.concatenate(made)

    def _computed(
        self, encoder: Encoder, prepare: Callable[[Item], Any], items: list[Item]
    ) -> Vectors:
        """Return the vectors of one batch; the encoder's time counts as the model's."""
        import torch

        batch = torch.stack([prepare(item) for item in items])
        with self.meter:
            return encoder(batch)


def _nothing(item: Item) -> Item:
    """Return what is ready as it is."""
    return item


def _packed(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one shorter."""
    while some := list(islice(items, size)):
        yield some


def check(options: Embed) -> None:
    """Refuse a model that cannot be had, without loading its weights.

    Raises:
        BadOption: an unknown model or tag, a missing or corrupt file, weights or tokenizer not
            downloaded, weights of another model, a precision that cannot be had.
    """
    precision.check(options)
    source = find(options)
    tokenizer(options, source)
    open_clip.check(options, source)


def load(options: Embed, recorded: str | None = None) -> Model:
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
    torch.set_num_threads(1)  # the lanes are what runs in parallel
    reader = tokenizer(options, source)
    loaded = open_clip.load(options, source)
    config = loaded.visual.preprocess_cfg
    settings = [described(source.config), source.quick_gelu, config, identity(reader)]
    bias = getattr(loaded, "logit_bias", None)
    weights = _sha256(loaded.state_dict())
    replace_attention(loaded)
    prepare, tokenize = preprocess(config), bounded(reader)
    both = towers(loaded, prepare, tokenize(""))
    unfinished = partial(
        Model,
        preprocess=prepare,
        tokenize=tokenize,
        needed=both.needed,
        device=device,
        dimensions=int(source.config["embed_dim"]),
        logit_scale=float(loaded.logit_scale.detach().exp()),
        logit_bias=0.0 if bias is None else float(bias.detach()),
        weights=weights,
        settings=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    )
    model = _at_a_precision(unfinished, both, options, recorded)
    if options.compile and isinstance(model.image, encoders.Torch):
        _compile(model, model.image)
    return model


def _compile(model: Model, image: encoders.Torch) -> None:
    """Compile the half that reads images; texts are a few per cent of the work, in many lengths.

    Raises:
        BadOption: it cannot be compiled here.
    """
    from torch._dynamo.exc import TorchDynamoException

    image.compile()
    try:
        model.images(precision.pictures())
    except TorchDynamoException as error:
        why = " ".join(str(error).partition("\n\n")[0].split())  # advice on debugging follows
        raise BadOption(f"embed.compile: the model cannot be compiled here: {why}") from error


def _at_a_precision(
    unfinished: Callable[..., Model], both: Towers, options: Embed, recorded: str | None
) -> Model:
    """Return the model with encoders: at the precision asked for, recorded, or chosen here."""

    def made(kind: str) -> Model:
        return unfinished(*_encoders(both, options, kind), kind)

    pictures = precision.pictures()

    def probed(model: Model) -> Vectors:
        return np.concatenate([model.images(pictures), model.texts(precision.TEXTS)])

    asked = options.precision if options.precision != "auto" else recorded or "auto"
    return precision.choose(asked, _device(options), made, probed)


def _encoders(both: Towers, options: Embed, kind: str) -> tuple[Encoder, Encoder]:
    """Return the encoders of images and texts at a precision.

    Raises:
        Unfit: the model or the device cannot be had at it.
    """
    device = _device(options)
    if kind == "int8":
        asked = {"precision": kind, "device": device, "compile": False}
        precision.check(options.model_copy(update=asked))
        return encoders.by_onnx(both)
    batch = CPU_BATCH if options.batch == "auto" else options.batch
    image, text = encoders.by_torch(both, precision.TYPES[kind], device, batch)
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


def _cpus() -> int:
    """Return the CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
