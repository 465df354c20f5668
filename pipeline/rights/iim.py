"""The rights fields of IPTC-IIM: by-line, credit and copyright notice.

Source: IPTC-NAA Information Interchange Model 4.2, 1.5 for the form of datasets, 6 for record 2.
"""

import re
from dataclasses import dataclass

from pairsieve.pipeline.rights.xmp import MAX_CHARS

BY_LINE, CREDIT, NOTICE = 80, 110, 116
MAX_DATASETS = 1_000
_SPACE = re.compile(r"[\s\0]+")


@dataclass(frozen=True, slots=True)
class IimRights:
    """What IIM says; empty where it says nothing.

    Attributes:
        creator: The by-lines, parted by "; ".
        credit: The credit.
        notice: The copyright notice.
    """

    creator: str = ""
    credit: str = ""
    notice: str = ""


def read_iim(block: bytes) -> IimRights:
    """Return what the datasets of record 2 say, up to the first that is broken."""
    fields: dict[int, list[str]] = {BY_LINE: [], CREDIT: [], NOTICE: []}
    at = 0
    for _ in range(MAX_DATASETS):
        head = block[at : at + 5]
        size = int.from_bytes(head[3:], "big")
        if len(head) < 5 or head[0] != 0x1C or size > 0x7FFF:
            break
        if head[1] == 2 and head[2] in fields:
            fields[head[2]].append(decoded(block[at + 5 : at + 5 + size]))
        at += 5 + size
    joined = ("; ".join(filter(None, values))[:MAX_CHARS] for values in fields.values())
    return IimRights(*joined)


def decoded(value: bytes) -> str:
    """Return a text: UTF-8 if it is that, whatever charset is declared, else Latin-1."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return _SPACE.sub(" ", text).strip()
