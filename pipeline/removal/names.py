"""What pairs are called by to be taken out: uid, URL, host or hash, from options or a list."""

from collections.abc import Iterator, Mapping, Sequence

from pairsieve.pipeline.external.blocklist import ALLOWED, keys_of
from pairsieve.pipeline.input.files import list_files, open_text
from pairsieve.pipeline.unit.forgotten import UID_KIND, Keys
from pairsieve.schemas.errors import BadOption, nearest

KINDS = (UID_KIND, *ALLOWED)
UID_CHARS = 32
EXACT = 0  # bits that a pHash may differ in if nobody says


def keys(options: Mapping[str, Sequence[str]], lists: Sequence[str]) -> Keys:
    """Return the keys of what options and lists name; those of a list are lines `KIND VALUE`.

    Raises:
        BadOption: a value is none of its kind, or a list cannot be read.
    """
    found: Keys = []
    for kind, values in options.items():
        for value in values:
            try:
                found += _keys(kind, value)
            except ValueError as error:
                raise BadOption(f"--{kind}: {error}; got {value[:200]!r}") from error
    for path in lists:
        found += _of_list(path)
    return list(dict.fromkeys(found))


def _of_list(path: str) -> Iterator[tuple[str, str]]:
    files, _ = list_files(path)
    if not files:
        raise BadOption(f"--list: no file matches {path}")
    for file in files:
        number = 0
        try:
            with open_text(file) as lines:
                for number, raw in enumerate(lines, 1):
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                    if text and not text.startswith("#"):
                        kind, value = (*text.split(None, 1), "")[:2]
                        yield from _keys(kind, value)
        except OSError as error:
            raise BadOption(f"--list: {file.location}: cannot be read: {error}") from error
        except ValueError as error:  # not UTF-8, too
            raise BadOption(f"--list: {file.location}, line {number}: {error}") from error


def _keys(kind: str, value: str) -> list[tuple[str, str]]:
    """Return the keys of one value; ValueError, saying what is allowed, if it is none."""
    if kind == UID_KIND:
        uid = value.lower()
        if len(uid) != UID_CHARS or set(uid) - set("0123456789abcdef"):
            raise ValueError(f"a uid has {UID_CHARS} hex digits")
        return [(kind, uid)]
    if kind not in ALLOWED:
        raise ValueError(f"a line begins with its kind; {nearest(kind, list(KINDS))}")
    return [(found, f"{key:016x}") for found, key in keys_of(kind, value, EXACT)]
