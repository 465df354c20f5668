"""Which address an image element shows: the widest that it offers.

`srcset` is read by the algorithm of the HTML standard. Pages that load images late keep the address
in attributes of their own; the well-known ones come before `src`, which holds a placeholder then.

Source: https://html.spec.whatwg.org/multipage/images.html#parse-a-srcset-attribute
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

Attributes = Mapping[str, str | None]

SRCSETS = ("srcset", "data-srcset", "data-lazy-srcset", "data-original-set")
LAZY = (
    "data-src", "data-original", "data-lazy-src", "data-lazy", "data-orig-file", "data-large-file",
    "data-hi-res-src", "data-full-src", "data-image-src", "data-img-src", "data-img", "data-image",
    "data-url", "data-echo", "data-ll-src", "data-cfsrc", "data-runner-src", "data-native-src",
)  # fmt: skip
MAX_CANDIDATES = 100  # of one srcset
_SPACES = "\t\n\f\r "
_URL = re.compile(r"[\t\n\f\r ,]*([^\t\n\f\r ]+)")
_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*(?:\)|\Z))*")
_WIDTH = re.compile(r"[0-9]+w")
_HEIGHT = re.compile(r"[0-9]+h")
_DENSITY = re.compile(r"(-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)x")
_IMAGE_FILE = re.compile(
    r"[^\s<>\"'{}]+\.(?:jpe?g|png|webp|gif|avif|bmp|tiff?|heic)(?:[?#][^\s<>\"'{}]*)?",
    re.IGNORECASE,
)


class Address(msgspec.Struct, frozen=True, gc=False):
    """An address that an element offers.

    Attributes:
        url: As it is written.
        source: The attribute; `picture` for that of a `source` element.
        width: In pixels where a srcset tells it, else 0.
        density: In image pixels per pixel of the page, 1 where nothing tells.
    """

    url: str
    source: str
    width: int = 0
    density: float = 1.0


def candidates(srcset: str, source: str) -> list[Address]:
    """Return the image candidates of a srcset, in the order in which they are written."""
    found: list[Address] = []
    position = 0
    while (url := _URL.match(srcset, position)) and len(found) < MAX_CANDIDATES:
        position, address = url.end(), url[1]
        words: list[str] = []
        if address.endswith(","):
            address = address.rstrip(",")
        else:
            descriptors = _DESCRIPTORS.match(srcset, position)
            if descriptors:
                position = descriptors.end() + 1
                words = descriptors[0].split()
        if candidate := _described(address, words, source):
            found.append(candidate)
    return found


def _described(address: str, words: list[str], source: str) -> Address | None:
    """Return a candidate with its descriptors, None where the standard drops it."""
    width, density, height = 0, 0.0, False
    for word in words:
        if _WIDTH.fullmatch(word) and not width and not density:
            width = int(word[:-1][:9])
            if not width:
                return None
        elif (value := _DENSITY.fullmatch(word)) and not (width or density or height):
            density = float(value[1])
            if density < 0:
                return None
        elif _HEIGHT.fullmatch(word) and not (height or density):
            height = True
        else:
            return None
    if height and not width:
        return None
    return Address(address, source, width, density or (1.0 if not words else 0.0))


def addresses(attributes: Attributes, sources: Iterable[str] = ()) -> list[Address]:
    """Return what an element offers, the widest first; `sources` are srcsets of its `picture`."""
    offered: list[Address] = []
    for name in SRCSETS:
        if value := attributes.get(name):
            offered += candidates(value, name)
    for value in sources:
        offered += candidates(value, "picture")
    plain = [Address(value, name) for name in LAZY if (value := _value(attributes, name))]
    source = _value(attributes, "src")
    if source:
        plain.append(Address(source, "src"))
    if not offered and len(plain) == 1 and not plain[0].url.startswith("data:"):
        return plain
    wider, rest = by_width(offered)
    return [*wider, *plain, *rest, *_named_like_files(attributes)]


def by_width(offered: list[Address]) -> tuple[list[Address], list[Address]]:
    """Return the candidates that are wider than `src`, and the others; the widest first."""
    offered = sorted(offered, key=lambda address: (-address.width, -address.density))
    wider = [each for each in offered if each.width or each.density > 1]
    rest = [each for each in offered if not (each.width or each.density > 1)]
    return wider, rest


def _value(attributes: Attributes, name: str) -> str:
    return (attributes.get(name) or "").strip(_SPACES)


def _named_like_files(attributes: Attributes) -> list[Address]:
    """Return the values of other `data-` attributes that are the name of an image file."""
    return [
        Address(value, name)
        for name in attributes
        if name.startswith("data-") and name not in LAZY and name not in SRCSETS
        and _IMAGE_FILE.fullmatch(value := _value(attributes, name))
    ]  # fmt: skip
