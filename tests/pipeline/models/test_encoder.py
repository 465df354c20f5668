from typing import Any

import numpy as np
import pytest
import torch

from pairsieve.pipeline.models.encoder import TorchEncoder
from pairsieve.schemas.errors import BadOption


class Small(torch.nn.Module):
    """A network that has no memory for more than so many rows, and counts the rows of its calls."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[int] = []

    def forward(self, rows: Any) -> Any:
        self.seen.append(len(rows))
        if len(rows) > self.most:
            raise torch.OutOfMemoryError("so much was wanted")
        return rows.float() * 2


def rows(count: int) -> Any:
    return torch.arange(3 * count).view(count, 3)


def test_every_call_has_the_same_number_of_rows() -> None:
    network = Small(8)
    encode = TorchEncoder(network, "cpu", 8)
    assert np.array_equal(encode(rows(3)), 2 * rows(3).numpy())
    encode(rows(8))
    assert network.seen == [8, 8]


def test_the_batch_is_halved_until_it_fits_and_stays_so() -> None:
    network = Small(5)
    encode = TorchEncoder(network, "cpu", 16)
    assert np.array_equal(encode(rows(11)), 2 * rows(11).numpy())
    assert network.seen == [16, 8, 4, 4, 4]
    assert encode.batch == 4
    encode(rows(4))
    assert network.seen[-1] == 4


def test_a_single_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadOption, match="too little memory for a single row"):
        TorchEncoder(Small(0), "cpu", 4)(rows(2))
