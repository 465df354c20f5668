"""Read a recipe from its YAML file; a mistake is reported with its key, value and what may be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pairsieve.schemas import presets
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Embed, Recipe
from pairsieve.schemas.recipe_keep import Origin
from pairsieve.schemas.recipe_scores import Scorer

Checked = TypeVar("Checked")
NO_KEYS = ("other_models",)  # fields that are not keys in the file
MAX_SHOWN = 80  # characters of a wrong value
# What pydantic would say in words of Python.
_PLAIN = {
    "model_type": "must hold keys with values, `key: value`",
    "model_attributes_type": "must hold keys with values, `key: value`",
    "dict_type": "must hold keys with values, `key: value`",
    "tuple_type": "must be a list, `[one, two]`",
    "list_type": "must be a list, `[one, two]`",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must look like {pattern}",
    "string_too_short": "must not be empty",
}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which alone would take the last of two equal keys without a word.

    As in YAML 1.2, `true` and `false` alone are no texts: `no` is the code of Norwegian, and a
    field that is true or false takes it as false all the same.
    """

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if first in "tTfF" or not tag.endswith(":bool")]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; refuse it where a key stands twice."""
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if lines.setdefault(key, line) != line:
                raise yaml.constructor.ConstructorError(
                    problem=f"`{key}` stands in line {lines[key]} already",
                    problem_mark=key_node.start_mark,
                )
        return super().construct_mapping(node, deep)


def value_of(text: str) -> Any:
    """Return the value of some YAML, read as a recipe is; yaml.YAMLError where it is none."""
    return yaml.load(text, _Loader)  # noqa: S506, a safe one


def load(path: Path, change: Callable[[Any], Any] | None = None) -> Recipe:
    """Return the recipe in the YAML file at `path`; a relative input path starts at its folder.

    `change` makes another content of what is in the file, before that is checked.

    Raises:
        BadOption: the file cannot be read, or a key or value in it is not allowed.
    """
    try:
        content = value_of(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadOption(f"{path}: no such recipe; `pairsieve init` writes one") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        why = error.problem or error.context
        raise BadOption(f"{path}{line}: not YAML as it stands: {why}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadOption(f"{path}: not a readable YAML file: {error}") from error
    if isinstance(content, dict) and "other_models" in content:
        raise BadOption(f"{path}: other_models: unknown key; list further models under `embed`")
    try:
        content, used = presets.expanded(content)
    except BadOption as error:
        raise BadOption(f"{path}: {error}") from error
    if change:
        content = change(content)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        lines = (_explain(detail) for detail in error.errors())
        raise BadOption("\n".join(f"{path}: {line}" for line in lines)) from error
    return _with_paths_from(path.resolve().parent, recipe).of_origin(
        Origin(path.name, presets=used)
    )


def load_option(
    option: str,
    path: Path,
    checked: Callable[[Any], Checked],
    explained: Callable[[ErrorDetails], str],
) -> Checked:
    """Return what the YAML file of an option says, checked as a whole; it is no recipe.

    Raises:
        BadOption: it cannot be read, or a key or value in it is not allowed, as `explained`.
    """
    try:
        return checked(value_of(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadOption(f"{option}: {path}: not a readable YAML file: {error}") from error
    except ValidationError as error:
        lines = (f"{option}: {path}: {explained(detail)}" for detail in error.errors())
        raise BadOption("\n".join(lines)) from error


def _explain(error: ErrorDetails) -> str:
    """Return key, value and what is allowed for one of pydantic's complaints."""
    key = ".".join(str(part) for part in _as_written(error["loc"])) or "recipe"
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        return f"{key}: unknown key; {nearest(name, _keys_beside(error['loc']))}"
    if error["type"] == "missing":
        return f"{key}: missing, and there is no default"
    return f"{key}: {said(error)}"


def said(error: ErrorDetails) -> str:
    """Return what is allowed and what was given, for one of pydantic's complaints."""
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    plain = _PLAIN.get(error["type"], "").format(**error.get("ctx", {}))
    return f"{plain or error['msg']}, got {_shown(error['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ..."


