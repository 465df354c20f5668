"""On what `pairsieve evaluate` evaluates a model: the YAML file of `--sets`, checked as a whole."""

from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic_core import ErrorDetails

from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_file import MAX_SHOWN, load_option

KEY = "--sets"
OF_ZERO_SHOT = ("classes", "templates")
IMAGENET = "imagenet"  # stands for open_clip's own names or templates


class EvaluationSet(Section):
    """One set: of `zero_shot` or of `retrieval`, each the path of a folder."""

    zero_shot: str | None = Field(
        None, min_length=1, description="A folder per class, or WebDataset tars with `.cls`."
    )
    retrieval: str | None = Field(
        None, min_length=1, description="Pictures and `.txt` beside them, or WebDataset tars."
    )
    classes: str | None = Field(
        None, min_length=1, description="File of class names, one a line; or `imagenet`."
    )
    templates: str | None = Field(
        None, min_length=1, description="File of templates with `{c}`, one a line; or `imagenet`."
    )

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if (self.zero_shot is None) == (self.retrieval is None):
            raise ValueError("say one of `zero_shot` and `retrieval`")
        given = [key for key in OF_ZERO_SHOT if getattr(self, key)]
        if self.retrieval and given:
            raise ValueError(f"`{given[0]}` is of `zero_shot`; leave it out")
        return self

    @property
    def path(self) -> str:
        """Return the folder."""
        return self.zero_shot or self.retrieval or ""


_FILE = TypeAdapter(dict[str, EvaluationSet])


def load(path: Path) -> dict[str, EvaluationSet]:
    """Return the sets that a file names; relative paths in it start at its folder.

    Raises:
        BadOption: it cannot be read, a key or value in it is not allowed, or it names no set.
    """
    sets = load_option(KEY, path, _FILE.validate_python, _explained)
    if not sets:
        raise BadOption(f"{KEY}: {path}: names no set; write `NAME: {{zero_shot: FOLDER}}`")
    return {name: _anchored(path.resolve().parent, one) for name, one in sets.items()}


def _anchored(folder: Path, one: EvaluationSet) -> EvaluationSet:
    """Return a set with relative local paths made absolute from `folder`."""
    given = one.model_dump(exclude_none=True)
    absolute = {
        key: value
        if "://" in value or (key in OF_ZERO_SHOT and value == IMAGENET)
        else str(folder / Path(value).expanduser())
        for key, value in given.items()
    }
    return one.model_copy(update=absolute)


def _explained(error: ErrorDetails) -> str:
    """Return key, value and what is allowed for one of pydantic's complaints."""
    key = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        return f"{key}: unknown key; {nearest(name, list(EvaluationSet.model_fields))}"
    if error["type"] in ("dict_type", "model_type", "model_attributes_type"):
        return f"{key}: must hold keys with values, as in `NAME: {{zero_shot: FOLDER}}`"
    shown = str(error["input"])[:MAX_SHOWN]
    given = "" if error["type"] == "value_error" else f", got {shown!r}"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}{given}"
