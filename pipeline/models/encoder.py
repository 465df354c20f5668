"""A tower at a precision: batches in, vectors out, the same bits for a row whatever its company.

PyTorch gives a row other bits in batches of another size, so every batch is filled up to one size.
Measured: ViT-B/32 on CPU, batches of 16: the same bits in any order and any company; batches of 1
to 7 give other bits (1.8e-7), also after rounding to float16.

On a GPU a batch is packed in pinned memory, then copied and computed on a stream of its own. There
are two streams, so one batch is copied while the other is computed.

int8 is ONNX Runtime's: weights rounded once, activations by the range of what is in one call. So a
call holds one row, and several threads call at once.
"""

import copy
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pairsieve.pipeline.models.open_clip import quiet
from pairsieve.pipeline.models.precision import PrecisionUnavailable, sums_int8_exactly
from pairsieve.pipeline.models.towers import Towers
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption

GPU_BATCH_SIZES = (8, 512)  # what memory is measured with; the largest
GPU_SHARE = 0.8  # of the GPU's memory that may be used
GPU_BATCHES_AT_ONCE = 2  # one is copied while the other is computed
OPSET = 17  # of ONNX; the first with layer normalisation


class Encoder(Protocol):
    """Turns batches of one kind into vectors of length 1."""

    @property
    def batch(self) -> int:
        """Return how many rows a call should have."""
        ...

    def __call__(self, rows: Sequence[Any]) -> Vectors:
        """Return the vectors of at most that many tensors of one shape, (n, d)."""
        ...


class GpuStreams:
    """Streams of the GPU, each lent to one batch at a time; other batches wait for one.

    So the memory in use does not grow with the threads that compute.
    """

    def __init__(self, count: int = GPU_BATCHES_AT_ONCE) -> None:
        import torch

        self._free: queue.LifoQueue[Any] = queue.LifoQueue()  # the last one has its memory at hand
        for _ in range(count):
            self._free.put(torch.cuda.Stream())  # type: ignore[no-untyped-call]

    @contextmanager
    def one(self) -> Iterator[None]:
        """Compute on a stream that no other thread uses meanwhile."""
        import torch

        stream = self._free.get()
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            self._free.put(stream)