def _as_written(keys: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return nested keys as the file has them: further models are in the list `embed`."""
    if keys[:1] != ("other_models",) or not isinstance(keys[1], int):
        return keys
    return ("embed", keys[1] + 1, *keys[2:])


def _keys_beside(keys: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed beside the last one, by walking the models down to its parent."""
    model: type[BaseModel] = Recipe
    for part in keys[:-1]:
        if isinstance(part, str) and part in model.model_fields:  # else a name of the user's own
            model = next(m for m in _models(model.model_fields[part].annotation))
    return [key for key in model.model_fields if key not in NO_KEYS]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models inside an annotation such as `Fetch | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _with_paths_from(folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe with relative local paths made absolute from `folder`."""

    def anchored(value: str) -> str:
        return value if "://" in value else str(folder / Path(value).expanduser())

    changes: dict[str, Any] = {
        "input": recipe.input.model_copy(update={"path": anchored(recipe.input.path)})
    }
    if recipe.blocklist:
        listed = tuple(anchored(path) for path in recipe.blocklist.files)
        changes["blocklist"] = recipe.blocklist.model_copy(update={"files": listed})
    if recipe.known:
        listed = tuple(anchored(path) for path in recipe.known.datasets)
        changes["known"] = recipe.known.model_copy(update={"datasets": listed})
    if recipe.decontaminate:
        sets = tuple(
            each.model_copy(update={"path": anchored(each.path)})
            for each in recipe.decontaminate.sets
        )
        changes["decontaminate"] = recipe.decontaminate.model_copy(update={"sets": sets})
    if recipe.text:
        model = recipe.text.language_model
        lists = {name: anchored(path) for name, path in recipe.text.word_lists.items()}
        nouns = recipe.text.nouns and anchored(recipe.text.nouns)
        files = {"language_model": model and anchored(model), "word_lists": lists, "nouns": nouns}
        classifiers = {
            name: one.model_copy(update={"model": anchored(one.model)})
            for name, one in recipe.text.classifiers.items()
        }
        if perplexity := recipe.text.perplexity:
            pieces = perplexity.pieces and anchored(perplexity.pieces)
            own = {"model": anchored(perplexity.model), "pieces": pieces}
            perplexity = perplexity.model_copy(update=own)
        more = {"classifiers": classifiers, "perplexity": perplexity}
        changes["text"] = recipe.text.model_copy(update=files | more)
    if recipe.filters:
        listed = tuple(anchored(path) for path in recipe.filters.files)
        changes["filters"] = recipe.filters.model_copy(update={"files": listed})
    if entries := recipe.group.entries:
        lists = {name: anchored(path) for name, path in entries.languages.items()}
        files = {"path": entries.path and anchored(entries.path), "languages": lists}
        entries = entries.model_copy(update=files)
        changes["group"] = recipe.group.model_copy(update={"entries": entries})
    if recipe.alignment and recipe.alignment.norm_sim:
        near = recipe.alignment.norm_sim
        near = near.model_copy(update={"targets": anchored(near.targets)})
        changes["alignment"] = recipe.alignment.model_copy(update={"norm_sim": near})
    if recipe.embed:
        first, *others = (_with_files_from(folder, model) for model in recipe.models)
        changes |= {"embed": first, "other_models": tuple(others)}
    return recipe.model_copy(update=changes)


def _with_files_from(folder: Path, model: Embed) -> Embed:
    """Return a model with its local files made absolute from `folder`; names stay names."""
    files = {
        key: str(folder / Path(value).expanduser())
        for key, value in (("model", model.model), ("pretrained", model.pretrained))
        if (folder / Path(value).expanduser()).is_file()
    }
    return _with_scorer_files_from(folder, model.model_copy(update=files))


def _with_scorer_files_from(folder: Path, embed: Embed) -> Embed:
    """Return the section with the files of heads and classifiers made absolute from `folder`."""

    def anchored(scorer: Scorer) -> Scorer:
        files = {key: getattr(scorer, key) for key in ("head", "classifier", "weights")}
        paths = {key: folder / Path(value).expanduser() for key, value in files.items() if value}
        # A classifier that is no folder is a name; a missing head is reported with its path.
        absolute = {k: str(p) for k, p in paths.items() if k != "classifier" or p.exists()}
        return scorer.model_copy(update=absolute)

    scorers = {name: anchored(scorer) for name, scorer in embed.scores if scorer}
    concepts = {name: anchored(scorer) for name, scorer in embed.concepts.items()}
    scores = embed.scores.model_copy(update=scorers)
    return embed.model_copy(update={"scores": scores, "concepts": concepts})
