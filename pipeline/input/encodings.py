"""Text that is not in the encoding it should be in: told by row, and for the file as a whole.

Bytes that are not UTF-8 are decoded to lone surrogates (`surrogateescape`), so that they can be
told from what was written; a URL or text with such a byte is none, because nobody should train on
its escape. It stays, escaped, as an extra column.
"""

import codecs
import io
import re
from typing import Any

from pairsieve.pipeline.input.files import InputFile
from pairsieve.pipeline.input.reader import BadFile
from pairsieve.schemas.errors import BadOption

UTF_8 = "utf-8"
HEAD_BYTES = 4096
SHOWN = 60  # characters of a value that is told
_RAW = re.compile("[\udc80-\udcff]")  # a byte that was no UTF-8
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Encoding:
    """What is known of the encoding of one file while its rows are read."""

    def __init__(self, file: InputFile) -> None:
        self._location = file.location
        self._right = self._wrong = 0  # values beyond ASCII

    def fits(self, line: bytes) -> bool:
        """Return whether a line beyond ASCII is UTF-8, and count it if so."""
        try:
            line.decode(UTF_8)
        except UnicodeDecodeError:
            return False
        self._right += 1
        return True

    def taken(self, name: str, value: str, others: dict[str, Any]) -> tuple[str | None, str | None]:
        """Return a URL or text, and None; or None and why it is none, and put it into `others`."""
        if value.isascii():
            return value, None
        if not _RAW.search(value):
            self._right += 1
            return value, None
        self._wrong += 1
        others[name] = escaped = plain(value)
        return None, f"`{name}` is not UTF-8: {escaped[:SHOWN]}"

    def check(self) -> None:
        """Refuse the file if it is, as a whole, in another encoding: no value beyond ASCII fits.

        Raises:
            BadOption: naming the likely encoding.
        """
        if self._wrong and not self._right:
            raise BadOption(
                f"input.encoding: {self._location}: none of {self._wrong:,} values beyond ASCII is "
                "UTF-8; they are probably Windows-1252 or Latin-1: say `input.encoding: cp1252`"
            )


def plain(value: str | None) -> Any:
    """Return a value with the bytes that were no UTF-8 escaped with backslashes; None as it is."""
    if value is None or value.isascii() or not _RAW.search(value):
        return value
    return _RAW.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", value)


def as_utf8(stream: io.BufferedReader, file: InputFile, encoding: str) -> io.BufferedReader:
    """Return a stream of the file's text in UTF-8.

    Reading raises UnicodeError where it is not in `encoding`; UTF-8 itself is not checked here.

    Raises:
        BadFile: it should be UTF-8 and is plainly UTF-16.
    """
    if encoding == UTF_8:
        head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        if head.startswith(_BOMS) or 4 * head.count(0) > len(head):
            raise BadFile(f"{file.location}: looks like UTF-16; say `input.encoding: utf-16`")
        return stream
    import pyarrow as pa

    transcoded = pa.transcoding_input_stream(pa.PythonFile(stream, "r"), encoding, UTF_8)
    return io.BufferedReader(transcoded, 1 << 20)
