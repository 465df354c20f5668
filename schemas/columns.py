"""Every column of the ledger, declared once.

Name, Arrow type, unit and meaning are said here and nowhere else: the Arrow schema, the reader's
check, the tables of the documentation and the house-rule tests all come from this file. A changed
meaning is a new column. Columns of the input that pairsieve does not use are kept beside these as
extra columns.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa

from pairsieve.schemas import (
    copy_columns,
    pool_columns,
    rights_columns,
    text_columns,
    unstored_columns,
)
from pairsieve.schemas.column import Column as Column
from pairsieve.schemas.column import InSample
from pairsieve.schemas.copy_columns import CAPTIONS as CAPTIONS
from pairsieve.schemas.copy_columns import CLUSTER as CLUSTER
from pairsieve.schemas.copy_columns import DUPLICATE_COLOUR as DUPLICATE_COLOUR
from pairsieve.schemas.copy_columns import DUPLICATE_DHASH as DUPLICATE_DHASH
from pairsieve.schemas.copy_columns import DUPLICATE_DISTANCE as DUPLICATE_DISTANCE
from pairsieve.schemas.copy_columns import DUPLICATE_EDIT as DUPLICATE_EDIT
from pairsieve.schemas.copy_columns import DUPLICATE_OF as DUPLICATE_OF
from pairsieve.schemas.copy_columns import DUPLICATE_ORIENTATION as DUPLICATE_ORIENTATION
from pairsieve.schemas.copy_columns import EVAL_DISTANCE as EVAL_DISTANCE
from pairsieve.schemas.copy_columns import EVAL_IMAGE as EVAL_IMAGE
from pairsieve.schemas.copy_columns import EVAL_OVERLAP as EVAL_OVERLAP
from pairsieve.schemas.copy_columns import EVAL_SET as EVAL_SET
from pairsieve.schemas.copy_columns import KNOWN_DISTANCE as KNOWN_DISTANCE
from pairsieve.schemas.copy_columns import KNOWN_IN as KNOWN_IN
from pairsieve.schemas.copy_columns import KNOWN_UID as KNOWN_UID
from pairsieve.schemas.copy_columns import NEG_CLIP_LOSS as NEG_CLIP_LOSS
from pairsieve.schemas.copy_columns import NORM_SIM as NORM_SIM
from pairsieve.schemas.copy_columns import PLACEHOLDER_CAPTIONS as PLACEHOLDER_CAPTIONS
from pairsieve.schemas.copy_columns import PLACEHOLDER_HOSTS as PLACEHOLDER_HOSTS
from pairsieve.schemas.copy_columns import PLACEHOLDER_REPEATED as PLACEHOLDER_REPEATED
from pairsieve.schemas.copy_columns import PLACEHOLDER_UNRELATED as PLACEHOLDER_UNRELATED
from pairsieve.schemas.copy_columns import REPEATED as REPEATED
from pairsieve.schemas.copy_columns import SEMANTIC_COSINE as SEMANTIC_COSINE
from pairsieve.schemas.copy_columns import SEMANTIC_OF as SEMANTIC_OF
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.pool_columns import BALANCED as BALANCED
from pairsieve.schemas.pool_columns import BOILERPLATE as BOILERPLATE
from pairsieve.schemas.pool_columns import CAPTIONS_RANKED as CAPTIONS_RANKED
from pairsieve.schemas.pool_columns import CLUSTERED as CLUSTERED
from pairsieve.schemas.pool_columns import COUNTED as COUNTED
from pairsieve.schemas.pool_columns import RARE as RARE
from pairsieve.schemas.rights_columns import RIGHTS as RIGHTS
from pairsieve.schemas.text_columns import CAPTION_CHARS as CAPTION_CHARS
from pairsieve.schemas.text_columns import CAPTION_WORDS as CAPTION_WORDS
from pairsieve.schemas.text_columns import LANGUAGE as LANGUAGE
from pairsieve.schemas.text_columns import LANGUAGE_CONFIDENCE as LANGUAGE_CONFIDENCE
from pairsieve.schemas.text_columns import TEXT_MEASURED, TEXT_UNSTORED
from pairsieve.schemas.unstored_columns import COLOURS as COLOURS
from pairsieve.schemas.unstored_columns import IMAGE_EMBEDDING as IMAGE_EMBEDDING
from pairsieve.schemas.unstored_columns import LUMA as LUMA
from pairsieve.schemas.unstored_columns import LUMA_256 as LUMA_256
from pairsieve.schemas.unstored_columns import ORIENTATIONS as ORIENTATIONS
from pairsieve.schemas.unstored_columns import PROMPT_LOGITS as PROMPT_LOGITS
from pairsieve.schemas.unstored_columns import TEXT_EMBEDDING as TEXT_EMBEDDING
from pairsieve.schemas.unstored_columns import TRIMMED_COLOURS as TRIMMED_COLOURS
from pairsieve.schemas.unstored_columns import TRIMMED_LUMA as TRIMMED_LUMA

# Who the pair is.
ROW = Column("row", pa.int64(), "rows", "Position of the pair in the input, from 0.", False)
UID = InSample("uid", pa.string(), "", "128-bit BLAKE2b of URL and text, 32 hex digits.", False)
URL = InSample("url", pa.string(), "", "Image URL as the input has it.")
TEXT = InSample("text", pa.string(), "", "Alt text as the input has it, not normalised.")
HOST = Column("host", pa.string(), "", "Host of the URL in its canonical form; null without one.")
URL_HASH = Column(
    "url_hash",
    pa.uint64(),
    "",
    "64-bit BLAKE2b of the URL in its canonical form; null where it has none.",
)
# What became of the fetch and the decode.
RETRY_LAYER = Column(
    "retry_layer",
    pa.int16(),
    "",
    "0 for the first gather; n where the n-th retry fetched again.",
    False,
)
OUTCOME = Column("outcome", pa.string(), "", "`ok`, or why there is no image.", False)
DETAIL = Column(
    "detail", pa.string(), "", "The library's own words on an outcome that is not `ok`."
)
HTTP_STATUS = InSample("http_status", pa.int16(), "", "Status of the last HTTP answer.")
FINAL_URL = InSample("final_url", pa.string(), "", "URL after redirects, without credentials.")
CONTENT_TYPE = InSample("content_type", pa.string(), "", "Content-Type as claimed by the server.")
FETCH_BYTES = InSample("fetch_bytes", pa.int64(), "bytes", "Size of the body received.")
FETCH_MS = Column("fetch_ms", pa.int32(), "ms", "Time from the first attempt's start to the end.")
ATTEMPTS = Column("attempts", pa.int16(), "", "How often the URL was requested.")
FETCHED_AT = Column(
    "fetched_at", pa.timestamp("ms", "UTC"), "", "When the last attempt at the URL began."
)
ETAG = Column("etag", pa.string(), "", "ETag of the last HTTP answer.")
LAST_MODIFIED = Column("last_modified", pa.string(), "", "Last-Modified as the server writes it.")
SHA256 = InSample("sha256", pa.string(), "", "SHA-256 of the bytes received, hex.")
IMAGE_KIND = InSample("image_kind", pa.string(), "", "Image format, detected from its bytes.")
WIDTH = InSample("width", pa.int32(), "px", "Width of the image as published, upright.")
HEIGHT = InSample("height", pa.int32(), "px", "Height of the image as published, upright.")
STORED_WIDTH = InSample("stored_width", pa.int32(), "px", "Width of the stored image.")
STORED_HEIGHT = InSample("stored_height", pa.int32(), "px", "Height of the stored image.")
IMAGE_FILE = Column(
    "image_file", pa.string(), "", "Tar in the dataset that holds the stored image."
)
IMAGE_OFFSET = Column("image_offset", pa.int64(), "bytes", "Where its bytes begin in that tar.")
IMAGE_BYTES = Column("image_bytes", pa.int64(), "bytes", "How many bytes the stored image has.")
IMAGE_CHECKSUM = Column(
    "image_checksum", pa.uint64(), "hash", "XXH3 of the stored image; compared when it is read."
)
FACE_BOXES = InSample(
    "face_boxes",
    pa.list_(pa.list_(pa.float32())),
    "[0, 1]",
    "Faces that `image.blur` found and blurred, each `[x0, y0, x1, y1]`; null where none looked.",
)
# Measures: one file each in filters/.
ASPECT_RATIO = InSample("aspect_ratio", pa.float32(), ">= 1", "Long side over short side.")
SHARPNESS = InSample(
    "sharpness",
    pa.float32(),
    "[0, 1]",
    "Share of gradient energy that is at the finest scale, in the worst direction, at 256 px.",
)
LOW_INFORMATION = InSample(
    "low_information",
    pa.float32(),
    "[0, 1]",
    "Share of the area that is empty: flat, and in no shape.",
)
TEXT_COVERAGE = InSample(
    "text_coverage", pa.float32(), "[0, 1]", "Share of the area that looks like lines of text."
)
PRINTED_AREA = InSample(
    "printed_area",
    pa.float32(),
    "[0, 1]",
    "Share of the area in boxes around lines of text that could be read.",
)
PRINTED_TEXT = InSample(
    "printed_text", pa.string(), "", "The text that was read in the image, a line each."
)
PRINTED_SHARE = InSample(
    "printed_share", pa.float32(), "[0, 1]", "Share of the caption's words in `printed_text`."
)
EXPOSURE_DARK = InSample(
    "exposure_dark", pa.int32(), "[0, 255]", "Luma that the darkest 2 % do not exceed."
)
EXPOSURE_BRIGHT = InSample(
    "exposure_bright", pa.int32(), "[0, 255]", "Luma that all but the brightest 2 % do not exceed."
)
UPSCALED = InSample(
    "upscaled",
    pa.float32(),
    ">= 1",
    "How many times smaller the stored image's sides could be without loss.",
)
PERCEPTUAL_HASH = InSample(
    "perceptual_hash", pa.uint64(), "", "64-bit pHash of the stored image's luma."
)
DHASH = InSample("dhash", pa.uint64(), "", "64-bit difference hash of the stored image's luma.")
COLOUR = Column(
    "colour",
    pa.list_(pa.uint8()),
    "[0, 255]",
    "Mean red, green and blue of the stored image's 5 x 5 cells, row by row.",
)
ORIENTATION_HASHES = Column(
    "orientation_hashes",
    pa.list_(pa.uint64()),
    "",
    "pHash and dhash of the image in each of `group.orientations`, one after the other.",
)
CENTRE_HASH = Column(
    "centre_hash", pa.uint64(), "", "64-bit pHash of the image without 3 % at each edge."
)
TRIMMED_HASHES = Column(
    "trimmed_hashes",
    pa.list_(pa.uint64()),
    "",
    "pHash and dhash of the image without its borders; null where it has none.",
)
TRIMMED_COLOUR = Column(
    "trimmed_colour",
    pa.list_(pa.uint8()),
    "[0, 255]",
    "`colour` of the image without its borders; null where it has none.",
)
CLIP_SIMILARITY = InSample(
    "clip_similarity", pa.float32(), "[-1, 1]", "Cosine of image and text vectors."
)
NSFW = InSample("nsfw", pa.float32(), "[0, 1]", "Probability that the image is not safe for work.")
VIOLENCE = InSample("violence", pa.float32(), "[0, 1]", "Probability that it shows violence.")
WATERMARK = InSample("watermark", pa.float32(), "[0, 1]", "Probability that it bears a watermark.")
AESTHETIC = InSample(
    "aesthetic", pa.float32(), "about 1 to 10", "What a head trained on ratings expects of them."
)
MINOR_SAFETY = Column(
    "minor_safety",
    pa.float32(),
    "[0, 1]",
    "`nsfw` where image or text point to a minor, else 0; never in a shard.",
)
CONCEPTS = InSample(
    "concepts",
    pa.map_(pa.string(), pa.float32()),
    "[0, 1]",
    "Probability of each concept of the recipe, by name.",
)
TAG = InSample("tag", pa.string(), "", "The most probable tag of the recipe.")
TAG_PROBABILITY = InSample("tag_probability", pa.float32(), "[0, 1]", "Probability of that tag.")
TAGS = InSample(
    "tags", pa.map_(pa.string(), pa.float32()), "[0, 1]", "Probability of every tag; they add to 1."
)
IMAGE_CLUSTER = InSample(
    "image_cluster", pa.int32(), "", "Index of the nearest of the recipe's centroids, from 0."
)
MIRROR_SIMILARITY = Column(
    "mirror_similarity",
    pa.float32(),
    "[-1, 1]",
    "Cosine of the mirrored image's and the text's vectors; where `embed.mirror` asks for it.",
)
# What a model behind the recipe's endpoint writes.
RECAPTION = InSample("recaption", pa.string(), "", "Caption written by the model of `captions`.")
SHORT_RECAPTION = InSample("short_recaption", pa.string(), "", "Short caption written by it.")
TRANSLATION = InSample("translation", pa.string(), "", "Translation of the text, written by it.")
CAPTION_OUTCOME = Column(
    "caption_outcome", pa.string(), "", "`ok`, or why it wrote none; null for pairs not asked."
)
# What `select` checks before the rules.
BLOCKED = Column(
    "blocked", pa.string(), "", "The entry of the blocklist, as it is now, that it is on."
)
# The decision.
KEEP = Column("keep", pa.bool_(), "", "True when the pair survives.", False)
FIRST_FAILING = Column("first_failing", pa.string(), "", "The first rule, in order, that said no.")
FAILING = Column("failing", pa.list_(pa.string()), "", "Every rule that said no, in order.", False)
SHARD = Column("shard", pa.string(), "", "Shard file of a survivor.")
SHARD_OFFSET = Column("shard_offset", pa.int64(), "bytes", "Where it begins there; or its row.")

# The parts of the ledger, by the verb that writes them; every part also has `row`.
GATHERED = (
    ROW, UID, URL, TEXT, HOST, URL_HASH, RETRY_LAYER, OUTCOME, DETAIL, HTTP_STATUS, FINAL_URL,
    CONTENT_TYPE, FETCH_BYTES, FETCH_MS, ATTEMPTS, FETCHED_AT, ETAG, LAST_MODIFIED, *RIGHTS, SHA256,
    IMAGE_KIND, WIDTH, HEIGHT, STORED_WIDTH, STORED_HEIGHT, IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES,
    IMAGE_CHECKSUM, FACE_BOXES, *TEXT_MEASURED, ASPECT_RATIO, SHARPNESS,
    LOW_INFORMATION, TEXT_COVERAGE, PRINTED_AREA, PRINTED_TEXT, PRINTED_SHARE, EXPOSURE_DARK,
    EXPOSURE_BRIGHT, UPSCALED, PERCEPTUAL_HASH,
    DHASH, COLOUR, ORIENTATION_HASHES, CENTRE_HASH, TRIMMED_HASHES, TRIMMED_COLOUR,
)  # fmt: skip
EMBEDDED = (
    CLIP_SIMILARITY, NSFW, VIOLENCE, WATERMARK, AESTHETIC, MINOR_SAFETY, CONCEPTS, TAG,
    TAG_PROBABILITY, TAGS, IMAGE_CLUSTER, MIRROR_SIMILARITY,
)  # fmt: skip
CAPTION_TEXTS = (RECAPTION, SHORT_RECAPTION, TRANSLATION)
CAPTIONED = (*CAPTION_TEXTS, CAPTION_OUTCOME)
COPIES = (
    REPEATED, DUPLICATE_OF, DUPLICATE_DISTANCE, DUPLICATE_DHASH, DUPLICATE_COLOUR,
    DUPLICATE_ORIENTATION, DUPLICATE_EDIT, CLUSTER, CAPTIONS, CAPTIONS_RANKED,
)  # fmt: skip
# The steps of `group` that run where a recipe requests them: module in `pipeline/`, its columns.
# They run in this order.
STEPS: dict[str, tuple[Column, ...]] = {
    "external.earlier_datasets": (KNOWN_IN, KNOWN_UID, KNOWN_DISTANCE),
    "external.evaluation_sets": (EVAL_SET, EVAL_IMAGE, EVAL_DISTANCE, EVAL_OVERLAP),
    "alignment.step": (NEG_CLIP_LOSS, NORM_SIM),
}
# What rounds of `group` find beside copies and counts, where a recipe requests them.
ROUNDS: dict[str, tuple[Column, ...]] = {
    "concepts": BALANCED,
    "caption_clusters": CLUSTERED,
    "boilerplate": BOILERPLATE,
    "rare_words": RARE,
    "semantic": (SEMANTIC_OF, SEMANTIC_COSINE),
    "placeholders": (
        PLACEHOLDER_HOSTS,
        PLACEHOLDER_CAPTIONS,
        PLACEHOLDER_UNRELATED,
        PLACEHOLDER_REPEATED,
    ),
}
GROUPED = (
    COPIES
    + COUNTED
    + tuple(column for columns in (*ROUNDS.values(), *STEPS.values()) for column in columns)
)
LISTED = (BLOCKED,)
SELECTED = (KEEP, FIRST_FAILING, FAILING)
SHARDED = (SHARD, SHARD_OFFSET)
COLUMNS = GATHERED + EMBEDDED + CAPTIONED + GROUPED + LISTED + SELECTED + SHARDED

# By which copies may be ordered: how many pixels the published image has, and every number.
PREFERABLE = ("pixels", "uid") + tuple(
    column.name
    for column in GATHERED + EMBEDDED
    if (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    and column
    not in (
        ROW,
        URL_HASH,
        RETRY_LAYER,
        HTTP_STATUS,
        IMAGE_OFFSET,
        IMAGE_CHECKSUM,
        PERCEPTUAL_HASH,
        DHASH,
        CENTRE_HASH,
        IMAGE_CLUSTER,
    )
)

# What is declared here and no column of the ledger.
UNSTORED = (
    LUMA, LUMA_256, COLOURS, TRIMMED_LUMA, TRIMMED_COLOURS, ORIENTATIONS, IMAGE_EMBEDDING,
    TEXT_EMBEDDING, PROMPT_LOGITS,
    *TEXT_UNSTORED,
)  # fmt: skip


def check_listed() -> None:
    """Refuse a column that is in none of the tuples above, or in two: no verb could write it.

    Raises:
        BadOption: naming the column and what to do.
    """
    listed = Counter(column.name for column in COLUMNS + UNSTORED)
    declared = dict(globals())
    for module in (text_columns, pool_columns, rights_columns, copy_columns, unstored_columns):
        declared |= vars(module)
    for constant, value in declared.items():
        if isinstance(value, Column) and listed[value.name] != 1:
            raise BadOption(
                f"schemas/columns.py: {constant} is in {listed[value.name]} of GATHERED, "
                "EMBEDDED, CAPTIONED, COPIES, COUNTED, ROUNDS, STEPS, LISTED, SELECTED, SHARDED "
                "and UNSTORED; put it in one, by the verb that writes it"
            )


def scores_of(names: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of scores by further models: `<column>_<name>`, a set for each name."""
    return tuple(
        replace(c, name=f"{c.name}_{name}", doc=f"{c.doc} By the model `{name}`.")
        for name in names
        for c in EMBEDDED
    )


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return `columns` as an Arrow schema; unit and sentence are in the metadata of each field."""
    return pa.schema(
        [pa.field(c.name, c.type, c.nullable, {"unit": c.unit, "doc": c.doc}) for c in columns]
    )
