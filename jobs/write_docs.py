"""The reference pages of the documentation, written from the code so that they cannot go stale.

`python -m pairsieve.jobs.write_docs` in a checkout rewrites them; a test compares them.
"""

import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from pairsieve.filters import FILTERS
from pairsieve.filters.order import ordered
from pairsieve.jobs.draw_imports import architecture_page
from pairsieve.jobs.recipes import preset_text
from pairsieve.pipeline.dataset.stages import STAGES
from pairsieve.schemas.columns import Column
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

NOTE = "<!-- Written by `python -m pairsieve.jobs.write_docs`; edit the code instead. -->"
READ = "Deciding on what others measure"  # heading of filters without columns of their own
SHARED = 2  # an option that so many commands take stands once, above them
INNER = {  # sections inside a section, and what they are called
    "input": {"Pages": "pages"},
    "fetch": {"Pace": "hosts"},
    "text": {"SequenceClassifier": "classifier", "Perplexity": "perplexity"},
    "alignment": {"NegClipLoss": "neg_clip_loss", "NormSim": "norm_sim"},
    "embed": {"Scores": "scores", "Scorer": "scorer"},
    "group": {"Entries": "entries", "CaptionCluster": "caption_cluster", "Affixes": "boilerplate"},
    "resources": {"Held": "held", "HeldByModel": "held_by_model"},
    "keep": {"AtMost": "at_most", "Sample": "sample", "Mix": "mix", "Lengths": "length_balance"},
}
UNWRITTEN = ("filter", "options", "other_models")  # fields that are not keys in the YAML


def recipe_page() -> str:
    """Return the page on the recipe: every key."""
    lines = [
        "# The recipe",
        "One YAML file says what comes in, what is measured and what is kept. It is checked as a "
        "whole before any input or output is touched: an unknown key or an impossible value is "
        "refused with its place, what was given, what is allowed and the nearest known name. "
        "Relative paths start at the recipe's own folder.",
        "`pairsieve init` writes [a commented one](../jobs/recipes/recipe.yaml) to start from.",
    ]
    schema = Recipe.model_json_schema()
    for name, field in Recipe.model_fields.items():
        if name in UNWRITTEN:
            continue
        (section_class,) = re.findall(r"#/\$defs/(\w+)", str(schema["properties"][name]))
        section = schema["$defs"][section_class]
        needed = " (required)" if field.is_required() else ""
        lines.append(f"## `{name}`{needed}")
        lines += _keep_prose() if name == "keep" else [section["description"]]
        lines.append(_keys_table(section))
        for key, value in section["properties"].items():
            if entry := value.get("items", {}).get("$ref"):
                lines.append(f"An entry of `{key}`:")
                lines.append(_keys_table(schema["$defs"][entry.rpartition("/")[2]]))
        for inner, heading in INNER.get(name, {}).items():
            section = schema["$defs"][inner]
            lines += [f"### `{heading}`", section["description"], _keys_table(section)]
    return _page(lines)


def columns_page() -> str:
    """Return the page on the columns of the ledger, by the verb that writes them."""
    lines = [
        "# The columns of the ledger",
        "The ledger has one row per input pair. Every verb writes its own columns beside `row`; "
        "`stats.duckdb` and the report show them joined. Columns of the input that pairsieve does "
        "not use are kept under their own names. Unit and meaning are in the Parquet files "
        "too, as field metadata. A column may be null unless it says otherwise.",
    ]
    for stage in STAGES:
        if stage.columns:
            verb = stage.verb or stage.name
            lines += [f"## `{verb}`: {stage.rows}", _columns_table(stage.columns)]
    return _page(lines)


def filters_page() -> str:
    """Return the page on the filters: options, columns read and written, rule, source."""
    lines = [
        "# The filters",
        "A filter measures columns, offers a rule under its name in the recipe's `keep`, or both. "
        "What is measured is measured for every pair, whatever the rules are, or, where the filter "
        "says so, if the recipe has a section that asks for it; what each column holds stands with "
        "[the columns](columns.md). A rule is a DuckDB condition (the default one is shown); a "
        "pair without its score does not pass it.",
    ]
    for when, those in _by_moment().items():
        lines.append(f"{when}: {', '.join(f'[`{name}`](#{name})' for name in those)}.")
    for f in sorted(FILTERS, key=_key):
        lines += _filter_section(f)
    return _page(lines)


