"""Presets of DataComp's baselines.

Where paper and code differ, the code made the datasets: the paper says "above 200 pixels" and
"below three", the code keeps 200 and 3.0. "Over two words" is more than two, so at least three, and
"five characters" more than five, so at least six. Words are counted in two ways: by white space in
the basic filter, by fastText's tokenizer and more than *one* in the filter by images.

The top 30 % are those with a score of at least that of the pair at place int(0.3 n), counted from 0
in descending order: one pair more than 30 %, and all that tie with it. `top_fraction` keeps
ceil(0.3 n) pairs exactly.

Source: arXiv:2304.14108, section 4.1 and table 3; github.com/mlfoundations/datacomp,
baselines/apply_filter.py (`load_uids_with_basic_filter_helper`, `caption_filter`, `get_threshold`).
"""

from typing import Any

from pairsieve.schemas.preset import ANY_LENGTH, Preset

FILE = "github.com/mlfoundations/datacomp, baselines/apply_filter.py; arXiv:2304.14108, table 3"
LARGE = "DataComp's pool, large"
TOP: dict[str, Any] = {"top_fraction": 0.3, "of": "clip_similarity"}
ENGLISH: dict[str, Any] = {"language": {"languages": ["en"], "min_other": 0.0}}
CHARS: dict[str, Any] = {"caption_chars": {"min_chars": 6, "max_chars": ANY_LENGTH}}
LANGUAGE = "The language is lid.176's top label of the text in small letters, as scripts allow it."
TIES = "Exactly ceil(0.3 n) pairs; DataComp keeps one more, and what ties with it."
TOKENS = "More than one word of fastText's tokenizer: here of white space."
CLUSTERS = (
    "Add `clusters: PATH`, which becomes the path of `image_cluster`, and `embed: {centroids: "
    "PATH}`: the 100,000 centroids of DataComp's pool by OpenAI's ViT-L/14, and those of them that "
    "are nearest to an image of ImageNet's training set. What DataComp publishes is an array of "
    "NumPy's saved by PyTorch; save it with `np.save`."
)
BY_IMAGES: tuple[dict[str, Any], ...] = (
    ENGLISH,
    {"caption_words": {"min_words": 2, "tokens": "whitespace"}},
    CHARS,
    {"image_cluster": {"path": "clusters.npy"}},
    TOP,
)

SAFE = (
    "Image and caption decide together: what either tells is dropped. The caption's probability is "
    "the highest of the classes of Detoxify's multilingual model: name its folder and classes in "
    "`text.classifiers`.",
    "The image's is a head on the vectors, DataComp's own there: name one in `embed.scores.nsfw`, "
    "such as LAION's for ViT-L/14. Without it prompts decide.",
)

DATACOMP = (
    Preset(
        name="datacomp-safe",
        title="DataComp's pool: what was dropped as unsafe before it was published",
        source="arXiv:2304.14108, section 3.2 and the appendix on it; "
        "github.com/mlfoundations/dataset2metadata, dataset2metadata/models.py",
        keep=({"text_classifier": {"max_probability": 0.1}}, {"nsfw": {"max_probability": 0.1}}),
        model=("ViT-L-14", "openai"),
        differs=SAFE,
    ),
    Preset(
        name="datacomp-basic",
        title="DataComp, basic filtering",
        source=FILE,
        keep=(
            ENGLISH,
            {"caption_words": {"min_words": 3, "tokens": "whitespace"}},
            CHARS,
            {"size": {"min_side_px": 200}},
            {"aspect_ratio": {"max_ratio": 3.0}},
        ),
        passed=(298e6, 1.28e9),
        passed_of=LARGE,
        differs=(LANGUAGE,),
    ),
    Preset(
        name="datacomp-clip-l14-30",
        title="DataComp, CLIP score (L/14 30 %)",
        source=FILE,
        keep=(TOP,),
        model=("ViT-L-14", "openai"),
        passed=(384e6, 1.28e9),
        passed_of=LARGE,
        differs=(TIES,),
    ),
    Preset(
        name="datacomp-image-clip",
        title="DataComp, image-based and CLIP score (L/14 30 %)",
        source=FILE,
        keep=BY_IMAGES,
        model=("ViT-L-14", "openai"),
        passed=(140e6, 1.28e9),
        passed_of=LARGE,
        lists={"clusters": "image_cluster"},
        differs=(LANGUAGE, TOKENS, TIES, CLUSTERS),
    ),
    Preset(
        name="datacomp-1b",
        title="DataComp-1B: image-based and CLIP score (L/14 30 %) at the largest scale",
        source=FILE,
        keep=BY_IMAGES,
        model=("ViT-L-14", "openai"),
        passed=(1.4e9, 12.8e9),
        passed_of="DataComp's pool, xlarge",
        lists={"clusters": "image_cluster"},
        differs=(LANGUAGE, TOKENS, TIES, CLUSTERS),
    ),
)