@dataclass
class TorchEncoder:
    """A tower run by PyTorch.

    Attributes:
        tower: The network, on its device.
        device: `cpu` or `cuda`.
        batch: Rows of every call of the tower; halved for good when they do not fit in memory.
        streams: Where a GPU computes; None on CPU.
    """

    tower: Any
    device: str
    batch: int
    streams: GpuStreams | None = None
    _halving: threading.Lock = field(default_factory=threading.Lock)

    def compile(self) -> None:
        """Compile the tower; the work is done by the next call, for the size of its batch.

        Source: `torch.compile`.
        """
        self.tower.compile(dynamic=False)

    def __call__(self, rows: Sequence[Any]) -> Vectors:
        """Return the vectors of the rows; in several calls once memory has run out."""
        vectors: list[Vectors] = []
        done = 0
        while done < len(rows):
            size = self.batch
            batch = rows[done : done + size]
            found = self._vectors_if_they_fit(batch, size)
            if found is None:
                self._halve(size)
                continue
            vectors.append(found)
            done += len(batch)
        return np.concatenate(vectors)

    def _vectors_if_they_fit(self, rows: Sequence[Any], size: int) -> Vectors | None:
        """Return the vectors of the rows, None where memory runs out.

        The error keeps the tensors of the failed call alive; so it ends here, before the batch is
        halved.
        """
        import torch

        try:
            return self._vectors(self._packed(rows, size), len(rows))
        except torch.OutOfMemoryError:
            return None

    def _packed(self, rows: Sequence[Any], size: int) -> Any:
        """Return the rows as one tensor, filled up with the first to `size`; for a GPU, pinned.

        Pictures keep their channels side by side: turning them round cost four times the copy.
        """
        import torch

        filled = [*rows, *[rows[0]] * (size - len(rows))]
        pictures = rows[0].dim() == 3
        packed = torch.empty(
            (size, *rows[0].shape),
            dtype=rows[0].dtype,
            memory_format=torch.channels_last if pictures else torch.contiguous_format,
            pin_memory=self.device == "cuda",
        )
        return torch.stack(filled, out=packed)

    def _vectors(self, packed: Any, count: int) -> Vectors:
        """Return the vectors of the first rows of a batch; they leave the device in one piece."""
        import torch

        stream = self.streams.one() if self.streams else nullcontext()
        with stream, torch.inference_mode():
            vectors = self.tower(packed.to(self.device, non_blocking=True))[:count]
            return np.asarray(vectors.float().cpu().numpy())

    def _halve(self, size: int) -> None:
        """Use half of `size` from now on, unless another thread has seen to that.

        Raises:
            BadOption: a single row does not fit.
        """
        import torch

        torch.cuda.empty_cache()  # does nothing where there is no GPU
        if size == 1:
            raise BadOption("embed: the model's device has too little memory for a single row")
        with self._halving:
            self.batch = min(self.batch, size // 2)


@dataclass(frozen=True)
class OnnxEncoder:
    """A tower run by ONNX Runtime, a row at a time on one thread.

    Attributes:
        session: ONNX Runtime's.
        batch: Rows of a call of this; handing over each for itself cost 3 % more CPU time.
    """

    session: Any
    batch: int = 8

    def __call__(self, rows: Sequence[Any]) -> Vectors:
        """Return the vectors of the rows."""
        vectors = [self.session.run(None, {"rows": row[None].numpy()})[0] for row in rows]
        return np.concatenate(vectors)


def torch_encoders(
    towers: Towers, kind: str, device: str, batch: int
) -> tuple[TorchEncoder, TorchEncoder]:
    """Return the encoders of images and of texts in PyTorch's type `kind` on the device."""
    import torch

    dtype = getattr(torch, kind)
    image, text = copy.deepcopy((towers.image, towers.text))  # together: they share their weights
    image.dtype = dtype
    image = image.to(device, dtype, memory_format=torch.channels_last)
    text = text.to(device, dtype)
    for name in ("mean", "std"):  # these stay exact
        setattr(image, name, getattr(towers.image, name).to(device))
    streams = _streams(device)
    return TorchEncoder(image, device, batch, streams), TorchEncoder(text, device, batch, streams)


def _streams(device: str) -> GpuStreams | None:
    """Return the streams that both towers share, once the weights have arrived on the GPU."""
    import torch

    if device == "cpu":
        return None
    torch.cuda.synchronize()  # other streams do not wait for what copied them
    return GpuStreams()


def share_gpu(share: float) -> None:
    """Keep this process to its share of the GPU's memory, and its fp32 to single precision.

    PyTorch lets convolutions of fp32 compute in TF32, with 10 bits of the 23.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.cuda.set_per_process_memory_fraction(float(share))


def largest_batch(encoder: TorchEncoder, example: Any, share: float) -> int:
    """Return how many rows fit into that share of the GPU's memory, a power of two.

    It follows from the memory that a few rows take, not from time, so it is the same every time.
    What the first call takes for good, as cuBLAS does, is not counted.
    """
    import torch

    few, most = GPU_BATCH_SIZES
    encoder.batch = few
    rows = list(example.expand(few, *example.shape[1:]))
    encoder(rows)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    encoder(rows)
    each = max(1, (torch.cuda.max_memory_allocated() - before) // few)
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    fitting = int(GPU_SHARE * share * total - before) // (GPU_BATCHES_AT_ONCE * each)
    return int(min(most, max(1, 1 << max(0, fitting.bit_length() - 1))))


def onnx_encoders(towers: Towers) -> tuple[Encoder, Encoder]:
    """Return the encoders of images and of texts in int8.

    Raises:
        Unfit: ONNX cannot say what the network does.
    """
    return (
        OnnxEncoder(_session(towers.image, towers.pixels, {0: "n"})),
        OnnxEncoder(_session(towers.text, towers.tokens, {0: "n", 1: "length"})),
    )


def _session(tower: Any, example: Any, free: dict[int, str]) -> Any:
    """Return an ONNX Runtime session of the tower with its products in int8."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with quiet(), tempfile.TemporaryDirectory() as folder:
        whole, rounded = Path(folder, "whole.onnx"), Path(folder, "int8.onnx")
        _export(tower, example, whole, free)
        quantize(whole, rounded, use_external_data_format=_bytes(tower) > 1 << 30)
        return onnxruntime.InferenceSession(rounded, options, providers=["CPUExecutionProvider"])


def quantize(whole: Path, rounded: Path, *, use_external_data_format: bool = False) -> None:
    """Write an ONNX model with its products in int8.

    Weights take 8 bits where the processor adds products in 32 bits. Elsewhere they take 7, so that
    the sum of two fits into 16: with 8, cosines fall to 0.89.

    Args:
        whole: The model in single precision.
        rounded: Where to write.
        use_external_data_format: Weights in files of their own; one file has at most 2 GB.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        whole,
        rounded,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=not sums_int8_exactly(),
        use_external_data_format=use_external_data_format,
    )


def _export(tower: Any, example: Any, path: Path, free: dict[int, str]) -> None:
    """Write the tower as ONNX; the sizes of the `free` dimensions stay open."""
    import torch
    from torch.onnx import errors

    try:
        torch.onnx.export(
            tower,
            (example,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["rows"],
            dynamic_axes={"rows": free},
        )
    except (errors.OnnxExporterError, errors.UnsupportedOperatorError, RuntimeError) as error:
        raise PrecisionUnavailable(f"it cannot be exported to ONNX: {str(error)[:300]}") from error


def _bytes(tower: Any) -> int:
    return sum(each.numel() * each.element_size() for each in tower.parameters())
