from dataclasses import replace

import pytest

from pairsieve.filters import FILTERS
from pairsieve.filters.base import name_of
from pairsieve.filters.order import Phase
from pairsieve.pipeline.ledger.rules import Rank, Rule, filter_rule
from pairsieve.pipeline.selections.record import Record
from pairsieve.pipeline.selections.thresholds import find, options, rule_with
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_keep import Keep, Origin

# Every threshold of a filter with its defaults, and what it bounds; "" where not one number.
MEASURES = {
    "caption_words.min_words": "caption_unicode_words",
    "caption_words.max_words": "caption_unicode_words",
    "caption_chars.min_chars": "caption_chars",
    "caption_chars.max_chars": "caption_chars",
    "caption_tokens.max_cut": "caption_tokens_cut",
    "language.min_confidence": "",
    "language.min_other": "",
    "caption_characters.min_letters": "letter_share",
    "caption_characters.max_digits": "digit_share",
    "caption_characters.max_symbols": "symbol_share",
    "caption_characters.max_capitals": "capital_share",
    "caption_repetition.max_words": "repeated_words",
    "caption_repetition.max_chars": "repeated_chars",
    "caption_quality.max_codes": "code_share",
    "text_safety.max_words": "",
    "caption_nouns.min_nouns": "caption_nouns",
    "caption_perplexity.min_perplexity": "caption_perplexity",
    "caption_perplexity.max_perplexity": "caption_perplexity",
    "text_classifier.max_probability": "list_max(map_values(text_classes))",
    "caption_frequency.max_pairs": "caption_count",
    "caption_cluster.max_pairs": "caption_cluster_pairs",
    "rare_words.max_rank": "rarest_word_rank",
    "rare_words.min_times": "rarest_word_times",
    "concept_balance.max_pairs": "",
    "size.min_side_px": "least(width, height)",
    "size.max_side_px": "greatest(width, height)",
    "size.min_pixels": "width * height",
    "size.max_pixels": "width * height",
    "size.min_bytes": "fetch_bytes",
    "size.max_bytes": "fetch_bytes",
    "aspect_ratio.max_ratio": "aspect_ratio",
    "sharpness.min_sharpness": "sharpness",
    "low_information.max_flat": "low_information",
    "text_coverage.max_text": "text_coverage",
    "printed_text.max_area": "printed_area",
    "printed_share.max_share": "printed_share",
    "exposure.min_bright": "exposure_bright",
    "exposure.min_range": "exposure_bright - exposure_dark",
    "upscaled.max_factor": "upscaled",
    "clip_similarity.min_similarity": "clip_similarity",
    "nsfw.max_probability": "nsfw",
    "violence.max_probability": "violence",
    "watermark.max_probability": "watermark",
    "aesthetic.min_score": "aesthetic",
    "minor_safety.max_probability": "minor_safety",
    "concept.min_probability": "",
    "concept.max_probability": "",
    "tags.min_probability": "tag_probability",
    "placeholder.min_hosts": "placeholder_hosts",
    "placeholder.min_captions": "placeholder_captions",
    "placeholder.min_unrelated": "placeholder_unrelated",
    "placeholder.min_repeated": "placeholder_repeated",
    "placeholder.min_flat": "coalesce(low_information, 1)",
}
NEEDED = {"concept": {"name": "cartoon"}}


def record(*entries: Keep) -> Record:
    rules = []
    for entry in entries:
        rank = Rank(entry.of or "", entry.top_fraction) if entry.top_fraction else None
        sql = "x" if rank or entry.where else filter_rule("", entry.filter or "", entry.options)
        rules.append(Rule(entry.rule_name, sql, entry.gate, Phase.POOL, rank))
    return Record(Origin(), {}, tuple(rules), {entry.rule_name: entry for entry in entries})


def test_every_threshold_of_every_filter_is_known_with_what_it_bounds() -> None:
    found = {}
    for f in FILTERS:
        if hasattr(f, "rule"):
            entry = Keep(filter=name_of(f), options=NEEDED.get(name_of(f), {}))
            for option in options(entry):
                threshold = find(record(entry), f"{name_of(f)}.{option}")
                found[threshold.key] = threshold.measure or ""
    assert found == MEASURES


def test_a_rule_alone_names_its_only_threshold_or_the_one_that_is_set() -> None:
    made = record(
        Keep(filter="sharpness"),
        Keep(filter="size", options={"min_side_px": 100}),
        Keep(filter="exposure"),
        Keep(where="width > 3", name="wide"),
        Keep(filter="duplicate"),
    )
    assert (find(made, "sharpness").key, find(made, "sharpness").value) == (
        "sharpness.min_sharpness",
        0.5,
    )
    assert (find(made, "size").option, find(made, "size").value) == ("min_side_px", 100)
    for key, says in (
        ("exposure", "which of its thresholds\\? exposure.min_bright, exposure.min_range"),
        ("wide", "this rule has no threshold"),
        ("duplicate.max_distance", "`max_distance` is no threshold of `duplicate`; it has none"),
        ("sharpnes", "no rule of that name; known: .* did you mean `sharpness`"),
        ("size.min_side", "did you mean `min_side_px`"),
    ):
        with pytest.raises(BadOption, match=says):
            find(made, key)


@pytest.mark.parametrize("key", ["mine", "mine.most"])
def test_of_a_filter_of_the_users_own_the_way_without_a_sweep_is_told(key: str) -> None:
    made = replace(record(), entries={"mine": Keep(filter="mine", options={"most": 3})})
    with pytest.raises(BadOption, match="; of a filter of your own, `select --set` tries"):
        find(made, key)


def test_a_bound_that_depends_on_the_language_is_on_no_single_measure() -> None:
    by_language = Keep(filter="clip_similarity", options={"by_language": {"en": 0.3}})
    assert find(record(by_language), "clip_similarity").measure is None


def test_a_rank_is_swept_by_its_score() -> None:
    made = record(Keep(top_fraction=0.3, of="Sharpness"))
    threshold = find(made, "top_fraction Sharpness.score")
    assert (threshold.measure, threshold.value) == ('"Sharpness"', None)
    rule = rule_with(threshold.entry, threshold.rule, {"score": 0.5})
    assert (rule.sql, rule.rank) == ('"Sharpness" >= 0.5', None)


def test_a_rank_within_each_value_of_a_column_has_no_one_score() -> None:
    with pytest.raises(BadOption, match="no threshold"):
        find(
            record(Keep(top_fraction=0.3, of="sharpness", by="language")),
            "top_fraction sharpness by language",
        )


def test_an_impossible_value_is_refused() -> None:
    threshold = find(record(Keep(filter="aspect_ratio")), "aspect_ratio")
    with pytest.raises(BadOption, match="max_ratio must be at least 1"):
        rule_with(threshold.entry, threshold.rule, {"max_ratio": 0.5})
