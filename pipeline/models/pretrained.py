"""Which architecture, weights and preprocessing the recipe's `embed` section names.

A model is a name and a pretrained tag of open_clip's, or local files in place of either. Nothing is
downloaded here: weights that are not in the cache are an error that says which command fetches
them. What a tag says about preprocessing and activation goes with its weights: open_clip itself
only warns when a tag was trained with QuickGELU and the model of that name has GELU.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pairsieve.pipeline.models import builtin
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed

CONFIGS = (".json",)
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin")
SUFFIXES = CONFIGS + CHECKPOINTS
CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")
# What a text tower or tokenizer of the package transformers begins with, by the config's key.
TEXT_FILES = {
    "hf_model_name": ("config.json",),
    "hf_tokenizer_name": ("tokenizer_config.json", "tokenizer.json", "vocab.txt", "vocab.json"),
}
FETCHED = ("--include '*.json'", "'*.txt'", "'*.model'")  # all but weights
VOCABULARY = "bpe_path"  # option of open_clip's tokenizer: a file of byte-pair merges
BLOCKS, BLOCK_BYTES = 64, 65_536  # how much of a checkpoint is read to tell it from another


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        name: Name of the architecture.
        config: open_clip's model config.
        local: True when the config is the user's own, so that open_clip does not know the name.
        weights: The checkpoint file.
        preprocess: What the weights ask of preprocessing beyond open_clip's defaults.
        quick_gelu: True when the weights were trained with QuickGELU whatever the config says.
        folders: Where what the text side takes from elsewhere is, by the config's key for it.
    """

    name: str
    config: dict[str, Any]
    local: bool
    weights: Path
    preprocess: dict[str, Any]
    quick_gelu: bool
    folders: Mapping[str, str] = field(default_factory=dict)


def find(options: Embed) -> ModelSource:
    """Return where the model of `options` is, without building it.

    Raises:
        BadOption: an unknown model or tag, a missing or unreadable file, weights, tokenizer or text
            tower not downloaded.
    """
    options = builtin.as_files(options)
    local = _is_path(options.model, CONFIGS)
    if local:
        name, config, preprocess = _read_config(options.model)
    else:
        name, config, preprocess = options.model, _known_config(options.model), {}
    _check_packages(name, config)
    folders = _text_folders(options, config["text_cfg"])
    if _is_path(options.pretrained, CHECKPOINTS):
        weights = _readable_checkpoint(options.pretrained)
        return ModelSource(name, config, local, weights, preprocess, False, folders)
    if local:
        raise BadOption(
            f"embed.pretrained: {options.pretrained!r} is not the path of a checkpoint "
            f"({', '.join(CHECKPOINTS)}), which a model config of your own needs"
        )
    tag = _tag(options)
    preprocess = {key: tag[key] for key in _PREPROCESS if key in tag}
    weights = _downloaded(options, tag)
    return ModelSource(
        name, config, local, weights, preprocess, bool(tag.get("quick_gelu")), folders
    )


