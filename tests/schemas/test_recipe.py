import json
import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(BadOption) as refused:
        load(written(folder, text))
    return str(refused.value)


def test_reads_every_section(tmp_path: Path) -> None:
    recipe = load(
        written(
            tmp_path,
            """
            input: {path: /data/pairs.parquet, text: caption}
            fetch: {user_agent: me@example.org, allow_networks: [127.0.0.0/8], ports: [8123]}
            keep:
              - caption_words: {min_words: 3}
                gate: true
              - where: "width > 5"
              - top_fraction: 0.3
                of: clip_similarity
            shard: {samples: 100}
            """,
        )
    )
    assert recipe.input.text == "caption"
    assert recipe.fetch is not None
    assert recipe.fetch.allow_networks == (ip_network("127.0.0.0/8"),)
    words, where, top = recipe.keep
    assert (words.filter, words.options, words.gate) == ("caption_words", {"min_words": 3}, True)
    assert where.where == "width > 5"
    assert (top.top_fraction, top.of) == (0.3, "clip_similarity")
    assert (recipe.shard.samples, recipe.shard.seed) == (100, 0)


def test_relative_input_starts_at_the_recipe(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "input: {path: pairs/*.csv}"))
    assert recipe.input.path == f"{tmp_path.resolve()}/pairs/*.csv"


def test_urls_and_model_names_stay_as_they_are(tmp_path: Path) -> None:
    text = "input: {path: s3://b/p}\nembed: {model: ViT-B-32, pretrained: openai}"
    recipe = load(written(tmp_path, text))
    assert recipe.input.path == "s3://b/p"
    assert recipe.embed is not None
    assert (recipe.embed.model, recipe.embed.pretrained) == ("ViT-B-32", "openai")


def test_model_files_beside_the_recipe_are_found(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text("{}")
    text = "input: {path: p}\nembed: {model: tiny.json, pretrained: openai}"
    embed = load(written(tmp_path, text)).embed
    assert embed is not None
    assert embed.model == str(tmp_path.resolve() / "tiny.json")


def test_unknown_key_names_key_known_and_nearest(tmp_path: Path) -> None:
    message = refusal(tmp_path, "input: {path: p, txt: caption}")
    assert "recipe.yaml: input.txt: unknown key; known: path, url, text," in message
    assert message.endswith("did you mean `text`?")


def test_impossible_value_names_key_value_and_bound(tmp_path: Path) -> None:
    message = refusal(tmp_path, "input: {path: p}\nimage: {min_side: 5}")
    assert message.endswith("image.min_side: must be at least 16, got 5")


def test_missing_key_is_named(tmp_path: Path) -> None:
    assert "fetch.user_agent: missing" in refusal(tmp_path, "input: {path: p}\nfetch: {}")


@pytest.mark.parametrize(
    "user_agent",
    ["my-lab", "my-lab/1.0", "(+https://example.org)", "a\nb@c.example", "é@b.example"],
)
def test_a_user_agent_that_names_nobody_to_write_to_is_refused(
    tmp_path: Path, user_agent: str
) -> None:
    text = f"input: {{path: p}}\nfetch: {{user_agent: {json.dumps(user_agent)}}}"
    message = refusal(tmp_path, text)
    assert "fetch.user_agent: must b" in message
    assert repr(user_agent) in message


@pytest.mark.parametrize(
    "user_agent", ["my-lab/1.0 (+https://example.org)", "a@b.example", "lab (mailto:a@b.example)"]
)
def test_a_user_agent_with_a_contact_is_taken(tmp_path: Path, user_agent: str) -> None:
    text = f"input: {{path: p}}\nfetch: {{user_agent: {json.dumps(user_agent)}}}"
    fetch = load(written(tmp_path, text)).fetch
    assert fetch is not None
    assert fetch.user_agent == user_agent


@pytest.mark.parametrize(
    "entry",
    ["{gate: true}", "{where: a, language: {}}", "{language: {}, sharpness: {}}", "language", "{}"],
)
def test_an_entry_of_keep_names_exactly_one_rule(tmp_path: Path, entry: str) -> None:
    assert "keep.0: an entry names" in refusal(tmp_path, f"input: {{path: p}}\nkeep: [{entry}]")


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "input: {path: p, a: 1}\nshard: {samples: 0}\nkep: []")
    assert len(message.splitlines()) == 3


def test_a_file_that_is_no_yaml_or_not_there_is_refused(tmp_path: Path) -> None:
    assert "line 1: not YAML as it stands" in refusal(tmp_path, "input: [")
    with pytest.raises(BadOption, match="no such recipe; `pairsieve init` writes one"):
        load(tmp_path / "none.yaml")