def commands_page() -> str:
    """Return the page on the command line: every command with its arguments and options."""
    import typer

    from pairsieve.jobs.cli import app

    group = typer.main.get_command(app)
    lines = [
        "# The command line",
        "Every stage is a command, `run` goes through them all. "
        "Exit codes: 0 done, 1 failed or stopped (the same command goes on), 2 wrong use.",
    ]
    every = list(commands(group))
    times = Counter(_option(p) for _, command in every for p in _options(command))
    shared = {
        option: f"`{option[0].strip('`').split()[0]}`"
        for option in times
        if times[option] >= SHARED
    }
    head = ("option", "default", "meaning")
    every_command = [option for option in shared if times[option] == len(every)]
    some = [option for option in shared if option not in every_command]
    lines += ["Every command takes:", _table(head, every_command)]
    lines += ["Several commands take:", _table(head, some)]
    for name, command in every:
        arguments = [_usage(p) for p in command.params if p.param_type_name == "argument"]
        required = [_usage(p) for p in command.params if p.required and p.opts[0].startswith("--")]
        lines += [f"## `{' '.join(('pairsieve', name, *arguments, *required))}`", command.help]
        options = [o for p in _options(command) if (o := _option(p)) not in every_command]
        if own := [option for option in options if option not in shared]:
            lines.append(_table(("option", "default", "meaning"), own))
        if taken := [shared[option] for option in options if option in shared]:
            lines.append(f"{'Also' if own else 'It takes'} {', '.join(taken)}.")
    return _page(lines)


def _options(command: Any) -> list[Any]:
    """Return what stands in the table of a command: its options and what may be left out."""
    return [p for p in command.params if p.param_type_name == "option" or not p.required]


def _option(parameter: Any) -> tuple[str, str, str]:
    """Return the row of an option."""
    return f"`{_usage(parameter)}`", _option_default(parameter), parameter.help or ""


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, e.g. `bench fetch`; `group` is typer's."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name, command


def outcomes_page() -> str:
    """Return the page on the outcomes."""
    lines = [
        "# The outcomes",
        "What became of a pair on its way to a decoded image: the column `outcome` of the ledger. "
        "One that may pass is tried again at once, as often as `retries` of "
        "[the recipe](recipe.md) says, and later with `--retry transient`. How a fetch comes to "
        "each: [fetch.md](fetch.md).",
        _table(
            ("outcome", "may pass", "meaning"),
            ((f"`{o}`", "yes" if o.transient else "", o.doc) for o in Outcome),
        ),
    ]
    return _page(lines)


def presets_page() -> str:
    """Return the page on the presets: what each keeps, whose it is and where it differs."""
    rows = ((f"[`{name}`](#{name})", *rest) for name, *rest in preset_text.rows())
    return _page([*preset_text.PROSE, _table(preset_text.HEAD, rows), *preset_text.paragraphs()])


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "recipe.md": recipe_page,
    "columns.md": columns_page,
    "filters.md": filters_page,
    "outcomes.md": outcomes_page,
    "presets.md": presets_page,
    "architecture.md": lambda: _page([architecture_page()]),
}


def main() -> None:
    """Rewrite the pages in the folder given, `docs` by default."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


def _usage(parameter: Any) -> str:
    """Return how an argument or option is written."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return str(name if parameter.required else f"[{name}]")
    if parameter.is_flag:
        return "/".join((*parameter.opts[:1], *parameter.secondary_opts[:1]))
    choices = type(parameter.default) if isinstance(parameter.default, Enum) else ()
    value = "|".join(choice.value for choice in choices) or parameter.name.upper()
    return f"{parameter.opts[0]} {value}"


def _option_default(parameter: Any) -> str:
    """Return the default of an option as it would be typed."""
    if parameter.required:
        return "required"
    if parameter.default is True:
        return f"`{parameter.opts[0]}`"
    value = getattr(parameter.default, "value", parameter.default)
    return "" if value is None or value is False else f"`{value}`"


def _keep_prose() -> list[str]:
    """Return what the table of keys cannot say about `keep`."""
    return [
        "A list; a pair is kept when every entry says yes. Gates are asked first, then the others "
        "as listed. An entry names exactly one rule:",
        "- a filter with its options, as `- aspect_ratio: {max_ratio: 3}`: [filters](filters.md);\n"
        '- `where`, any DuckDB condition over [columns](columns.md), e.g. `- where: "width * '
        'height >= 65536"`; where it fails, the row is not kept;\n'
        "- `top_fraction` of the column `of`, e.g. `- {top_fraction: 0.3, of: clip_similarity}`.",
        "`keep: {preset: NAME}`, or `- preset: NAME`, stands for rules of [presets](presets.md).",
        "Last, as listed, come `at_most`, `sample`, `mix` and `length_balance`: how many survive.",
        "The keys of an entry:",
    ]


def _keys_table(section: dict[str, Any]) -> str:
    """Return the table of one section of the recipe from its JSON schema."""
    required = section.get("required", ())
    return _table(
        ("key", "type", "default", "allowed", "meaning"),
        (
            (
                f"`{key}`",
                _type_of(value),
                "required" if key in required else _default(value.get("default")),
                _allowed(value),
                value.get("description", ""),
            )
            for key, value in section["properties"].items()
            if key not in UNWRITTEN
        ),
    )


