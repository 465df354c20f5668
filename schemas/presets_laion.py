"""Presets of LAION's datasets.

LAION-400M drops pairs with a similarity *below* 0.3, so 0.3 itself stays; LAION-5B does so below
0.28 in English and below 0.26 in other languages. "Less than 5 characters" leaves captions of 5,
and "less than 5 KB" leaves images of 5,000 bytes. Of what has the same URL and text one pair alone
survives any selection, so no rule is needed for that.

Source: LAION-400M, arXiv:2111.02114, section 2.1.1; LAION-5B, arXiv:2210.08402, section 3, and
laion.ai/blog/laion-5b, "Filtering out unsuitable image-text pairs".
"""

from typing import Any

from pairsieve.schemas.preset import ANY_LENGTH, Preset

SIZES: tuple[dict[str, Any], ...] = (
    {"caption_chars": {"min_chars": 5, "max_chars": ANY_LENGTH}},
    {"size": {"min_side_px": 1, "min_bytes": 5000}},
)
TAGGED = (
    "What LAION removed as illegal is left to `minor_safety`, which always holds and decides as it "
    "did, by CLIP's probability and the caption together; other NSFW was tagged, not dropped."
)
LANGUAGES = "The language is the top label of fastText's lid.176, not of CLD3 with a confidence."
BLOG = "laion.ai/blog/laion-5b; arXiv:2210.08402, section 3"

LAION = (
    Preset(
        name="laion-400m",
        title="LAION-400M",
        source="arXiv:2111.02114, section 2.1.1",
        keep=(*SIZES, {"clip_similarity": {"min_similarity": 0.3}}),
        model=("ViT-B-32", "openai"),
        differs=(TAGGED,),
    ),
    Preset(
        name="laion-2b-en",
        title="LAION-2B-en, the English part of LAION-5B",
        source=BLOG,
        keep=(
            *SIZES,
            {"language": {"languages": ["en"], "min_other": 0.0}},
            {"clip_similarity": {"min_similarity": 0.28}},
        ),
        model=("ViT-B-32", "openai"),
        passed=(130e6, 1.28e9),
        passed_of="DataComp's pool, large (arXiv:2304.14108, table 3, without the sizes)",
        differs=(LANGUAGES, TAGGED),
    ),
    Preset(
        name="laion-multi",
        title="LAION-2B-multi, the part of LAION-5B in other languages",
        source=BLOG,
        keep=(
            *SIZES,
            {"where": "language <> 'en'", "name": "not_english"},
            {"clip_similarity": {"min_similarity": 0.26}},
        ),
        model_note="mCLIP: clip-ViT-B-32-multilingual-v1 for texts, OpenAI's ViT-B/32 for images",
        differs=(
            LANGUAGES,
            "Texts of no certain language, which LAION kept apart, are here under their top label.",
            TAGGED,
        ),
    ),
)
