"""JSON that knows its own checksum, so that one flipped byte in it is not taken for what was put.

Markers name the checksums of all other files; nothing names theirs. So each of these small files
begins with a field `checksum`: the first 64 bits of the SHA-256 of all bytes behind it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

FIELD = "checksum"
_HEAD = re.compile(rb'\A\{"checksum": "([0-9a-f]{16})"')


def dumps(content: Mapping[str, Any], **options: Any) -> bytes:
    """Return the JSON of `content` with its checksum, the same bytes for the same content.

    `options` are those of `json.dumps`.
    """
    tail = json.dumps(content, sort_keys=True, **options).encode()[1:]
    if content:
        tail = b"," + tail
    return f'{{"{FIELD}": "{_sum(tail)}"'.encode() + tail


def loads(data: bytes) -> dict[str, Any]:
    """Return what `dumps` was given; what has no checksum, from before there was one, passes.

    Raises:
        ValueError: it is no JSON object, or the checksum is that of other bytes.
    """
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    if FIELD in content:
        del content[FIELD]
        head = _HEAD.match(data)
        if head is None or head[1].decode() != _sum(data[head.end() :]):
            raise ValueError("its checksum is that of other bytes")
    return content


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
