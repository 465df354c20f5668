"""Random weights of a CLIP model, which cost what trained ones do."""

import json
from pathlib import Path

from pairsieve.schemas.errors import BadOption, nearest


def random_weights(model: str, folder: Path) -> Path:
    """Return the checkpoint of a model in the folder; made if it is not there, always the same.

    Args:
        model: Name of open_clip's architecture, or the path of a config.
        folder: Where checkpoints are kept.

    Raises:
        BadOption: there is no such model.
    """
    import open_clip
    import torch

    if model not in open_clip.list_models() and not Path(model).is_file():
        raise BadOption(f"--model: {model!r}; {nearest(model, open_clip.list_models())}")

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(model).stem}.pt"
    if not path.exists():
        config = open_clip.get_model_config(model) or json.loads(Path(model).read_text())
        custom = config.pop("custom_text", False)
        network = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        torch.manual_seed(0)
        torch.save(network(**config).state_dict(), path)
    return path
