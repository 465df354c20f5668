"""A dataset whose process ends at the n-th change of it."""

from typing import Any

from pairsieve.pipeline.dataset.store import Store


class Killed(Exception):
    """Stands for the end of the process."""


class Dying(Store):
    """A store that fails for good at the n-th change of the dataset."""

    left = [0]

    def _spend(self) -> None:
        if not self.left[0]:
            raise Killed
        self.left[0] -= 1

    def write(self, path: str, data: bytes) -> None:
        self._spend()
        super().write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._spend()
        return super().create(path, data)

    def copy(self, source: str, path: str) -> None:
        self._spend()
        super().copy(source, path)

    def delete(self, paths: Any) -> None:
        for path in paths:
            self._spend()
            super().delete([path])
