"""Model files of the user's own: a config, a checkpoint; read, checked and fingerprinted.

They are checked before any work, as far as that takes no time: a checkpoint's container is opened,
its tensors are read when it is loaded. Two files of one name may be two trainings, so what names a
folder of vectors is a hash of the content.
"""

import hashlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

CONFIGS = (".json",)
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin")
SUFFIXES = CONFIGS + CHECKPOINTS
CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")
VOCABULARY = "bpe_path"  # option of open_clip's tokenizer: a file of byte-pair merges
BLOCKS = 64  # read of a checkpoint, to tell it from another
BLOCK_BYTES = 65_536
PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode", "fill_color")  # not the size
# What libraries raise somewhere inside when weights are damaged, hostile or another model's; those
# that read safetensors also raise SafetensorError.
UNREADABLE = (
    *(OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError),
    *(AssertionError, StopIteration, pickle.UnpicklingError),
)


class ConfigFile(NamedTuple):
    """What a model config says.

    Attributes:
        name: Of the file, without suffix.
        config: open_clip's model config.
        preprocess: What it asks of preprocessing beyond open_clip's defaults.
    """

    name: str
    config: dict[str, Any]
    preprocess: dict[str, Any]


def is_path(value: str, suffixes: tuple[str, ...]) -> bool:
    """Return True when `value` names a file rather than something open_clip knows."""
    return value.endswith(suffixes) or Path(value).is_absolute()


def existing_file(key: str, value: str) -> Path:
    """Return the path of the file that the recipe names at `key`, if it is there."""
    path = Path(value)
    if not path.is_file():
        raise BadOption(f"{key}: {value}: no such file")
    return path


def read_config(value: str) -> ConfigFile:
    """Return what a config file says, in either of two forms.

    open_clip's own configs have the model alone; those it writes beside published weights have
    `model_cfg` and `preprocess_cfg`.
    """
    path = existing_file("embed.model", value)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadOption(f"embed.model: {value}: not JSON: {error}") from error
    both = content if isinstance(content, dict) else {}
    config = both.get("model_cfg", both)
    missing = [key for key in CONFIG_KEYS if key not in config]
    if missing:
        raise BadOption(
            f"embed.model: {value}: not a model config of open_clip's; "
            f"it lacks {', '.join(missing)}"
        )
    preprocess = both.get("preprocess_cfg", {})
    return ConfigFile(
        path.stem,
        _with_vocabulary(path, config),
        {key: preprocess[key] for key in PREPROCESS_KEYS if key in preprocess},
    )


def _with_vocabulary(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config at `path` with its vocabulary's path, if it names one, made absolute."""
    text = config["text_cfg"]
    kwargs = text.get("tokenizer_kwargs") or {}
    if VOCABULARY not in kwargs:
        return config
    file = existing_file("embed.model", str(path.parent / kwargs[VOCABULARY]))
    return config | {
        "text_cfg": text | {"tokenizer_kwargs": kwargs | {VOCABULARY: str(file.resolve())}}
    }


def readable_checkpoint(value: str) -> Path:
    """Return the checkpoint's path if its container is whole; what is in it shows at loading."""
    from safetensors import SafetensorError, safe_open

    path = existing_file("embed.pretrained", value)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="np"):
                return path
        except SafetensorError as error:
            raise BadOption(f"embed.pretrained: {value}: corrupt: {error}") from error
    with path.open("rb") as file:
        pickled = file.read(1) == b"\x80"  # as torch saved before 1.6
    if not pickled and not zipfile.is_zipfile(path):
        raise BadOption(f"embed.pretrained: {value}: not a checkpoint of PyTorch's, or cut short")
    return path


def local_fingerprint(options: Embed) -> str:
    """Return 8 hex digits for the content of the local files named, "" when there are none.

    Of a long file only blocks spread over it are read: enough to tell one training from another.

    Raises:
        BadOption: one of the files is missing.
    """
    files = [
        existing_file(key, value)
        for key, value, suffixes in (
            ("embed.model", options.model, CONFIGS),
            ("embed.pretrained", options.pretrained, CHECKPOINTS),
        )
        if is_path(value, suffixes)
    ]
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for block in range(BLOCKS):
                file.seek(max(0, size - BLOCK_BYTES) * block // (BLOCKS - 1))
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()[:8] if files else ""


def hashed_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with the SHA-256 of its vocabulary in place of the path."""
    text = config["text_cfg"]
    kwargs = text.get("tokenizer_kwargs") or {}
    if VOCABULARY not in kwargs:
        return config
    hashed = hashlib.sha256(Path(kwargs[VOCABULARY]).read_bytes()).hexdigest()
    return config | {"text_cfg": text | {"tokenizer_kwargs": kwargs | {VOCABULARY: hashed}}}
