"""What a reader of one input format gives, whatever the format.

A format is read in one of two ways. Where any rows of a file can be read without those before them,
they are read in place (`Rows`); else its pairs come one after the other (`Records`) and are staged.

Where JSON or Parquet hold other than a string, a list of strings is several captions of one image:
one of them is the text, and all stay as an extra column. Anything else that is no string is no
text; it, too, stays as an extra column, and the row says so.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from pairsieve.pipeline.input.files import InputFile
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe_input import Input

FIRST, LONGEST = "first", "longest"
SHOWN = 60  # characters of a value that is told
_KINDS = {bool: "true or false", int: "a number", float: "a number", dict: "an object"}
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "space"}  # of delimiters


class Record(NamedTuple):
    """One pair as read.

    Attributes:
        url: Its URL, None where there is none.
        text: Its text, None where there is none.
        others: What else the input says of it, by name.
        image: Where its image lies (tar, offset, bytes), if the input holds images.
        problem: Why it has no URL, no text or no image, where the file tells.
    """

    url: str | None
    text: str | None
    others: dict[str, Any]
    image: tuple[str, int, int] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written.

    Attributes:
        encoding: Python's name of it.
        delimiter: What separates cells, None where there are none.
        quote: What cells are quoted with, None where nothing is.
        header: Whether the first line names the columns, None where there are none.
    """

    encoding: str
    delimiter: str | None = None
    quote: str | None = None
    header: bool | None = None

    def __str__(self) -> str:
        encoding = f"encoding {self.encoding}"
        if self.delimiter is None:
            return encoding
        delimiter = _NAMES.get(self.delimiter, f"`{self.delimiter}`")
        quote = f"quote `{self.quote}`" if self.quote else "no quotes"
        header = "with a header" if self.header else "without a header"
        return f"delimiter {delimiter}, {quote}, {encoding}, {header}"


class BadFile(BadOption):
    """A file that cannot be read to its end, whatever the recipe says."""


# Yields the pairs of one file; BadOption where it cannot be read as the recipe says, BadFile where
# the file is broken.
Records = Callable[[InputFile, Input], Iterator[Record]]


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a file are read where they lie.

    Attributes:
        footer: Returns the number of rows and the schema, its names distinct, given the column of
            images, if there is one; without its bytes. BadOption.
        read: Returns rows, given location, first row, rows, the file's rows when planned and the
            column of images; without its bytes. Stopped where the file has changed since.
        images: Yields the images of rows, given location, rows in ascending order and their
            column; None where a row has none. Absent where the format holds none.
    """

    footer: Callable[[InputFile, str | None], tuple[int, pa.Schema]]
    read: Callable[[str, int, int, int, str | None], pa.Table]
    images: Callable[[str, Sequence[int], str], Iterator[pa.Buffer | None]] | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader of one format.

    Attributes:
        format: Its name in the recipe.
        suffixes: What the names of its files end in, in lower case.
        read: How the pairs are read.
        compressed: Whether a file may be compressed as a whole.
        holds_images: Whether its records say where their image lies, so that nothing is fetched.
        holds_pages: Whether its pairs are taken from pages, so that `input.pages` means something.
        beside: Suffixes of what may lie beside its files and is no input.
        companion: Suffix of the file of the same name that goes with each file, "" for none.
        dialect: Returns how a file is written, for people and the plan to know.
        columns: Returns the names of a file's extra columns, all of text, without reading its rows.
        group: Makes of the files, and of those beside them, the fewer that are read.
    """

    format: str
    suffixes: tuple[str, ...]
    read: Records | Rows
    compressed: bool = False
    holds_images: bool = False
    holds_pages: bool = False
    beside: tuple[str, ...] = ()
    companion: str = ""
    dialect: Callable[[InputFile, Input], Dialect] | None = None
    columns: Callable[[InputFile, Input], list[str]] | None = None
    group: Callable[[Sequence[InputFile]], list[InputFile]] | None = None

    @property
    def takes_image(self) -> bool:
        """Return whether `input.image` means something for its files."""
        if isinstance(self.read, Rows):
            return self.read.images is not None
        return self.holds_images and self.group is None


def missing_column(location: str, key: str, name: str, known: list[str]) -> BadOption:
    """Return the error for a column that `input.<key>` names and the file does not have."""
    return BadOption(f"input.{key}: {location} has no column `{name}`; {nearest(name, known)}")


def chosen(captions: Sequence[str | None], rule: str, seed: str) -> str | None:
    """Return the caption that is the text; None where none has any characters.

    Args:
        captions: In the order of the input.
        rule: `first`, `longest` (the first of them), or `random(n)` by the number n.
        seed: What tells the pair from others, such as its URL; it shapes `random` alone.
    """
    usable = [caption for caption in captions if caption and caption.strip()]
    if not usable:
        return None
    if rule == FIRST:
        return usable[0]
    if rule == LONGEST:
        return max(usable, key=len)
    drawn = hashlib.md5(f"{rule} {seed}".encode("utf-8", "surrogatepass"), usedforsecurity=False)
    return usable[int.from_bytes(drawn.digest()[:8], "big") % len(usable)]


def is_captions(value: Any) -> bool:
    """Return whether a JSON value is a list of strings, some of them perhaps null."""
    if not isinstance(value, list):
        return False
    strings = sum(isinstance(one, str) for one in value)
    return strings > 0 and strings + value.count(None) == len(value)


def told(name: str, value: Any) -> str:
    """Return what is wrong with a value that should be a string."""
    kind = "a list" if isinstance(value, list) else _KINDS.get(type(value), "no string")
    return f"`{name}` is {kind}: {str(value)[:SHOWN]}"
