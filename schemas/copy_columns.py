"""The columns that need the whole pool: copies, earlier datasets, evaluation sets, placeholders."""

import pyarrow as pa

from pairsieve.schemas.column import InSample

REPEATED = InSample("repeated", pa.bool_(), "", "The same URL and text are kept from another row.")
DUPLICATE_OF = InSample(
    "duplicate_of", pa.string(), "", "uid of the kept copy, if this is not the one."
)
DUPLICATE_DISTANCE = InSample(
    "duplicate_distance", pa.int32(), "bits", "Hamming distance of its pHash to the kept copy's."
)
DUPLICATE_DHASH = InSample(
    "duplicate_dhash", pa.int32(), "bits", "Hamming distance of its dhash to the kept copy's."
)
DUPLICATE_COLOUR = InSample(
    "duplicate_colour",
    pa.float32(),
    ">= 0",
    "Largest difference of a cell's colour from the kept copy's, over the contrast of both.",
)
DUPLICATE_ORIENTATION = InSample(
    "duplicate_orientation", pa.string(), "", "How to rotate or mirror it to match the kept copy."
)
DUPLICATE_EDIT = InSample(
    "duplicate_edit",
    pa.string(),
    "",
    "What it differs by from the kept copy, or that from it: `borders` or `crops`.",
)
CAPTIONS = InSample(
    "captions",
    pa.list_(pa.string()),
    "",
    "Different texts of the kept copy and its copies, its own first, with `captions: all_as_list`.",
)
CLUSTER = InSample(
    "cluster", pa.int64(), "rows", "Smallest row among the copies of this image, itself included."
)
SEMANTIC_OF = InSample(
    "semantic_of", pa.string(), "", "uid of the kept pair whose image shows the same."
)
SEMANTIC_COSINE = InSample(
    "semantic_cosine", pa.float32(), "[-1, 1]", "Cosine of both image vectors."
)
KNOWN_IN = InSample(
    "known_in", pa.string(), "", "The earlier dataset or file of hashes that has this image."
)
KNOWN_UID = InSample("known_uid", pa.string(), "", "uid of the image there that is nearest.")
KNOWN_DISTANCE = InSample(
    "known_distance", pa.int32(), "bits", "Hamming distance to its pHash; 0 for the same file."
)
EVAL_SET = InSample(
    "eval_set", pa.string(), "", "Evaluation set of the image nearest by pHash, else by vector."
)
EVAL_IMAGE = InSample("eval_image", pa.string(), "", "Name of that image in the set.")
EVAL_DISTANCE = InSample(
    "eval_distance",
    pa.int32(),
    "bits",
    "Hamming distance to the nearest pHash of an evaluation image; null where none is near.",
)
EVAL_OVERLAP = InSample(
    "eval_overlap", pa.float32(), "[-1, 1]", "Highest cosine to the vector of an evaluation image."
)
NEG_CLIP_LOSS = InSample(
    "neg_clip_loss",
    pa.float32(),
    "<= 0",
    "Cosine of image and text, less what either reaches with random others; see `alignment`.",
)
NORM_SIM = InSample(
    "norm_sim", pa.float32(), ">= 0", "Norm of the image's cosines to the recipe's target images."
)
PLACEHOLDER_HOSTS = InSample(
    "placeholder_hosts", pa.int32(), "hosts", "Different hosts that show a copy of this image."
)
PLACEHOLDER_CAPTIONS = InSample(
    "placeholder_captions", pa.int32(), "texts", "Different captions of its copies, as words."
)
PLACEHOLDER_UNRELATED = InSample(
    "placeholder_unrelated",
    pa.float32(),
    "[0, 1]",
    "Share of pairs of these captions that have next to no word in common.",
)
PLACEHOLDER_REPEATED = InSample(
    "placeholder_repeated",
    pa.float32(),
    "[0, 1]",
    "Share of these hosts that show it under several captions.",
)
