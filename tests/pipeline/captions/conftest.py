"""What captions are asked with."""

from collections.abc import Callable
from typing import Any

import pytest

from pairsieve.schemas.recipe_captions import Captions

MakeOptions = Callable[..., Captions]


@pytest.fixture
def options(service: Any) -> MakeOptions:
    """Return a function that makes a recipe's section for the service, without waits."""

    def make(**changes: Any) -> Captions:
        given = {
            "url": service.url,
            "model": "org/model",
            "prompt": "{text}",
            "image": False,
            "backoff_s": 0,
            "timeout_s": 20,
            "retries": 2,
            "concurrency": 2,
        }
        return Captions.model_validate(given | changes)

    return make
