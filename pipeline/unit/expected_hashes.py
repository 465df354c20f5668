"""Expected hashes: what the input says the bytes of an image must be.

A pair without a value is not checked. A value that no hash can have cannot be verified, so nothing
is fetched for it and the pair ends as a mismatch too.
"""

import hashlib
import re
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.input.extra_columns import called
from pairsieve.schemas.recipe_input import HASHES, Input

_DIGITS = {"sha256": 64, "md5": 32}


class ExpectedHashes:
    """The hashes that the pairs of a task slice are expected to have."""

    def __init__(self, extra_columns: pa.Table, options: Input) -> None:
        """Take them from the extra columns that `options` name."""
        self.malformed: dict[int, str] = {}  # row -> what is wrong with its hash
        self._expected: dict[int, dict[str, str]] = {}
        for kind in HASHES:
            name = getattr(options, kind)
            field = called(extra_columns.schema, name) if name else None
            values = extra_columns[field.name].to_pylist() if field else ()
            for row, value in enumerate(values):
                self._take(row, kind, value)

    @property
    def any(self) -> bool:
        """Return True when some pair has one."""
        return bool(self._expected or self.malformed)

    def mismatches(self, rows: list[int], body: bytes, sha256: str) -> dict[int, str]:
        """Return how the bytes, whose SHA-256 is known, differ from what these rows expect."""
        actual = {"sha256": sha256}
        wrong = {}
        for row in rows:
            for kind, expected in self._expected.get(row, {}).items():
                if kind not in actual:
                    actual[kind] = hashlib.new(kind, body, usedforsecurity=False).hexdigest()
                if actual[kind] != expected:
                    wrong[row] = f"expected {kind} {expected}, found {actual[kind]}"
        return wrong

    def _take(self, row: int, kind: str, value: Any) -> None:
        """Note the hash of one row; digests may also be given as their bytes."""
        if isinstance(value, bytes):
            raw = len(value) * 2 == _DIGITS[kind]
            value = value.hex() if raw else value.decode("ascii", "backslashreplace")
        text = (value or "").strip().lower()
        if text and not re.fullmatch(f"[0-9a-f]{{{_DIGITS[kind]}}}", text):
            self.malformed[row] = f"expected {kind} is not {_DIGITS[kind]} hex digits: {text[:80]}"
        elif text:
            self._expected.setdefault(row, {})[kind] = text
