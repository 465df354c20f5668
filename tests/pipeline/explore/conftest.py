"""The dataset that the pages are tested on."""

import pytest
from tests.pipeline.explore.dataset import Finished, make, with_vectors


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a finished dataset that no test changes."""
    return make(tmp_path_factory.mktemp("explore"), reported=True)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a finished dataset with vectors that no test changes but by labels."""
    return with_vectors(make(tmp_path_factory.mktemp("embedded")))
