"""What a filter is to the pipeline: it measures, offers a rule, or both."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pairsieve.schemas.arrays import Floats, Vectors
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe

Function = TypeVar("Function", bound=Callable[..., Any])
Filters = tuple[type[Any], ...]
OWN = "_pairsieve_own"  # which attribute marks a class of the user's own; it stands for its code


@runtime_checkable
class Measures(Protocol):
    """Computes columns from other columns: slow, once, pure.

    `measure` takes one array per column of `reads`, by name, and returns the array of the one
    column of `writes`, or a tuple of arrays when there are several. It never sees a null: where one
    of `reads` is null, so is what it writes. What it reads decides when it runs (`order.py`).
    """

    reads: ClassVar[tuple[Column, ...]]
    writes: ClassVar[tuple[Column, ...]]

    @property
    def measure(self) -> Callable[..., Any]:
        """Return the columns of `writes` for these rows."""
        ...


@runtime_checkable
class Configured(Measures, Protocol):
    """A measure in `gather` that the recipe may change or leave out.

    `needs` is what the recipe must say for it to be made, "" for a measure always made.
    """

    needs: ClassVar[str]

    def configured(self, recipe: Recipe) -> Measures | None:
        """Return what measures as the recipe says, None where nothing does."""
        ...


@runtime_checkable
class Prompted(Measures, Protocol):
    """A measure that reads PROMPT_LOGITS: cosines of the image to each class of prompts.

    `prompts` maps a class to its prompt texts, in the order of the columns of `prompt_logits`.
    """

    prompts: ClassVar[dict[str, tuple[str, ...]]]


@runtime_checkable
class Rules(Protocol):
    """Decides from ledger columns alone: fast, so it may be repeated with other thresholds."""

    def rule(self) -> str:
        """Return the DuckDB condition, over ledger columns, of a pair to keep."""
        ...


# By filter. Not functools.cache: to mypy, a class of any kind cannot be hashed.
_NAMES: dict[type[Any], str] = {}
_CHECKERS: dict[type[Any], TypeAdapter[Any]] = {}


def name_of(f: type[Any]) -> str:
    """Return the name of a filter, as its file, its rule and the recipe have it."""
    if f not in _NAMES:
        _NAMES[f] = re.sub(r"(?<!^)(?=[A-Z])", "_", f.__name__).lower()
    return _NAMES[f]


def checker_of(f: type[Any]) -> TypeAdapter[Any]:
    """Return what checks the options of a filter; kept, as making it takes longer than using it."""
    if f not in _CHECKERS:
        _CHECKERS[f] = TypeAdapter(f)
    return _CHECKERS[f]


def measured(measure: Measures, inputs: Mapping[Column, Any]) -> dict[Column, Any]:
    """Return the array of every column that `measure` writes, from those of `inputs`."""
    result = measure.measure(**{column.name: inputs[column] for column in measure.reads})
    arrays = result if isinstance(result, tuple) else (result,)
    return dict(zip(measure.writes, arrays, strict=True))


def configured(one: Measures, recipe: Recipe | None) -> Measures | None:
    """Return a measure as the recipe wants it, None where it leaves it out.

    Without a recipe a measure that needs none is as it is.
    """
    if not isinstance(one, Configured):
        return one
    if recipe is None:
        return None if one.needs else one
    return one.configured(recipe)


def softmax(logits: Vectors) -> NDArray[np.float64]:
    """Return the probabilities of classes, (n, classes), from their logits; each row adds to 1."""
    wide = logits.astype(np.float64)
    weights = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def probability(logits: Vectors, prompts: Mapping[str, object], name: str) -> Floats:
    """Return the softmax probability of the class `name` of `prompts`, (n,), in [0, 1]."""
    return softmax(logits)[:, list(prompts).index(name)].astype(np.float32)


def compiled(function: Function) -> Function:
    """Return the function compiled by numba; cached on disk where numba finds a folder to write.

    It does not hold the interpreter's lock, so threads run it side by side. The cache notices a
    change of the function's own file only: a compiled function that may change is called by
    compiled ones of its own file alone. Asked for again it is the same.
    """
    return cast(Function, _machine_code(function))


@cache
def _machine_code(function: Any) -> Any:
    import numba

    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)
