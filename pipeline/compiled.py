"""Compile a function with numba, once per machine.

This file imports numba at its top, because compiled functions are cached on disk only as globals;
so import what uses it where it is used.
"""

from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function")


def compiled(function: Function) -> Function:
    """Return the function compiled; the result is cached if numba finds a folder it may write."""
    try:
        made: Any = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        made = numba.njit(nogil=True)(function)
    return cast(Function, made)
