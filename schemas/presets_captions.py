"""Presets of datasets that were chosen by sizes and captions, without a CLIP model.

"Larger than 200 pixels" and "aspect ratio smaller than 3" in ALIGN are exclusive, so 201 px and
below 3; COYO-700M drops what is *less* than 200 px or *greater* than 3, so both bounds stay. The
"between 3 and 256 words" of CC12M has both bounds; its "greater than 400 pixels" is exclusive.
"Shared by more than 10 images" (ALIGN) and "appearing more than 10 times" (COYO-700M) leave texts
of 10 pairs.

Source: CC12M, arXiv:2102.08981, section 2; COYO-700M, github.com/kakaobrain/coyo-dataset,
README.md, "Data Filtering"; ALIGN, arXiv:2102.05918, section 3; MetaCLIP, arXiv:2309.16671,
section 3; WIT, arXiv:2103.01913, section 3.
"""

from pairsieve.schemas.preset import Preset

NSFW = "Pornographic images were dropped by detectors of their own: add `nsfw` with a head for it."

OPEN = ("cc0", "pdm", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd")

CAPTIONS = (
    Preset(
        name="cc12m",
        title="CC12M, as far as it can be computed",
        source="arXiv:2102.08981, section 2",
        keep=(
            {"where": "image_kind = 'jpeg'", "name": "jpeg"},
            {"size": {"min_side_px": 401}},
            {"aspect_ratio": {"max_ratio": 2.5}},
            {"caption_words": {"min_words": 3, "max_words": 256, "tokens": "whitespace"}},
        ),
        differs=(
            "Left out: captions without a noun or determiner, a word repetition above 0.2, words "
            "rarer than 20 (add `caption_nouns`, `caption_repetition`, `rare_words`), agreement of "
            "captions with image labels, names made <PERSON>.",
            NSFW,
        ),
    ),
    Preset(
        name="coyo-700m",
        title="COYO-700M",
        source="github.com/kakaobrain/coyo-dataset, README.md",
        keep=(
            {"size": {"min_side_px": 200, "min_bytes": 5000}},
            {"aspect_ratio": {"max_ratio": 3.0}},
            {"language": {"languages": ["en"], "min_other": 0.0}},
            {"caption_chars": {"min_chars": 6, "max_chars": 1000}},
            {"caption_words": {"min_words": 3, "max_words": 256, "tokens": "whitespace"}},
            {"caption_frequency": {"max_pairs": 10}},
        ),
        passed=(746_972_269, 10e9),
        passed_of="about 10 billion pairs of Common Crawl",
        differs=(
            "Left out: captions without a noun and lists of NSFW words: add `caption_nouns` and "
            "`text_safety` with lists of yours.",
            "Of pairs with the same text and pHash one was kept: add `duplicate` for all copies.",
            NSFW,
        ),
    ),
    Preset(
        name="align",
        title="ALIGN",
        source="arXiv:2102.05918, section 3",
        keep=(
            {"size": {"min_side_px": 201}},
            {"where": "aspect_ratio < 3", "name": "aspect_ratio"},
            {"caption_words": {"min_words": 3, "max_words": 20, "tokens": "whitespace"}},
            {"caption_frequency": {"max_pairs": 10}},
            {"where": "captions_of_image <= 1000", "name": "captions_of_image"},
            {"rare_words": {"max_rank": 100_000_000}},
        ),
        differs=(
            "How ALIGN cuts words is not published; here they are what letters and digits make up.",
            "An image is known by its file; how ALIGN told which are one is not published.",
            NSFW,
            "Images of evaluation sets were dropped: the section `decontaminate`.",
        ),
    ),
    Preset(
        name="metaclip",
        title="MetaCLIP's balance, of 1.6 billion pairs",
        source="arXiv:2309.16671, section 3",
        keep=({"concept_balance": {"max_pairs": 20_000}},),
        passed=(400e6, 1.6e9),
        passed_of="1.6 billion English pairs of Common Crawl",
        differs=(
            "The 500,000 entries are MetaCLIP's metadata.json, which is not shipped: name it in "
            "`group.entries`; `{}` there takes the commonest words of the pool.",
            "The t belongs to the size of the pool; of 2.5 billion pairs it was 170,000.",
            "What MetaCLIP drops before, such as other languages, is left to other rules.",
        ),
    ),
    Preset(
        name="wit",
        title="WIT, the Wikipedia-based image text dataset",
        source="arXiv:2103.01913, section 3",
        keep=(
            {"size": {"min_side_px": 100}},
            {"caption_words": {"min_words": 3, "tokens": "whitespace"}},
            {"licence": {"allow": [*OPEN]}},
        ),
        differs=(
            "Which licences permit research is not published; here they are all of Creative "
            "Commons and its marks of the public domain.",
            "Wikipedia says the licence of an image on a page of its own: have it in a column of "
            "the input and name that, `licence: {column: NAME}`.",
            "Lengths were brought to a balance: add `length_balance` with shares of yours.",
        ),
    ),
)
