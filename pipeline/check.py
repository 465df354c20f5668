"""Check: everything that can be refused before any work, in one place.

`check` looks at the recipe and at the local files that it names, for what is going to run;
`check_input` at what only the columns of the input tell, as soon as there is a plan. A section of
the recipe measures, a rule in `keep` decides: so a rule whose section is missing would let all pass
and is refused, while a section on which no rule decides is only worth a warning, because another
selection of the same dataset may have the rule.
"""

import os
from collections.abc import Callable, Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from pairsieve.filters import entry_lists, language_models, own, sequence_classifier, word_lists
from pairsieve.pipeline.alignment import targets
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.stages import VERBS
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import near_duplicates, semantic
from pairsieve.pipeline.external import blocklist, earlier_datasets, evaluation_sets
from pairsieve.pipeline.fetch import curl_options, img2dataset
from pairsieve.pipeline.image import extras
from pairsieve.pipeline.input.formats import InputFiles, check_format
from pairsieve.pipeline.ledger.left_out import unmeasured
from pairsieve.pipeline.ledger.rules import check as check_rules
from pairsieve.pipeline.ledger.rules import reads, rules
from pairsieve.pipeline.models import clip, pretrained
from pairsieve.pipeline.rights import c2pa_manifest
from pairsieve.pipeline.unit.input_columns import (
    check_hashes,
    dialect_sentences,
    dialects,
    preview,
    read_beginnings,
)
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.vectors import centroids, scorers
from pairsieve.schemas.columns import (
    BALANCED,
    BOILERPLATE,
    CLUSTERED,
    COLUMNS,
    EVAL_OVERLAP,
    NEG_CLIP_LOSS,
    NORM_SIM,
    Column,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.presets import PRESETS
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_captions import ALL, Captions
from pairsieve.schemas.recipe_opt_outs import OF_ROBOTS_TXT
from pairsieve.schemas.recipe_shard import PARQUET_COLUMNS

TEMPLATE_ROBOT = "example-lab"  # whoever runs the template must say who he is
FILES_OPENED = 1000  # by `check` alone, before there is a plan
FASTTEXT = (793712314).to_bytes(4, "little")  # how its files begin
ALL_VERBS = tuple(stage.name for stage in VERBS)


def check(
    recipe: Recipe, store: Store | None = None, verbs: Collection[str] = ALL_VERBS
) -> list[str]:
    """Return what to warn of before these verbs run.

    Args:
        recipe: The recipe.
        store: The dataset, if it is known yet; it may not be there.
        verbs: What is going to run; by default all of the pipeline.

    Raises:
        BadOption: something in the recipe cannot work, or what it names cannot be read.
    """
    check_format(recipe.input)
    rules(recipe)
    unmeasured(recipe)
    folder = recipe.scratch.folder
    if folder and not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
        raise BadOption(f"scratch.folder: {folder} is no folder that can be written to; make it")
    _text_files(recipe)
    _entries(recipe)
    if recipe.blocklist:
        blocklist.load(recipe.blocklist)
    _alignment(recipe)
    warnings = [*_presets(recipe), *_reference_sets(recipe, store)]
    if recipe.captions and "caption" in verbs:
        warnings += _captions(recipe.captions, store)
    for asking, checked in _OF_VERBS:
        if set(asking) & set(verbs):
            warnings += checked(recipe)
    return warnings


def check_input(recipe: Recipe, plan: Plan) -> None:
    """Refuse what does not fit the input that was planned; better now than after all is fetched.

    Raises:
        BadOption: the input has only URLs and the recipe no `fetch`; or the boxes to blur or a rule
            are in a column that there will not be.
    """
    _check_fetch(recipe, plan.images)
    for column in (recipe.opt_outs.page, recipe.image.blur_boxes):
        if column is not None:
            plan.column_of(column)
    columns = _own_columns(recipe, plan.schema.names)
    schema = pa.schema([*arrow_schema(columns), *plan.schema])
    check_rules(rules(recipe), schema, recipe.input.image)
    check_sample_columns(recipe, plan.schema.names)


def check_files(recipe: Recipe, input_files: InputFiles) -> tuple[list[str], list[str]]:
    """Return what is known of files that are not planned yet, and warnings; refuse unfit rules.

    Footers and first lines are read, of `FILES_OPENED` files at most, and more of some text files.

    Raises:
        BadOption: a file cannot be read as the recipe says, a rule reads a column that none has, or
            there are URLs and no `fetch`.
    """
    reader, files = input_files.reader, input_files.files[:FILES_OPENED]
    schema = preview(recipe, reader, files)
    told = dialect_sentences(dialects(reader, files, recipe.input))
    warnings = read_beginnings(recipe, reader, files)
    if len(files) < len(input_files.files):
        told.append(f"Of {len(input_files.files):,} files the first {len(files):,} were opened.")
        return told, warnings
    if schema is not None:
        check_hashes(recipe.input, schema)
        columns = _own_columns(recipe, schema.names)
        check_sample_columns(recipe, schema.names)
        schema = pa.schema([*arrow_schema(columns), *schema])
        check_rules(rules(recipe), schema, recipe.input.image)
    _check_fetch(recipe, reader.holds_images or recipe.input.image is not None)
    return told, warnings


def _check_fetch(recipe: Recipe, images: bool) -> None:
    """Refuse URLs that nothing fetches; `images` tells whether the input holds images."""
    if recipe.fetch is None and not images:
        raise BadOption("fetch: missing; the input has only URLs, so say at least `user_agent`")


def _own_columns(recipe: Recipe, extra: Collection[str]) -> tuple[Column, ...]:
    """Return all columns that pairsieve and the user's filters write; refuse those of the input."""
    columns = own.columns(own.of(recipe))
    for column in columns:
        if column.name in extra:
            raise BadOption(
                f"filters: `{column.name}` is a column of the input, too; give the filter's column "
                f"another name, or say `input.leave_out: [{column.name}]`"
            )
    return (*COLUMNS, *recipe.other_scores, *columns)


def check_sample_columns(recipe: Recipe, extra: Collection[str]) -> None:
    """Refuse columns of samples that there will not be, or that are not for samples."""
    ours = {column.name: column.in_sample for column in _own_columns(recipe, ())}
    known = [*(name for name, in_sample in ours.items() if in_sample), *extra]
    if recipe.shard.layout == "parquet" and (taken := sorted(set(PARQUET_COLUMNS) & {*extra})):
        raise BadOption(
            f"shard.layout: `parquet` has a column `{taken[0]}` of its own, and the input has one, "
            f"too; say `input.leave_out: [{taken[0]}]`"
        )
    for index, name in enumerate(recipe.shard.columns or ()):
        if name not in known:
            why = "is for the ledger alone" if name in ours else "is no column"
            raise BadOption(f"shard.columns.{index}: `{name}` {why}; {nearest(name, known)}")


def _text_files(recipe: Recipe) -> None:
    """Refuse files of the section `text` that cannot be read."""
    if recipe.text and recipe.text.language_model:
        path = Path(recipe.text.language_model)
        if not path.is_file():
            raise BadOption(f"text.language_model: {path}: no such file")
        with path.open("rb") as file:
            if file.read(4) != FASTTEXT:
                raise BadOption(
                    f"text.language_model: {path}: not a model of fastText (.bin, .ftz)"
                )
    if recipe.text and (perplexity := recipe.text.perplexity):
        try:
            language_models.check(perplexity.model, perplexity.pieces)
        except ValueError as error:
            raise BadOption(f"text.perplexity: {error}") from error
    _word_lists(recipe)
    _classifiers(recipe)


def _word_lists(recipe: Recipe) -> None:
    """Refuse word lists that cannot be read, and rules on others."""
    lists = recipe.text.word_lists if recipe.text else {}
    files = {f"text.word_lists.{name}": path for name, path in lists.items()}
    if recipe.text and recipe.text.nouns:
        files["text.nouns"] = recipe.text.nouns
    for key, path in files.items():
        try:
            word_lists.read(path)
        except (OSError, ValueError) as error:
            raise BadOption(f"{key}: {error}") from error
    _named(recipe, "text_safety.lists", "word list", list(lists))


def _classifiers(recipe: Recipe) -> None:
    """Refuse classifiers of texts that cannot be loaded, and rules on others."""
    named = recipe.text.classifiers if recipe.text else {}
    for name, one in named.items():
        try:
            sequence_classifier.check(one.model, one.positive)
        except ValueError as error:
            raise BadOption(f"text.classifiers.{name}: {error}") from error
    _named(recipe, "text_classifier.classifiers", "classifier", list(named))


def _named(recipe: Recipe, key: str, what: str, known: list[str]) -> None:
    """Refuse names in an option, written `filter.option`, that are not known, if any are."""
    filter, _, option = key.partition(".")
    for index, entry in enumerate(recipe.keep):
        for name in entry.options.get(option) or () if entry.filter == filter else ():
            if known and name not in known:
                near = nearest(str(name), known)
                raise BadOption(f"keep.{index}.{key}: there is no {what} `{name}`; {near}")


def _entries(recipe: Recipe) -> None:
    """Refuse lists of entries that cannot be read, and rules on what `group` is not to find."""
    entries = recipe.group.entries
    if recipe.group.caption_cluster is None and reads(recipe, CLUSTERED):
        raise BadOption(
            "keep: a rule reads which captions are alike, and the recipe has no "
            "`group.caption_cluster`; say there `{}` for what is usual"
        )
    if recipe.group.boilerplate is None and reads(recipe, BOILERPLATE):
        raise BadOption(
            "keep: a rule reads what the captions of a host share, and the recipe has no "
            "`group.boilerplate`; say there `{}` for what is usual"
        )
    if entries is None and reads(recipe, BALANCED):
        raise BadOption(
            "keep: a rule reads what captions are matched with, and the recipe has no "
            "`group.entries`; say there `{path: FILE}`, or `{}` for the words of the pool"
        )
    if entries is None:
        return
    try:
        entry_lists.read_all(entries.path, entries.languages)
    except (OSError, ValueError) as error:
        raise BadOption(f"group.entries: {error}") from error


def _presets(recipe: Recipe) -> Iterator[str]:
    """Warn of thresholds on the scores of another model than the recipe's."""
    if recipe.embed is None:
        return
    model = (recipe.embed.model, recipe.embed.pretrained)
    for preset in (PRESETS[name] for name in recipe.origin.presets):
        if preset.model_name != "-" and preset.model != model:
            yield (
                f"the preset `{preset.name}` presumes the scores of {preset.model_name}, and the "
                f"recipe has {' / '.join(model)}: its threshold may mean nothing for these"
            )


def _fetcher(recipe: Recipe) -> list[str]:
    """Refuse a downloader that is not installed; warn of what it cannot do."""
    if recipe.fetch and recipe.fetch.user_agent.startswith(TEMPLATE_ROBOT):
        raise BadOption(
            "fetch.user_agent: is still the template's; say who you are and how a site's owner can "
            'reach you, e.g. "my-lab/1.0 (+https://my-lab.example/crawler)"'
        )
    if recipe.opt_outs.signers:
        c2pa_manifest.check()
    if recipe.fetch and recipe.fetch.cookies == "chain":
        curl_options.check_cookies()
    if recipe.fetch and recipe.fetch.engine == "img2dataset":
        img2dataset.check(recipe.opt_outs)
        return [img2dataset.WARNING]
    listed = recipe.opt_outs.forms & OF_ROBOTS_TXT if recipe.opt_outs.obey != "all" else ()
    if listed and recipe.fetch and recipe.fetch.robots == "ignore":
        return [
            f"opt_outs.obey: of {' and '.join(sorted(listed))} only headers are seen, since "
            "fetch.robots is `ignore`"
        ]
    return []


def _captions(options: Captions, store: Store | None) -> list[str]:
    """Refuse a key or a selection that is not there; warn of a key that anyone on the way reads."""
    if options.api_key_env and not os.environ.get(options.api_key_env):
        raise BadOption(f"captions.api_key_env: the variable {options.api_key_env} is not set")
    if store and options.of != ALL and store.marker(select_marker(options.of)) is None:
        raise BadOption(
            f"captions.of: there is no selection `{options.of}`; make it with a recipe without "
            "`captions`, or say `of: all`"
        )
    host = urlsplit(options.url).hostname or ""
    near = host == "localhost" or host.startswith("127.") or host == "::1"
    if options.api_key_env and options.url.startswith("http:") and not near:
        return [f"captions.url: the key goes to {host} unencrypted; use https"]
    return []


def _models(recipe: Recipe) -> list[str]:
    """Refuse a model, head or classifier that cannot be had."""
    for model in recipe.models:
        clip.check(model)
        scorers.check(model)
        centroids.check(model)
    return []


def _duplicates(recipe: Recipe) -> list[str]:
    """Refuse rules on duplicates that do not agree, targets that do not fit, a lack of faiss."""
    near_duplicates.max_distance(recipe)
    if recipe.embed and recipe.alignment and recipe.alignment.norm_sim:
        width = int(pretrained.find(recipe.embed).config["embed_dim"])
        targets.read(recipe.alignment.norm_sim.targets, width)
    if semantic.rule(recipe) and find_spec("faiss") is None:
        raise BadOption(
            f"keep: `{semantic.RULE}` needs faiss, which is not installed: "
            "pip install 'pairsieve[search]'"
        )
    return []


# The checks that only some verbs need: a machine that only selects needs no model's files.
_OF_VERBS: tuple[tuple[tuple[str, ...], Callable[[Recipe], list[str]]], ...] = (
    (("gather",), _fetcher),
    (("gather",), extras.check),
    (("embed",), _models),
    (("group",), _duplicates),
)


def _reference_sets(recipe: Recipe, store: Store | None) -> list[str]:
    """Refuse rules and sections on reference sets that do not fit; warn of what nobody uses."""
    on_earlier = reads(recipe, earlier_datasets.COLUMNS)
    on_evaluation = reads(recipe, evaluation_sets.COLUMNS)
    if on_earlier and recipe.known is None:
        raise BadOption(
            "keep: a rule asks what is known, and the recipe has no `known`; list there the "
            "earlier `datasets`"
        )
    if on_evaluation and recipe.decontaminate is None:
        raise BadOption(
            "keep: a rule asks what is in an evaluation set, and the recipe has no "
            "`decontaminate`; list there the `sets`"
        )
    _check_sections(recipe)
    warnings = []
    if recipe.known:
        earlier_datasets.check(recipe.known, store)
        if recipe.known.keep == "older" and not on_earlier:
            warnings.append(_unused("known", "known: {}"))
    if recipe.decontaminate:
        evaluation_sets.check(recipe.decontaminate)
        if not on_evaluation:
            warnings.append(_unused("decontaminate", "eval_overlap: {}"))
    return warnings


def _check_sections(recipe: Recipe) -> None:
    """Refuse what the sections cannot give to the rules."""
    dropping = any(entry.filter == "known" for entry in recipe.keep)
    if recipe.known and recipe.known.keep == "newer" and dropping:
        raise BadOption(
            "known.keep: `newer` keeps what is known, and the rule `known` drops it; leave out one "
            "of them"
        )
    if recipe.decontaminate is None:
        return
    if recipe.decontaminate.vectors and recipe.embed is None:
        raise BadOption("decontaminate.vectors: needs a model; name it in `embed`")
    if not recipe.decontaminate.vectors and reads(recipe, (EVAL_OVERLAP,)):
        raise BadOption(
            f"keep: a rule reads {EVAL_OVERLAP.name}, and vectors are not compared; say "
            "`vectors: true` in `decontaminate`"
        )


def _alignment(recipe: Recipe) -> None:
    """Refuse rules on alignment that is not measured: they would drop every pair."""
    for column in (NEG_CLIP_LOSS, NORM_SIM):
        if reads(recipe, (column,)) and not getattr(recipe.alignment, column.name, None):
            raise BadOption(
                f"keep: a rule reads {column.name}, and the recipe does not ask for it; name "
                f"`{column.name}` in the section `alignment`"
            )


def _unused(section: str, rule: str) -> str:
    return (
        f"the recipe has `{section}`, and no rule in `keep` decides on what it finds; "
        f"`- {rule}` drops it"
    )