def local_fingerprint(options: Embed) -> str:
    """Return 8 hex digits for the content of the local files named, "" when there are none.

    Of a long file only blocks spread over it are read: enough to tell one training from another.

    Raises:
        BadOption: one of the files is missing.
    """
    files = [
        _existing(key, value)
        for key, value, suffixes in (
            ("embed.model", options.model, CONFIGS),
            ("embed.pretrained", options.pretrained, CHECKPOINTS),
        )
        if _is_path(value, suffixes)
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


def fetch_command(options: Embed) -> str:
    """Return the command that downloads weights, tokenizer and text tower into the cache."""
    model, tag = options.model, options.pretrained
    if not _is_path(model, CONFIGS) and not _is_path(tag, CHECKPOINTS):
        return (
            f"python -c \"import open_clip; open_clip.create_model('{model}', '{tag}'); "
            f"open_clip.get_tokenizer('{model}')\""
        )
    text = _read_config(model)[1] if _is_path(model, CONFIGS) else _known_config(model)
    names = sorted({str(text["text_cfg"][key]) for key in TEXT_FILES if text["text_cfg"].get(key)})
    return " && ".join(f"hf download {name} {' '.join(FETCHED)}" for name in names)


_PREPROCESS = ("mean", "std", "interpolation", "resize_mode", "fill_color")  # size is the model's


def _is_path(value: str, suffixes: tuple[str, ...]) -> bool:
    """Return True when `value` names a file rather than something open_clip knows."""
    return value.endswith(suffixes) or Path(value).is_absolute()


def _existing(key: str, value: str) -> Path:
    """Return the path of the file that the recipe names at `key`, if it is there."""
    path = Path(value)
    if not path.is_file():
        raise BadOption(f"{key}: {value}: no such file")
    return path


def _read_config(value: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return name, model config and preprocessing of a config file in either of two forms.

    open_clip's own configs have the model alone; those it writes beside published weights have
    `model_cfg` and `preprocess_cfg`.
    """
    path = _existing("embed.model", value)
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
    config = _with_vocabulary(path, config)
    preprocess = both.get("preprocess_cfg", {})
    return path.stem, config, {key: preprocess[key] for key in _PREPROCESS if key in preprocess}


def _with_vocabulary(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config at `path` with its vocabulary's path, if it names one, made absolute."""
    text = config["text_cfg"]
    kwargs = text.get("tokenizer_kwargs") or {}
    if VOCABULARY not in kwargs:
        return config
    file = _existing("embed.model", str(path.parent / kwargs[VOCABULARY]))
    return config | {
        "text_cfg": text | {"tokenizer_kwargs": kwargs | {VOCABULARY: str(file.resolve())}}
    }


def _known_config(model: str) -> dict[str, Any]:
    """Return the config of a model that open_clip knows by name."""
    import open_clip

    known = [*builtin.TAGS, *open_clip.list_models()]
    if model not in known:
        raise BadOption(
            f"embed.model: open_clip has no model `{model}`, and there is no file of that name; "
            f"{nearest(model, known)}"
        )
    config: dict[str, Any] = open_clip.get_model_config(model)
    return config


def _tag(options: Embed) -> dict[str, Any]:
    """Return what open_clip knows of the pretrained tag."""
    import open_clip

    known = open_clip.list_pretrained_tags_by_model(options.model)
    tag: dict[str, Any] = open_clip.get_pretrained_cfg(options.model, options.pretrained)
    if not tag:
        hint = nearest(options.pretrained, known) if known else "it has none: name a checkpoint"
        raise BadOption(
            f"embed.pretrained: `{options.model}` has no pretrained tag `{options.pretrained}`, "
            f"and there is no file of that name; {hint}"
        )
    return tag


def _check_packages(name: str, config: dict[str, Any]) -> None:
    """Refuse a model whose text side needs a package that is not installed."""
    text = config["text_cfg"]
    needed = "siglip" in name.lower() or {"hf_model_name", "hf_tokenizer_name"} & set(text)
    if needed and find_spec("transformers") is None:
        raise BadOption(
            f"embed.model: `{name}` reads text with the package transformers, which is not "
            "installed: pip install 'pairsieve[transformers]'"
        )


def _text_folders(options: Embed, text: dict[str, Any]) -> dict[str, str]:
    """Return the folders with the tokenizer and the text tower's config, by the key of each.

    They are named in the config as folders, beside it or anywhere, or as repositories of the
    Hugging Face hub. From a folder the package transformers reads without asking the hub.
    """
    from huggingface_hub import try_to_load_from_cache

    folders = {}
    for key, files in TEXT_FILES.items():
        if not text.get(key):
            continue
        beside = Path(options.model).parent / text[key]
        if beside.is_dir():
            folders[key] = str(beside)
            continue
        cached = (try_to_load_from_cache(text[key], file) for file in files)
        folder = next((Path(path).parent for path in cached if isinstance(path, str)), None)
        if folder is None:
            raise BadOption(
                f"embed.model: `{text[key]}`, which `{options.model}` reads text with ({key}), is "
                f"not downloaded; this fetches it: {fetch_command(options)}"
            )
        folders[key] = str(folder)
    return folders


def _readable_checkpoint(value: str) -> Path:
    """Return the checkpoint's path if its container is whole; what is in it shows at loading."""
    from safetensors import SafetensorError, safe_open

    path = _existing("embed.pretrained", value)
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


def _downloaded(options: Embed, tag: dict[str, Any]) -> Path:
    """Return the cached checkpoint of a tag, where open_clip's own download would have put it."""
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, name = tag.get("hf_hub", "").rpartition("/")
    names = [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    if name:
        names = [str(Path(name).with_suffix(".safetensors")), name]
    for name in names:
        cached = try_to_load_from_cache(repository, name) if repository else None
        if isinstance(cached, str):
            return Path(cached)
    by_url = Path("~/.cache/clip").expanduser() / Path(tag.get("url", "")).name
    if tag.get("url") and by_url.is_file():
        return by_url
    raise BadOption(
        f"embed.pretrained: the weights `{options.pretrained}` of `{options.model}` are not "
        f"downloaded; this fetches them: {fetch_command(options)}"
    )
