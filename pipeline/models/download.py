"""Fetching what a model needs from where open_clip has it: the one place that downloads anything.

Only `pairsieve fetch-model` comes here; everything else works with what is in the cache.
"""

from pairsieve.pipeline.models import builtin, pretrained
from pairsieve.pipeline.models.model_files import CHECKPOINTS, CONFIGS, is_path
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Embed


def download(options: Embed) -> pretrained.ModelSource:
    """Fetch weights, tokenizer and text tower into the cache; return where all of it is.

    Raises:
        BadOption: an unknown model or tag, or a missing file.
        Stopped: something cannot be fetched now.
    """
    from huggingface_hub import snapshot_download
    from open_clip.pretrained import download_pretrained

    names = pretrained.text_repositories(options)
    tag, files = None, builtin.as_files(options)  # the shipped model is all there
    if not is_path(files.model, CONFIGS) and not is_path(files.pretrained, CHECKPOINTS):
        tag = pretrained.tag_of(options)
    try:
        for name in names:
            snapshot_download(name, allow_patterns=list(pretrained.FETCHED))
        if tag:
            download_pretrained(tag)
    except (OSError, RuntimeError) as error:  # the hub's errors are OSErrors
        first = str(error).strip().partition("\n")[0]
        raise Stopped(
            f"fetch-model: {options.model}, {options.pretrained}: cannot be fetched: {first}"
        ) from error
    return pretrained.find(options)
