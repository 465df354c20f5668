"""Filters of the user's own: from a Python file or an installed package, checked before any work.

They are what the built-in ones are, a class with `reads`, `writes`, `measure` and `rule`, with
columns of their own. These lie in the ledger behind the input's columns.
"""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from pairsieve.filters import FILTERS
from pairsieve.filters.base import OWN, Filters, measured, name_of
from pairsieve.filters.order import ordered
from pairsieve.schemas.columns import (
    COLOURS,
    COLUMNS,
    HEIGHT,
    LUMA,
    LUMA_256,
    TEXT,
    UNSTORED,
    URL,
    WIDTH,
    Column,
)
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_filters import OwnFilters
from pairsieve.schemas.recipe_keep import KEEP_KEYS

Result = TypeVar("Result")
GROUP = "pairsieve.filters"  # of entry points
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# With which a measure is tried before any work: three rows.
_PLANE = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
TRIAL: dict[Column, Any] = {
    URL: np.array(["http://example.org/a.jpg", "b", "http://example.org/\u00e4"], object),
    TEXT: np.array(["A dog runs", "1", "\u72ac\u304c\u8d70\u308b"], object),
    WIDTH: np.array([640, 16, 48], np.int32),
    HEIGHT: np.array([480, 16, 64], np.int32),
    COLOURS: np.zeros((3, 5, 5, 3), np.uint8),
}


def of(recipe: Recipe | None) -> Filters:
    """Return all filters, those of the user's own last.

    Raises:
        BadOption: a file or package cannot be read, or a filter in it cannot work.
    """
    return _loaded(recipe.filters) if recipe and recipe.filters else FILTERS


def columns(filters: Filters) -> tuple[Column, ...]:
    """Return the columns that filters of the user's own write."""
    return tuple(column for f in filters if hasattr(f, OWN) for column in getattr(f, "writes", ()))


def identity(recipe: Recipe) -> dict[str, str]:
    """Return what stands for the code of each of the user's filters that measures, by its name."""
    own = (f for f in of(recipe) if hasattr(f, OWN) and hasattr(f, "measure"))
    return {name_of(f): str(getattr(f, OWN)) for f in own}


@cache
def _loaded(section: OwnFilters) -> Filters:
    found: list[type[Any]] = []
    for index, path in enumerate(section.files):
        found += _of_module(f"filters.files.{index}", path, _from_file(index, path))
    for index, name in enumerate(section.packages):
        found += _of_package(f"filters.packages.{index}", name)
    names = {name_of(f): "is one of pairsieve's own" for f in FILTERS}
    names |= dict.fromkeys(KEEP_KEYS, "means something else in `keep`")
    for f in found:
        if (name := name_of(f)) in names:
            raise BadOption(f"filters: `{name}` {names[name]}; give the class another name")
        names[name] = "is there twice"
    filters = (*FILTERS, *found)
    ordered(filters)
    for f in found:
        _try(name_of(f), f)
    return filters


def _from_file(index: int, path: str) -> ModuleType:
    """Return the module in a Python file."""
    key = f"filters.files.{index}"
    if not Path(path).is_file():
        raise BadOption(f"{key}: {path}: no such file")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    name = f"pairsieve_own_filters_{Path(path).stem}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadOption(f"{key}: {path}: not a Python file, whose name ends in `.py`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _safely(partial(spec.loader.exec_module, module), f"{key}: {path}: cannot be imported")
    return module


def _of_package(key: str, name: str) -> list[type[Any]]:
    """Return the filters that an installed package offers under a name."""
    offered = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name not in offered:
        known = nearest(name, sorted(offered)) if offered else "none is installed"
        raise BadOption(f"{key}: no installed package offers `{name}`; {known}")
    loaded: Any = _safely(offered[name].load, f"{key}: {name}: cannot be imported")
    if isinstance(loaded, ModuleType):
        return _of_module(key, name, loaded)
    several = loaded if isinstance(loaded, tuple | list) else [loaded]
    return [_checked(f"{key}: {name}", f) for f in several]