def test_a_recipe_is_a_mapping(tmp_path: Path) -> None:
    assert "recipe: must hold keys with values" in refusal(tmp_path, "- a")


def test_nearest_without_a_near_one_only_lists() -> None:
    assert nearest("zzz", ["path", "url"]) == "known: path, url"


def test_of_many_names_none_like_it_some_are_named() -> None:
    many = [f"model-{number:03d}" for number in range(20)]
    assert nearest("zzz", many) == f"known: {', '.join(many)}"
    said = nearest("zzz-019", [*many, "more"])
    assert said.startswith("known are 21, such as model-019, ")
    assert said.count(",") == 5
    assert nearest("moree", [*many, "more"]) == "did you mean `more`?"


def test_recipe_cannot_change_after_reading() -> None:
    recipe = Recipe.model_validate({"input": {"path": "p"}})
    with pytest.raises(ValueError, match="frozen"):
        recipe.shard.samples = 1  # type: ignore[misc]


def test_one_key_says_the_size_and_min_side_is_the_default(tmp_path: Path) -> None:
    for written, key, side in (
        ("{}", "min_side", 512),
        ("{min_side: 256}", "min_side", 256),
        ("{max_side: 1024}", "max_side", 1024),
        ("{center_crop: 224}", "center_crop", 224),
        ("{pad: 224}", "pad", 224),
        ("{resize: false}", "none", 0),
    ):
        path = tmp_path / "recipe.yaml"
        path.write_text(f"input: {{path: p}}\nimage: {written}")
        image = load(path).image
        assert (image.size_key, image.side) == (key, side)


def test_two_sizes_are_refused(tmp_path: Path) -> None:
    for written, named in (
        ("{min_side: 256, pad: 256}", "min_side and pad"),
        ("{max_side: 256, resize: false}", "max_side and resize: false"),
    ):
        message = refusal(tmp_path, f"input: {{path: p}}\nimage: {written}")
        assert message.endswith(
            "image: say one of min_side, max_side, center_crop, pad, or `resize: false`, "
            f"not {named}"
        )


def test_paths_of_earlier_datasets_and_evaluation_sets_start_at_the_recipe(tmp_path: Path) -> None:
    text = """
    input: {path: p}
    known: {datasets: [older, "s3://bucket/older", /data/h.parquet]}
    decontaminate: {sets: [{name: val, path: eval/*.tar}]}
    """
    recipe = load(written(tmp_path, text))
    assert recipe.known is not None
    assert recipe.decontaminate is not None
    assert recipe.known.datasets == (f"{tmp_path}/older", "s3://bucket/older", "/data/h.parquet")
    assert recipe.decontaminate.sets[0].path == f"{tmp_path}/eval/*.tar"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ("[]", "decontaminate.sets: Tuple should have at least 1 item"),
        ("[{name: a, path: x}, {name: a, path: y}]", "two sets are called 'a'"),
        ("[{name: a, paht: x}]", "did you mean `path`?"),
    ],
)
def test_evaluation_sets_that_cannot_be_are_refused(tmp_path: Path, sets: str, said: str) -> None:
    assert said in refusal(tmp_path, f"input: {{path: p}}\ndecontaminate: {{sets: {sets}}}")


def test_files_of_heads_and_classifiers_start_at_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    text = """
        input: {path: p}
        embed:
          model: ViT-B-32
          pretrained: openai
          scores: {nsfw: {head: heads/h.pth}, watermark: {classifier: folder}}
          concepts: {a: {classifier: resnet18, weights: w.pth}}
        """
    embed = load(written(tmp_path, text)).embed
    assert embed is not None
    assert embed.scores.nsfw is not None
    assert embed.scores.watermark is not None
    here = tmp_path.resolve()
    assert embed.scores.nsfw.head == str(here / "heads/h.pth")
    assert embed.scores.watermark.classifier == str(here / "folder")
    assert embed.concepts["a"].classifier == "resnet18"
    assert embed.concepts["a"].weights == str(here / "w.pth")


def test_yes_and_no_are_words_but_where_something_is_true_or_false(tmp_path: Path) -> None:
    text = "input: {path: p}\nkeep: [{language: {languages: [no, en]}, gate: yes}]"
    ((rule,)) = load(written(tmp_path, text)).keep
    assert (rule.options, rule.gate) == ({"languages": ["no", "en"]}, True)


def test_a_mix_names_values_of_any_kind(tmp_path: Path) -> None:
    days = "{2024-01-31: 0.5, no: 0.1, true: 0.1, 7: 0.3}"
    text = f"input: {{path: p}}\nkeep: [{{mix: {{by: c, shares: {days}}}}}]"
    ((rule,)) = load(written(tmp_path, text)).keep
    assert rule.mix is not None
    assert [*rule.mix.shares] == ["2024-01-31", "no", "true", "7"]


