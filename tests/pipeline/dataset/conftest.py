import pickle
from pathlib import Path

import pytest

from pairsieve.pipeline.dataset.store import Store


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A fresh store of each kind, as a worker gets it: through pickle."""
    if request.param == "local":
        location = str(tmp_path / "dataset")
    else:
        location = f"{request.getfixturevalue('s3')}/{tmp_path.name}"
    made: Store = pickle.loads(pickle.dumps(Store.at(location)))
    return made
