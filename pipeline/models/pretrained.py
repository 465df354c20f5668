"""Which architecture, weights and preprocessing the recipe's `embed` section names.

A model is a name and a pretrained tag of open_clip's, or local files in place of either. Nothing is
downloaded here: weights that are not in the cache are an error that names `fetch-model`. What a tag
says about preprocessing and activation goes with its weights: open_clip itself only warns when a
tag was trained with QuickGELU and the model of that name has GELU.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pairsieve.pipeline.models import builtin
from pairsieve.pipeline.models.model_files import (
    CHECKPOINTS,
    CONFIGS,
    PREPROCESS_KEYS,
    is_path,
    read_config,
    readable_checkpoint,
)
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed

# What a text tower or tokenizer of the package transformers begins with, by the config's key.
TEXT_FILES = {
    "hf_model_name": ("config.json",),
    "hf_tokenizer_name": ("tokenizer_config.json", "tokenizer.json", "vocab.txt", "vocab.json"),
}
FETCHED = ("*.json", "*.txt", "*.model")  # of such a repository: all but weights


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
    source = find_text_side(options)
    if is_path(options.pretrained, CHECKPOINTS):
        return replace(source, weights=readable_checkpoint(options.pretrained))
    if source.local:
        raise BadOption(
            f"embed.pretrained: {options.pretrained!r} is not the path of a checkpoint "
            f"({', '.join(CHECKPOINTS)}), which a model config of your own needs"
        )
    tag = tag_of(options)
    return replace(
        source,
        weights=_downloaded(options, tag),
        preprocess={key: tag[key] for key in PREPROCESS_KEYS if key in tag},
        quick_gelu=bool(tag.get("quick_gelu")),
    )


def find_text_side(options: Embed) -> ModelSource:
    """Return where the model's config and tokenizer are; its weights need not be there.

    Raises:
        BadOption: an unknown model, an unreadable config, a tokenizer or text tower not downloaded.
    """
    options = builtin.as_files(options)
    local = is_path(options.model, CONFIGS)
    if local:
        name, config, preprocess = read_config(options.model)
    else:
        name, config, preprocess = options.model, _known_config(options.model), {}
    _check_packages(name, config)
    folders = _text_folders(options, config["text_cfg"])
    return ModelSource(name, config, local, Path(), preprocess, False, folders)


def fetch_command(options: Embed) -> str:
    """Return the command that fetches weights, tokenizer and text tower into the cache."""
    return f"pairsieve fetch-model {shlex.quote(options.model)} {shlex.quote(options.pretrained)}"


def text_repositories(options: Embed) -> list[str]:
    """Return the repositories of the hub that a model's text side is read from, sorted.

    Raises:
        BadOption: an unknown model, or a missing file.
    """
    options = builtin.as_files(options)
    local = is_path(options.model, CONFIGS)
    config = read_config(options.model).config if local else _known_config(options.model)
    named = {str(config["text_cfg"][key]) for key in TEXT_FILES if config["text_cfg"].get(key)}
    beside = Path(options.model).parent if local else Path()
    return sorted(name for name in named if not (beside / name).is_dir())


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


def tag_of(options: Embed) -> dict[str, Any]:
    """Return what open_clip knows of the pretrained tag.

    Raises:
        BadOption: it knows no such tag.
    """
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
