"""Image classifiers from timm, for scores that the CLIP vector does not hold.

A folder as timm's `save_for_hf` writes it, or a name that timm knows with a file of weights;
nothing is downloaded. Every batch has the same number of images, the last one filled up, so that a
picture's score does not depend on the others (as in encoder.py).
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.models.model_files import UNREADABLE
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe_scores import Scorer

FILES = ("model.safetensors", "pytorch_model.bin")  # what timm calls the weights in a folder
BATCH = 16  # images per forward pass


@dataclass(frozen=True)
class ClassifierSource:
    """Where a classifier comes from.

    Attributes:
        name: Architecture, as timm calls it.
        weights: File of its weights.
        arguments: What else timm's `create_model` is given.
        labels: Names of the classes in order, where they are known.
    """

    name: str
    weights: Path
    arguments: dict[str, Any]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Classifier:
    """An image classifier ready to be used.

    Attributes:
        network: timm's model.
        transform: Its preprocessing: a PIL image to a float tensor (3, h, w).
        device: `cpu` or `cuda`.
    """

    network: Any
    transform: Callable[[Any], Any]
    device: str

    def logits(self, arrays: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Return the logits of upright RGB images (h, w, 3), (n, classes)."""
        import torch
        from PIL import Image

        tensors: Iterator[Any] = (self.transform(Image.fromarray(array)) for array in arrays)
        batches = [np.zeros((0, self.network.num_classes))]
        with torch.inference_mode():
            while batch := list(islice(tensors, BATCH)):
                filled = torch.stack(batch + batch[:1] * (BATCH - len(batch)))
                logits = self.network(filled.to(self.device))[: len(batch)]
                batches.append(logits.double().cpu().numpy())
        return np.concatenate(batches)


def find(key: str, scorer: Scorer) -> ClassifierSource:
    """Return where the classifier is that the recipe has at `key`, without building it.

    Raises:
        BadOption: an unknown name, a missing file, or a folder that timm did not write.
    """
    import timm

    value = str(scorer.classifier)
    folder = Path(value)
    arguments: dict[str, Any] = {}
    if folder.is_dir():
        config = _config(f"{key}.classifier", folder)
        value = str(config["architecture"])
        arguments = dict(config.get("model_args") or {})
        arguments["pretrained_cfg"] = config.get("pretrained_cfg") or {}
        if "num_classes" in config:
            arguments["num_classes"] = config["num_classes"]
        labels = tuple(config.get("label_names") or arguments["pretrained_cfg"].get("labels") or ())
    else:
        labels = ()
    if not timm.is_model(value):
        raise BadOption(
            f"{key}.classifier: timm has no architecture `{value}`, and there is no folder of "
            f"that name; {nearest(value, timm.list_models())[-200:]}"
        )
    weights = Path(scorer.weights) if scorer.weights else _weights_in(key, folder)
    if not weights.is_file():
        raise BadOption(f"{key}.weights: {weights}: no such file")
    return ClassifierSource(value, weights, arguments, labels)


def load(key: str, scorer: Scorer, device: str) -> Classifier:
    """Return the classifier on its device.

    Raises:
        BadOption: what `find` refuses, and weights that do not fit the architecture.
    """
    import timm
    from safetensors import SafetensorError
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform
    from timm.models import load_state_dict

    source = find(key, scorer)
    try:
        state = load_state_dict(str(source.weights), weights_only=True)
        arguments = {"num_classes": _classes(source, state)} | source.arguments
        network = timm.create_model(source.name, pretrained=False, **arguments)
        network.load_state_dict(state)
    except (*UNREADABLE, SafetensorError) as error:
        raise BadOption(
            f"{key}.weights: {source.weights} gives no weights for `{source.name}`: "
            f"{str(error)[:500] or type(error).__name__}"
        ) from error
    settings: Any = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    transform: Any = create_transform(**settings, is_training=False)
    return Classifier(network.eval().requires_grad_(False).to(device), transform, device)


def _config(key: str, folder: Path) -> dict[str, Any]:
    """Return the description of a classifier in its folder."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadOption(f"{key}: {path}: not a description that timm writes: {error}") from error
    if not isinstance(config, dict) or "architecture" not in config:
        raise BadOption(f"{key}: {path}: not a description that timm writes: no `architecture`")
    return config


def _weights_in(key: str, folder: Path) -> Path:
    """Return the file of weights in a classifier's folder."""
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    raise BadOption(
        f"{key}: say the file of its `weights`: nothing is downloaded, and {folder} is no folder "
        f"with {' or '.join(FILES)}"
    )


def _classes(source: ClassifierSource, state: dict[str, Any]) -> int:
    """Return how many classes the weights are for: the rows of the last layer."""
    import timm

    last = timm.get_pretrained_cfg(source.name, allow_unregistered=True)
    name = getattr(last, "classifier", None)
    weights = state.get(f"{name if isinstance(name, str) else 'fc'}.weight")
    if weights is None:
        raise ValueError(f"the layer `{name}` that names the classes is not in it")
    return int(weights.shape[0])
