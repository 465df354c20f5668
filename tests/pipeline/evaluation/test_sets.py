"""How evaluation sets are found and read, and what is refused of them before any work."""

import io
import tarfile
from pathlib import Path

import pytest

from pairsieve.pipeline.evaluation.sets import Sample, filled, find, samples
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.evaluation_sets import EvaluationSet, load


def write(folder: Path, files: dict[str, bytes | str]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return file.getvalue()


def benchmark(folder: Path, kind: str, parts: list[dict[str, bytes]]) -> str:
    """Write a set as clip_benchmark lays it out: `test` is read, `train` is not."""
    files: dict[str, bytes | str] = {f"test/{n}.tar": tar(part) for n, part in enumerate(parts)}
    files["train/0.tar"] = tar({"s.jpg": b"never", "s.cls": b"0", "s.txt": b"never"})
    files |= {"dataset_type.txt": kind, "test/nshards.txt": str(len(parts))}
    return write(folder, files)


def test_a_folder_per_class_is_read_in_the_order_of_the_names(tmp_path: Path) -> None:
    root = write(tmp_path, {"n02/b.png": "2", "n01/a.jpg": "1", "n01/c.jpg": "3", "n01/x.md": "-"})
    names = write(tmp_path / "names", {"c.txt": "cat\ndog\n", "t.txt": "a {c}\n"})
    asked = EvaluationSet(zero_shot=root, classes=f"{names}/c.txt", templates=f"{names}/t.txt")
    source = find("pets", asked)
    assert (source.classes, source.templates) == (("cat", "dog"), ("a {c}",))
    assert list(samples(source)) == [Sample(b"1", 0), Sample(b"3", 0), Sample(b"2", 1)]


def test_without_files_classes_are_called_as_their_folders_and_templates_are_open_clips(
    tmp_path: Path,
) -> None:
    root = write(tmp_path, {"disc/a.png": "1", "star/a.png": "2"})
    source = find("shapes", EvaluationSet(zero_shot=root))
    assert source.classes == ("disc", "star")
    assert filled(source.templates[0], "disc") == "itap of a disc."
    assert len(source.templates) == 7


def test_tars_of_clip_benchmark_are_read_with_what_lies_beside_them(tmp_path: Path) -> None:
    parts = [{f"s{n}.cls": b"%d" % (n % 2), f"s{n}.webp": b"%d" % n} for n in range(11)]
    root = benchmark(tmp_path, "classification\n", parts)
    write(
        tmp_path, {"classnames.txt": "a\nb", "zeroshot_classification_templates.txt": "one {c}\n"}
    )
    source = find("set", EvaluationSet(zero_shot=root))
    assert source.templates == ("one {c}",)
    assert [sample.body for sample in samples(source)] == [b"%d" % n for n in range(11)]
    assert [sample.label for sample in samples(source)] == [n % 2 for n in range(11)]


def test_each_line_of_a_text_is_a_caption(tmp_path: Path) -> None:
    members = {"a/1.x.jpg": b"1", "a/1.txt": b"one\n\ntwo\n", "a/1.json": b"{}", "b/1.txt": b"-"}
    tars = benchmark(tmp_path / "tars", "retrieval", [members])
    files = write(tmp_path / "files", {"1.jpg": "1", "1.txt": "one\ntwo"})
    for root in (tars, files):
        source = find("cards", EvaluationSet(retrieval=root))
        assert list(samples(source)) == [Sample(b"1", captions=("one", "two"))]


def test_an_own_shard_is_a_set_for_retrieval(tmp_path: Path) -> None:
    root = write(tmp_path, {"00000.tar": tar({"u.jpg": b"1", "u.txt": b"a", "u.json": b"{}"})})
    assert list(samples(find("own", EvaluationSet(retrieval=root)))) == [Sample(b"1", -1, ("a",))]


@pytest.mark.parametrize(
    ("files", "asked", "says"),
    [
        ({"x.md": "-"}, {"zero_shot": ""}, "no picture and no tar in it"),
        ({"a.png": "-"}, {"zero_shot": ""}, "/a.png lies in no folder of a class"),
        ({"a.png": "-"}, {"retrieval": ""}, "/a.png has no .txt beside it"),
        ({"0.tar": tar({})}, {"zero_shot": ""}, "tars need `classes`, or classnames.txt"),
        (
            {"c/a.png": "-", "classnames.txt": "a\nb"},
            {"zero_shot": ""},
            "2 names for the 1 folders",
        ),
        (
            {"c/a.png": "-", "t": "a thing"},
            {"zero_shot": "", "templates": "t"},
            "'a thing' has no place for a class; write `{c}`",
        ),
        ({"c/a.png": "-"}, {"zero_shot": "", "classes": "no"}, "set.classes: "),
        (
            {"c/a.png": "-", "dataset_type.txt": "retrieval"},
            {"zero_shot": ""},
            "says in dataset_type.txt that it is for `retrieval`",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    files: dict[str, bytes | str], asked: dict[str, str], says: str, tmp_path: Path
) -> None:
    root = write(tmp_path, files)
    given = {key: f"{root}/{value}".rstrip("/") for key, value in asked.items()}
    with pytest.raises(BadOption, match="--sets: set") as refused:
        find("set", EvaluationSet.model_validate(given))
    assert says in str(refused.value)


@pytest.mark.parametrize("said", [b"2", b"-1", b"cat", b""])
def test_a_class_without_a_name_is_refused(said: bytes, tmp_path: Path) -> None:
    root = benchmark(tmp_path, "classification", [{"s.jpg": b"1", "s.cls": said}])
    write(tmp_path, {"classnames.txt": "a\nb"})
    with pytest.raises(BadOption, match=r"its \.cls must be a number from 0 to 1, got"):
        list(samples(find("set", EvaluationSet(zero_shot=root))))


def test_paths_in_the_file_start_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "sets.yaml").write_text("a: {zero_shot: b, classes: imagenet, templates: t.txt}")
    assert load(tmp_path / "sets.yaml")["a"] == EvaluationSet(
        zero_shot=f"{tmp_path}/b", classes="imagenet", templates=f"{tmp_path}/t.txt"
    )
