"""A tower at a precision: batches in, vectors out, the same bits for a row whatever its company.

PyTorch gives a row other bits in batches of another size, so every batch is filled up to one size.
Measured: ViT-B/32 on CPU, batches of 16: the same bits in any order and any company; batches of 1
to 7 give other bits (1.8e-7), also after rounding to float16.

int8 is ONNX Runtime's: weights rounded once, activations by the range of what is in one call. So a
call holds one row, and several threads call at once.
"""

import copy
import tempfile
import threading
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
GPU_BATCHES_AT_ONCE = 2  # one packs and copies a batch while the other's is computed
OPSET = 17  # of ONNX; the first with layer normalisation


class Encoder(Protocol):
    """Turns batches of one kind into vectors of length 1."""

    @property
    def batch(self) -> int:
        """Return how many rows a call should have."""
        ...

    def __call__(self, rows: Any) -> Vectors:
        """Return the vectors of a tensor (n, ...) of at most that many rows, (n, d)."""
        ...


@dataclass
class TorchEncoder:
    """A tower run by PyTorch.

    Attributes:
        tower: The network, on its device.
        device: `cpu` or `cuda`.
        batch: Rows of every call of the tower; halved for good when they do not fit in memory.
    """

    tower: Any
    device: str
    batch: int
    _halving: threading.Lock = field(default_factory=threading.Lock)

    def compile(self) -> None:
        """Compile the tower; the work is done by the next call, for the size of its batch.

        Source: `torch.compile`.
        """
        self.tower.compile(dynamic=False)

    def __call__(self, rows: Any) -> Vectors:
        """Return the vectors of the rows; in several calls once memory has run out."""
        import torch

        vectors: list[Vectors] = []
        done = 0
        while done < len(rows):
            size = self.batch
            batch = rows[done : done + size]
            try:
                vectors.append(self._vectors(batch, size))
            except torch.OutOfMemoryError:
                self._halve(size)
                continue
            done += len(batch)
        return np.concatenate(vectors)

    def _vectors(self, rows: Any, size: int) -> Vectors:
        """Return the vectors of rows, filled up with the first one to `size`."""
        import torch

        filled = torch.cat([rows, rows[:1].expand(size - len(rows), *rows.shape[1:])])
        with torch.inference_mode():
            vectors = self.tower(self._on_device(filled))[: len(rows)]
            return np.asarray(vectors.float().cpu().numpy())

    def _on_device(self, rows: Any) -> Any:
        """Return rows on the device; pictures with their channels side by side."""
        import torch

        if self.device == "cuda":
            rows = rows.pin_memory().to(self.device, non_blocking=True)
        return rows.contiguous(memory_format=torch.channels_last) if rows.dim() == 4 else rows

    def _halve(self, size: int) -> None:
        """Use half of `size` from now on, unless another thread has seen to that.

        Raises:
            BadOption: a single row does not fit.
        """
        import torch

        if size == 1:
            raise BadOption("embed: the model's device has too little memory for a single row")
        torch.cuda.empty_cache()  # does nothing where there is no GPU
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

    def __call__(self, rows: Any) -> Vectors:
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
    return TorchEncoder(image, device, batch), TorchEncoder(text, device, batch)


def largest_batch(encoder: TorchEncoder, example: Any, share: float) -> int:
    """Return how many rows fit into that share of the GPU's memory, a power of two.

    It follows from the memory that a few rows take, not from time, so it is the same every time.
    """
    import torch

    few, most = GPU_BATCH_SIZES
    encoder.batch = few
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    encoder(example.expand(few, *example.shape[1:]))
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
