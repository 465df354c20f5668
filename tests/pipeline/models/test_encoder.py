import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from pairsieve.pipeline.models.encoder import (
    GpuStreams,
    TorchEncoder,
    largest_batch,
    quantize,
    share_gpu,
)
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


def test_what_did_not_fit_is_let_go_before_the_batch_is_halved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    def forward(batch: Any) -> Any:
        activations = batch.float()
        if len(batch) > 4:
            held.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("so much was wanted")
        return activations

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(held[-1]() is not None))
    assert np.array_equal(TorchEncoder(forward, "cpu", 16)(rows(9)), rows(9).numpy())
    assert alive == [False, False]


def test_pictures_are_packed_with_their_channels_side_by_side() -> None:
    pictures = [torch.randint(0, 255, (5, 6, 3)).permute(2, 0, 1) for _ in range(3)]
    strides: list[tuple[int, ...]] = []

    def forward(batch: Any) -> Any:
        strides.append(batch.stride())
        return batch.flatten(1)

    vectors = TorchEncoder(forward, "cpu", 4)(pictures)
    assert np.array_equal(vectors, torch.stack(pictures).flatten(1).numpy())
    assert strides == [(90, 1, 18, 3)]


def test_a_stream_is_lent_to_one_batch_at_a_time_and_the_last_one_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[int] = []
    numbers = iter(range(2))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: next(numbers))

    def use(stream: int) -> nullcontext[None]:
        used.append(stream)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "stream", use)
    streams = GpuStreams(2)
    with streams.one(), streams.one():
        assert used == [1, 0]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(streams.one().__enter__)
            with pytest.raises(TimeoutError):
                waiting.result(0.05)
            streams._free.put(2)
            waiting.result(10)
    for _ in range(2):
        with streams.one():
            pass
    assert used == [1, 0, 2, 1, 1]


@pytest.mark.parametrize(
    ("share", "batch"),
    [(1, 64), (0.5, 32), (0.01, 1)],  # 80 GB x 0.8 x share / 2 batches / 0.5 GB
)
def test_the_batch_of_a_gpu_follows_from_the_memory_of_a_few_rows(
    share: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = SimpleNamespace(total_memory=80 << 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 4 << 30)
    for name in ("reset_peak_memory_stats", "current_device"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    encoder = TorchEncoder(Small(8), "cpu", 16)
    assert largest_batch(encoder, rows(1), share) == batch


@pytest.mark.parametrize(("exact_sums", "largest"), [(True, 127), (False, 63)])
def test_two_products_fit_into_16_bits_where_the_processor_adds_them_so(
    tmp_path: Path, exact_sums: bool, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.models.encoder.sums_int8_exactly", lambda: exact_sums)
    torch.manual_seed(1)
    whole, rounded = tmp_path / "whole.onnx", tmp_path / "int8.onnx"
    torch.onnx.export(torch.nn.Linear(64, 32), (torch.zeros(1, 64),), whole, dynamo=False)
    quantize(whole, rounded)
    weights = [
        onnx.numpy_helper.to_array(each)
        for each in onnx.load(rounded).graph.initializer
        if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 2
    ]
    assert [abs(each.astype(int)).max() for each in weights] in ([largest], [largest + 1])
    assert exact_sums or 2 * 255 * (largest + 1) < 2**15


def test_the_share_of_a_gpu_is_a_float_because_torch_takes_no_whole_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    share_gpu(1)
    assert [type(share) for share in shares] == [float]
