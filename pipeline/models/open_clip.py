"""open_clip's network with its weights; and whether they fit, checked without reading them.

Nothing is downloaded: the weights are a file, and what the text side takes from the Hugging Face
hub has been found in the cache, from whose folders it is read.
"""

import hashlib
import json
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pairsieve.pipeline.models.model_files import UNREADABLE
from pairsieve.pipeline.models.pretrained import ModelSource
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed


def load(options: Embed, source: ModelSource) -> Any:
    """Return open_clip's model in single precision, weights loaded, ready to infer.

    Raises:
        BadOption: the weights are damaged or of another model.
    """
    import open_clip
    from safetensors import SafetensorError

    try:
        network = open_clip.create_model(
            registered_name(source),
            pretrained=str(source.weights),
            force_quick_gelu=source.quick_gelu,
            force_preprocess_cfg=source.preprocess,
            weights_only=True,
        )
    except (*UNREADABLE, SafetensorError) as error:
        raise _unfit(options, source, error) from error
    return network.eval().requires_grad_(False)


def check(options: Embed, source: ModelSource) -> None:
    """Refuse weights whose names and shapes are not the network's; no tensor's content is read.

    Raises:
        BadOption: the weights are damaged or of another model.
    """
    import open_clip
    import torch
    from open_clip.factory import load_checkpoint
    from safetensors import SafetensorError

    try:
        with quiet(), torch.device("meta"):  # shapes without content
            network = open_clip.create_model(
                registered_name(source), load_weights=False, device="meta", pretrained_text=False
            )
    except NotImplementedError:  # an architecture that needs content while it is built
        return
    except UNREADABLE as error:
        raise BadOption(
            f"embed.model: `{source.name}` cannot be built: {str(error)[:500]}"
        ) from error
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            load_checkpoint(network, _shapes(source.weights, Path(folder)), device="meta")
    except (*UNREADABLE, SafetensorError) as error:
        raise _unfit(options, source, error) from error


def registered_name(source: ModelSource) -> str:
    """Return a name by which open_clip knows the source's config.

    The name holds a hash of the config, so it hides no model of open_clip's or of another recipe.
    """
    import open_clip

    if not source.local and not source.folders:
        return source.name
    text_side = source.config["text_cfg"] | source.folders
    text = json.dumps(source.config | {"text_cfg": text_side}, sort_keys=True)
    # By that word in a name open_clip would take a tokenizer that it downloads.
    stem = re.sub("siglip", "sig-lip", source.name, flags=re.IGNORECASE)
    name = f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if name not in open_clip.list_models():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.json")
            path.write_text(text)
            open_clip.add_model_config(path)
    return name


def _shapes(weights: Path, folder: Path) -> str:
    """Return a checkpoint from which PyTorch reads the shapes alone: of safetensors, the header."""
    import torch
    from safetensors import safe_open

    if weights.suffix != ".safetensors":
        return str(weights)
    with safe_open(weights, framework="np") as file:
        shapes = {
            name: torch.empty(file.get_slice(name).get_shape(), device="meta")
            for name in file.keys()  # noqa: SIM118 - not a dict
        }
    torch.save(shapes, folder / "shapes.pt")
    return str(folder / "shapes.pt")


def _unfit(options: Embed, source: ModelSource, error: Exception) -> BadOption:
    """Return the error that says which weights do not fit which model, and why."""
    return BadOption(
        f"embed.pretrained: {options.pretrained} gives no weights for `{source.name}`: "
        f"{str(error)[:500] or type(error).__name__}"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of libraries, upon which nobody can act, from being shown or logged."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