def _default(value: Any) -> str:
    """Return a default as it would be written in YAML, without keys that are none."""
    if isinstance(value, dict):
        value = {key: inner for key, inner in value.items() if inner is not None}
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _choices(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of what a value may be, being absent aside."""
    return [c for c in value.get("anyOf", ()) if c.get("type") != "null"] or [value]


def _type_of(value: dict[str, Any]) -> str:
    """Return the type of a value in plain words."""
    inner, *others = _choices(value)
    if others:
        return " or ".join(_type_of(choice) for choice in (inner, *others))
    if "const" in inner:
        return f"`{inner['const']}`"
    if inner.get("format") == "ipvanynetwork":
        return "network"
    if "$ref" in inner:
        sections = {name: made for inside in INNER.values() for name, made in inside.items()}
        name = sections.get(inner["$ref"].rpartition("/")[2])
        other = "value" if inner["$ref"].endswith("/JsonValue") else "mapping"
        return f"[{name}](#{name})" if name else other
    if inner["type"] == "array":
        return f"list of {_type_of(inner['items'])}s"
    if inner["type"] == "object":
        inside = _type_of(inner["additionalProperties"])
        article = "" if inside[:5] == "names" else "a "
        return f"names, each with {article}{inside}"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return names.get(inner["type"], "number")


def _allowed(value: dict[str, Any]) -> str:
    """Return the bounds or the choices of a value."""
    inner, *others = _choices(value)
    if others:
        return ", ".join(filter(None, map(_allowed, (inner, *others))))
    if inner.get("type") == "array":
        return _allowed(inner["items"])
    if "enum" in inner:
        return ", ".join(f"`{choice}`" for choice in inner["enum"])
    if inner.get("type") != "object" and inner.get("minLength"):
        return "not empty"
    bounds = (
        ("minimum", ">= "), ("exclusiveMinimum", "> "),
        ("maximum", "<= "), ("exclusiveMaximum", "< "),
    )  # fmt: skip
    return ", ".join(f"{sign}{inner[key]:,}" for key, sign in bounds if key in inner)


def _columns_table(columns: Iterable[Column]) -> str:
    """Return the table of some columns."""
    return _table(
        ("column", "type", "unit or range", "meaning"),
        (
            (f"`{c.name}`", f"{c.type}", c.unit, c.doc if c.nullable else f"{c.doc} Never null.")
            for c in columns
        ),
    )


def _key(f: type[Any]) -> str:
    """Return the name of a filter in the recipe."""
    return f.__module__.rsplit(".", 1)[1]


def _by_moment() -> dict[str, list[str]]:
    """Return the names of the filters by when they measure."""
    found: dict[str, list[str]] = {}
    for f in sorted(FILTERS, key=_key):
        when = f"Measured {_when(f)}".rstrip(",") if getattr(f, "writes", ()) else READ
        found.setdefault(when, []).append(_key(f))
    return dict(sorted(found.items()))


def _filter_section(f: type[Any]) -> Iterator[str]:
    """Yield the paragraphs on one filter."""
    prose, _, sources = (sys.modules[f.__module__].__doc__ or "").strip().partition("\nSource:")
    yield f"## `{_key(f)}`"
    yield prose.strip()
    if fields(f):
        yield _option_lines(f)
    reads, writes = getattr(f, "reads", ()), getattr(f, "writes", ())
    if writes:
        listed = ", ".join(f"`{column.name}`" for column in reads)
        needs = f", with `{f.needs}` in the recipe" if getattr(f, "needs", "") else ""
        names = ", ".join(f"`{column.name}`" for column in writes)
        yield f"Measured {_when(f)} from {listed}{needs}: {names}."
    if hasattr(f, "rule"):
        yield f"```sql\n{f().rule()}\n```"
    if sources:
        yield f"Source:{sources}".strip()


def _when(f: type[Any]) -> str:
    """Return the verb and moment at which a filter measures."""
    order = ordered(FILTERS)
    if any(isinstance(one, f) for one in order.text):
        return "in `gather`, before the fetch,"
    return "in `gather`" if any(isinstance(one, f) for one in order.image) else "in `embed`"


def _option_lines(f: type[Any]) -> str:
    """Return a filter's options as a list; the comment beside each in the code says what it is."""
    source = inspect.getsource(f)
    lines = []
    for option in fields(f):
        default = json.dumps(option.default, ensure_ascii=False)
        comment = re.search(rf"^    {option.name}: [^#\n]*#\s*(.*)$", source, re.M)
        lines.append(f"- `{option.name}`, default `{default}`: {comment[1] if comment else ''}")
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _page(paragraphs: Iterable[str]) -> str:
    """Return the page of these paragraphs, with the note on where it comes from."""
    return "\n\n".join((NOTE, *paragraphs)) + "\n"


if __name__ == "__main__":
    main()
