"""Evaluation sets of pictures with a class each, or with captions: found, checked, read in order.

Both are either files or WebDataset tars. Of clip_benchmark's layout for tars, `test/` is read, with
`classnames.txt`, `zeroshot_classification_templates.txt` and `dataset_type.txt` beside it. A folder
per class is read as torchvision's ImageFolder does: classes are the folders, ordered by name.

Source: clip_benchmark/datasets/builder.py, `build_wds_dataset`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pairsieve.pipeline.input.files import InputFile, list_files, open_file
from pairsieve.pipeline.input.webdataset import IMAGES, members
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.evaluation_sets import IMAGENET, KEY, EvaluationSet

ZERO_SHOT, RETRIEVAL = "zero_shot", "retrieval"
TEST = "test/"  # the part that is read where tars have parts
CLASSES, TEMPLATES = "classnames.txt", "zeroshot_classification_templates.txt"
TYPE, TYPES = "dataset_type.txt", {"retrieval": RETRIEVAL, "classification": ZERO_SHOT}
CAPTIONS, CLASS, TAR = "txt", "cls", "tar"


@dataclass(frozen=True, slots=True)
class Source:
    """A set whose files are there.

    Attributes:
        name: Of the set.
        task: ZERO_SHOT or RETRIEVAL.
        pictures: Image files in order; none where there are tars.
        tars: In order; none where there are files.
        captions: The caption file of each picture of a set of RETRIEVAL.
        labels: The class of each picture of a set of ZERO_SHOT.
        classes: Names of the classes, by their number.
        templates: What is said of a class, with `{c}` or `{}` for its name.
    """

    name: str
    task: str
    pictures: tuple[InputFile, ...] = ()
    tars: tuple[InputFile, ...] = ()
    captions: tuple[InputFile, ...] = ()
    labels: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture's bytes with its class, or with its captions."""

    body: bytes
    label: int = -1
    captions: tuple[str, ...] = ()


def find(name: str, asked: EvaluationSet) -> Source:
    """Return where a set lies; no picture is read.

    Raises:
        BadOption: there is no picture, or one without its class or caption; class names or
            templates are missing or wrong.
    """
    root = asked.path.rstrip("/")
    files = {_below(root, file): file for file in list_files(root)[0]}
    ordered = [files[path] for path in sorted(files)]
    source = Source(name, ZERO_SHOT if asked.zero_shot else RETRIEVAL)
    _check_type(source, root, files.get(TYPE))
    tars = [file for file in ordered if _suffix(file.name) == TAR]
    tested = [file for file in tars if _below(root, file).startswith(TEST)]
    pictures = [file for file in ordered if _suffix(file.name) in IMAGES]
    if tars:
        source = replace(source, tars=tuple(sorted(tested or tars, key=_in_order)))
    elif not pictures:
        raise BadOption(f"{KEY}: {name}: {root}: no picture and no tar in it")
    if source.task == ZERO_SHOT:
        return _with_classes(source, asked, root, files, () if tars else pictures)
    return source if tars else _with_captions(source, files, root, pictures)


def samples(source: Source) -> Iterator[Sample]:
    """Yield what is in a set, in order.

    Raises:
        BadOption: a tar is broken, a sample lacks its class or its captions, or a class has no
            name.
    """
    if source.tars:
        for tar in source.tars:
            yield from _of_tar(source, tar)
        return
    for number, picture in enumerate(source.pictures):
        if source.task == ZERO_SHOT:
            yield Sample(_read(picture), source.labels[number])
        else:
            text = _read(source.captions[number])
            yield Sample(_read(picture), captions=_captions(source, picture.location, text))


def _check_type(source: Source, root: str, file: InputFile | None) -> None:
    """Refuse a set of another task, where clip_benchmark's file says which it is of."""
    said = _read(file).decode(errors="replace").strip().lower() if file else ""
    if said and TYPES.get(said) != source.task:
        raise BadOption(
            f"{KEY}: {source.name}.{source.task}: {root} says in {TYPE} that it is for `{said}`; "
            f"known: {', '.join(f'{name} (here `{task}`)' for name, task in TYPES.items())}"
        )


def _with_classes(
    source: Source,
    asked: EvaluationSet,
    root: str,
    files: dict[str, InputFile],
    pictures: Sequence[InputFile],
) -> Source:
    """Return a set of ZERO_SHOT with class names, templates and the classes of image files."""
    inside = [_below(root, picture).partition("/") for picture in pictures]
    if flat := next((name for name, slash, _ in inside if not slash), None):
        raise BadOption(f"{KEY}: {source.name}: {root}/{flat} lies in no folder of a class")
    folders = sorted({name for name, _, _ in inside})
    classes = _lines(source, "classes", asked.classes, files.get(CLASSES))
    if classes is None:
        classes = _imagenet_classes() if asked.classes else folders
    if not classes:
        raise BadOption(f"{KEY}: {source.name}: tars need `classes`, or {CLASSES} in {root}")
    if folders and len(folders) != len(classes):
        raise BadOption(
            f"{KEY}: {source.name}.classes: {len(classes):,} names for the {len(folders):,} "
            f"folders in {root}; write one for each, in the order of the folders' names"
        )
    templates = _lines(source, "templates", asked.templates, files.get(TEMPLATES))
    if templates is None:
        templates = _open_clip_templates(every=asked.templates == IMAGENET)
    for template in templates:
        _check_template(source, template)
    return replace(
        source,
        pictures=tuple(pictures),
        labels=tuple(folders.index(name) for name, _, _ in inside),
        classes=tuple(classes),
        templates=tuple(templates),
    )