def test_yes_and_no_may_name_classes_and_one_class_is_a_list_of_it(tmp_path: Path) -> None:
    scorer = "{prompts: {yes: [a map], no: [a photo]}, positive: no}"
    text = f"input: {{path: p}}\nembed: {{model: m, pretrained: t, concepts: {{map: {scorer}}}}}"
    embed = load(written(tmp_path, text)).embed
    assert embed is not None
    assert embed.concepts["map"].prompts == {"yes": ("a map",), "no": ("a photo",)}
    assert embed.concepts["map"].positive == ("no",)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("scores: {nfsw: {head: h.pth}}", "embed.scores.nfsw: unknown key; .*mean `nsfw`"),
        ("scores: {nsfw: {hed: h.pth}}", "embed.scores.nsfw.hed: unknown key; .*mean `head`"),
        ("concepts: {a: {hed: h.pth}}", "embed.concepts.a.hed: unknown key; .*mean `head`"),
        ("scores: {nsfw: {}}", "say one of prompts, head, classifier, not none"),
        ("concepts: {a: {head: h, classifier: c}}", "not head and classifier"),
        ("scores: {nsfw: {head: h, weights: w}}", "`weights` are those of a `classifier`"),
        ("scores: {nsfw: {classifier: c, activation: none}}", "`activation` is that of a `head`"),
        ("concepts: {a: {prompts: {a: [x]}}}", "embed.concepts.a.prompts: .*at least 2"),
        ("concepts: {a: {prompts: {a: [x], b: []}}}", "embed.concepts.a.prompts.b: .*at least 1"),
        ("scores: {aesthetic: {classifier: c}}", "aesthetic is no probability: .*`head` only"),
        ("tags: {a: [x]}", "one tag alone is always the most probable"),
    ],
)
def test_a_way_that_cannot_measure_is_refused(tmp_path: Path, keys: str, words: str) -> None:
    text = f"input: {{path: p}}\nembed: {{model: m, pretrained: t, {keys}}}"
    assert re.search(words, refusal(tmp_path, text))


def test_further_models_stand_in_a_list_behind_the_main_one(tmp_path: Path) -> None:
    (tmp_path / "large.json").write_text("{}")
    text = """
input: {path: p}
embed:
  - {model: ViT-B-32, pretrained: openai}
  - {model: large.json, pretrained: openai, name: l14}
"""
    recipe = load(written(tmp_path, text))
    assert recipe.embed is not None
    assert [model.name for model in recipe.models] == [None, "l14"]
    assert recipe.other_models[0].model == str(tmp_path.resolve() / "large.json")
    assert "clip_similarity_l14" in [column.name for column in recipe.other_scores]


MAIN = "{model: a, pretrained: b}"


@pytest.mark.parametrize(
    ("embed", "complaint"),
    [
        (f"[{MAIN}, {{model: c, pretrained: d}}]", "embed.1: a further model needs a `name`"),
        (f"[{MAIN}, {{model: c, pretrained: d, name: L14}}]", r"embed\.1\.name: .*got 'L14'"),
        (f"[{MAIN}, {{model: c, pretrained: d, nam: x}}]", r"embed\.1\.nam: unknown key.*`name`"),
        ("[{model: a, pretrained: b, name: x}]", "leave out its `name`"),
        (f"[{MAIN}, {{model: a, pretrained: b, name: x}}]", "same model is listed twice"),
        (
            f"[{MAIN}, {{model: c, pretrained: d, name: x}}, {{model: c, pretrained: e, name: x}}]",
            "embed.2.name: a second model is called `x`",
        ),
    ],
)
def test_models_that_could_not_be_distinguished_are_refused(
    tmp_path: Path, embed: str, complaint: str
) -> None:
    with pytest.raises(BadOption, match=complaint):
        load(written(tmp_path, f"input: {{path: p}}\nembed: {embed}"))


def test_other_models_have_no_key_of_their_own(tmp_path: Path) -> None:
    text = f"input: {{path: p}}\nembed: {MAIN}\nother_models: [{MAIN}]"
    with pytest.raises(BadOption, match="other_models: unknown key"):
        load(written(tmp_path, text))


def test_all_models_hold_the_part_of_a_gpu_that_resources_say(tmp_path: Path) -> None:
    models = "[{model: a, pretrained: b}, {model: c, pretrained: d, name: other}]"
    said = "resources: {embed: {gpus: 0.5, memory: 1.5GB}}"
    recipe = load(written(tmp_path, f"input: {{path: p}}\nembed: {models}\n{said}"))
    assert [model.num_gpus for model in recipe.models] == [0.5, 0.5]
    assert recipe.resources.embed.memory == 1_500_000_000
