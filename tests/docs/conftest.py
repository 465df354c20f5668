import pytest
from tests.pipeline.explore.dataset import Finished, make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a dataset with a report."""
    return make(tmp_path_factory.mktemp("finished"), reported=True)