def _of_module(key: str, where: str, module: ModuleType) -> list[type[Any]]:
    """Return the filters that a module defines, in its order."""
    found = [
        _checked(f"{key}: {where}", value)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and name[0] != "_"
        if hasattr(value, "measure") or hasattr(value, "rule")
    ]
    if not found:
        raise BadOption(f"{key}: {where}: holds no class with `measure` or `rule`: no filter")
    return found


def _checked(where: str, f: Any) -> type[Any]:
    """Return a filter, marked as one of the user's own; refuse what cannot be one."""
    where = f"{where}: `{getattr(f, '__name__', f)}`"
    if not isinstance(f, type) or not is_dataclass(f):
        raise BadOption(f"{where} is no dataclass: put `@dataclass(frozen=True)` before the class")
    made: Any = _safely(f, f"{where} cannot be made without options, which need defaults")
    if hasattr(f, "rule"):
        rule = _safely(made.rule, f"{where} fails in `rule`")
        if not isinstance(rule, str):
            raise BadOption(f"{where} must return a DuckDB condition from `rule`, not {rule!r}")
    if problem := _wrong_columns(f) if hasattr(f, "measure") else None:
        raise BadOption(f"{where} {problem}")
    setattr(f, OWN, _code(f))
    return f


def _wrong_columns(f: Any) -> str | None:
    """Return what is wrong with the columns of a filter that measures."""
    for name in ("reads", "writes"):
        listed = getattr(f, name, None)
        if not isinstance(listed, tuple) or not listed or not _all_columns(listed):
            return f"needs `{name}`, a tuple of columns (pairsieve.schemas.columns.Column)"
    return next(filter(None, map(_wrong_column, f.writes)), None)


def _all_columns(listed: tuple[Any, ...]) -> bool:
    return all(isinstance(column, Column) for column in listed)


def _wrong_column(column: Column) -> str | None:
    """Return what is wrong with a column that a filter of the user's own writes."""
    known = {other.name for other in (*COLUMNS, *UNSTORED)}
    if not _NAME.fullmatch(column.name):
        return f"writes `{column.name}`: the name must look like `my_score`"
    if column.name in known:
        return f"writes `{column.name}`, which is pairsieve's: give it a column of its own"
    types = pa.types
    plain = types.is_integer(column.type) or types.is_floating(column.type)
    if not (plain or types.is_boolean(column.type) or types.is_string(column.type)):
        return f"writes `{column.name}`, a {column.type}: it may be a number, a flag or a text"
    if not column.doc:
        return f"writes `{column.name}` without a sentence on what it is: give it a `doc`"
    return None


def _try(name: str, f: type[Any]) -> None:
    """Refuse a measure that fails on three plain rows, or on none, or gives something else."""
    planes = np.empty(3, object)
    planes[:] = [_PLANE, _PLANE[:16, :16], _PLANE[:, :48]]
    inputs = TRIAL | {LUMA: planes, LUMA_256: planes}
    if not hasattr(f, "measure") or not set(f.reads) <= inputs.keys():
        return
    for rows in (3, 0):
        some = {column: inputs[column][:rows] for column in f.reads}
        why = f"filters: `{name}` fails in `measure` on {rows} plain rows"
        for column, array in _safely(partial(_measured, f, some), why).items():
            if len(array) != rows:
                raise BadOption(
                    f"filters: `{name}` gives {len(array)} values of `{column}` for {rows} rows"
                )


def _measured(f: type[Any], inputs: dict[Column, Any]) -> dict[str, pa.Array]:
    """Return what a filter measures, by column, as the ledger would have it."""
    return {
        column.name: pa.array(np.asarray(array).tolist(), column.type)
        for column, array in measured(f(), inputs).items()
    }


def _code(f: type[Any]) -> str:
    """Return what stands for the code of a filter: its file's content and its defaults."""
    module = sys.modules[f.__module__]
    file = getattr(module, "__file__", None)
    body = Path(file).read_bytes() if file else f.__qualname__.encode()
    defaults = repr([(option.name, option.default) for option in fields(f)])
    return hashlib.sha256(body + defaults.encode()).hexdigest()[:16]


def _safely(call: Callable[[], Result], what: str) -> Result:
    """Return what a call into the user's code gives.

    Raises:
        BadOption: it fails, however that is.
    """
    try:
        return call()
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadOption(f"{what}: {told}") from error
