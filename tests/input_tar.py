"""Inputs that hold images: tars of samples, and pictures to put there."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image


def gradient(degrees: int, size: tuple[int, int] = (64, 50)) -> bytes:
    """Return a PNG of a grey gradient that is turned by so many degrees, of a size in px."""
    sink = io.BytesIO()
    Image.linear_gradient("L").rotate(degrees).resize(size).save(sink, "PNG")
    return sink.getvalue()


def put_tar(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a tar of files, and the folder in which it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))


def put_samples(path: Path, samples: Mapping[int, tuple[bytes, str]]) -> None:
    """Write a tar of samples, given the PNG and the text of each by the number that is its key."""
    files: dict[str, bytes] = {}
    for number, (image, text) in samples.items():
        files |= {f"{number}.png": image, f"{number}.txt": text.encode()}
    put_tar(path, files)