def _imagenet_classes() -> list[str]:
    import open_clip

    return list(open_clip.IMAGENET_CLASSNAMES)


def _open_clip_templates(every: bool) -> list[str]:
    """Return open_clip's templates: all 80 for ImageNet, or the 7 that do nearly as well."""
    import open_clip

    chosen = open_clip.OPENAI_IMAGENET_TEMPLATES if every else open_clip.SIMPLE_IMAGENET_TEMPLATES
    return [template("{c}") for template in chosen]


def _lines(
    source: Source, key: str, asked: str | None, usual: InputFile | None
) -> list[str] | None:
    """Return the lines of the file that is asked for, else of the usual one; None without any."""
    if asked == IMAGENET or (asked is None and usual is None):
        return None
    location = asked or (usual.location if usual else "")
    try:
        with open_file(location) as file:
            lines = file.read().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"{KEY}: {source.name}.{key}: {location}: {error}") from error
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise BadOption(f"{KEY}: {source.name}.{key}: {location}: empty")
    return lines


def _check_template(source: Source, template: str) -> None:
    if filled(template, "a") == filled(template, "b"):
        raise BadOption(
            f"{KEY}: {source.name}.templates: {template!r} has no place for a class; write `{{c}}`"
        )


def filled(template: str, name: str) -> str:
    """Return a template with the name of a class in it."""
    return template.replace("{c}", name).replace("{}", name)


def _with_captions(
    source: Source, files: dict[str, InputFile], root: str, pictures: Sequence[InputFile]
) -> Source:
    """Return a set of RETRIEVAL with the caption file beside each picture."""
    stems = {
        path.rpartition(".")[0]: file for path, file in files.items() if _suffix(path) == "txt"
    }
    captions = []
    for picture in pictures:
        beside = stems.get(_below(root, picture).rpartition(".")[0])
        if beside is None:
            raise BadOption(f"{KEY}: {source.name}: {picture.location} has no .txt beside it")
        captions.append(beside)
    return replace(source, pictures=tuple(pictures), captions=tuple(captions))


def _of_tar(source: Source, tar: InputFile) -> Iterator[Sample]:
    """Yield the samples of a tar: its consecutive members of one key that hold a picture."""
    with open_file(tar.location) as file:
        key, parts = "", dict[str, bytes]()
        for member in members(file, tar.location):
            path = PurePosixPath(member.name)
            own = str(path.parent / path.name.partition(".")[0])
            suffix = _suffix(member.name)
            if own != key:
                yield from _sample(source, f"{tar.location}: {key}", parts)
                key, parts = own, {}
            if member.isreg() and (suffix in IMAGES or suffix in (CAPTIONS, CLASS)):
                file.seek(member.offset_data)
                parts.setdefault("image" if suffix in IMAGES else suffix, file.read(member.size))
        yield from _sample(source, f"{tar.location}: {key}", parts)


def _sample(source: Source, place: str, parts: dict[str, bytes]) -> Iterator[Sample]:
    """Yield the sample of these members, if they hold a picture."""
    if "image" not in parts:
        return
    if source.task == RETRIEVAL:
        text = parts.get(CAPTIONS, b"")
        yield Sample(parts["image"], captions=_captions(source, place, text))
        return
    said = parts.get(CLASS, b"").decode(errors="replace").strip()
    if not said.isdecimal() or int(said) >= len(source.classes):
        raise BadOption(
            f"{KEY}: {source.name}: {place}: its .cls must be a number from 0 to "
            f"{len(source.classes) - 1}, got {said[:40]!r}"
        )
    yield Sample(parts["image"], int(said))


def _captions(source: Source, place: str, text: bytes) -> tuple[str, ...]:
    """Return the captions in a text, one a line."""
    lines = tuple(line for line in text.decode(errors="replace").splitlines() if line.strip())
    if not lines:
        raise BadOption(f"{KEY}: {source.name}: {place} has no caption")
    return lines


def _read(file: InputFile) -> bytes:
    with open_file(file.location) as opened:
        return opened.read()


def _below(root: str, file: InputFile) -> str:
    """Return the path of a file below the folder of its set."""
    return file.location.removeprefix(f"{root}/")


def _in_order(file: InputFile) -> tuple[int, str]:
    """Return where a tar stands: clip_benchmark numbers them without zeros before."""
    stem = PurePosixPath(file.name).stem
    return (int(stem) if stem.isdecimal() else 0), file.location


def _suffix(name: str) -> str:
    return name.lower().rpartition(".")[2]
