"""The columns that are counted over the whole pool, by `group`."""

import pyarrow as pa

from pairsieve.schemas.column import Column, InSample

CAPTION_COUNT = InSample(
    "caption_count",
    pa.int64(),
    "pairs",
    "Different pairs of the input with this caption, in NFKC, without case, spaces collapsed.",
)
URL_COUNT = InSample("url_count", pa.int64(), "pairs", "Different pairs of the input at this URL.")
HOST_COUNT = InSample(
    "host_count", pa.int64(), "pairs", "Different pairs of the input on this host."
)
CAPTIONS_OF_HOST = InSample(
    "captions_of_host", pa.int64(), "captions", "Different captions of the pairs on this host."
)
CAPTIONS_OF_IMAGE = InSample(
    "captions_of_image",
    pa.int64(),
    "captions",
    "Different captions of the images whose file is the same, by its SHA-256.",
)

CAPTIONS_RANKED = Column(
    "captions_ranked",
    pa.list_(pa.int32()),
    "",
    "Indices of `captions`, from 0, by the `clip_similarity` of their own pairs, highest first and "
    "missing last; of equals the kept copy's, then that of the lower uid. Null without copies.",
)

CONCEPT_MATCHES = InSample(
    "concept_matches", pa.int32(), "entries", "Entries of `group.entries` in the text."
)
CONCEPT_ENTRY = InSample(
    "concept_entry", pa.string(), "", "The rarest of them; null where there is none."
)
CONCEPT_PAIRS = InSample(
    "concept_pairs", pa.int64(), "pairs", "Different pairs with an image that have this entry."
)
CONCEPT_RANK = InSample(
    "concept_rank",
    pa.float64(),
    ">= 0",
    "The least t at which it is drawn: of its entries the least product of pairs and a number "
    "in [0, 1) that depends on seed, uid and entry.",
)
CONCEPT_TAIL = InSample(
    "concept_tail",
    pa.float64(),
    "[0, 1]",
    "Share of the matches of all entries of its language that those with fewer pairs than "
    "`concept_rank` have.",
)

CAPTION_CLUSTER = InSample(
    "caption_cluster",
    pa.int64(),
    "rows",
    "The smallest row of a caption that this one is like, or like one that is; itself included.",
)
CAPTION_CLUSTER_PAIRS = InSample(
    "caption_cluster_pairs",
    pa.int64(),
    "pairs",
    "Different pairs of the input with a caption of this cluster.",
)

BOILERPLATE_PREFIX = InSample(
    "boilerplate_prefix",
    pa.string(),
    "",
    "Beginning of the cleaned text that most captions of its host share.",
)
BOILERPLATE_SUFFIX = InSample(
    "boilerplate_suffix",
    pa.string(),
    "",
    "End of the cleaned text that most captions of its host share.",
)
BOILERPLATE_CAPTIONS = InSample(
    "boilerplate_captions",
    pa.int64(),
    "captions",
    "Different captions of the host that have it; of both, the larger number.",
)

RAREST_WORD_TIMES = InSample(
    "rarest_word_times",
    pa.int64(),
    "times",
    "How often the rarest of its words, and pairs of neighbouring words, occurs in all captions.",
)
RAREST_WORD_RANK = InSample(
    "rarest_word_rank",
    pa.int64(),
    "words",
    "How many different words and pairs of words occur as often as that or more often.",
)

COUNTED = (CAPTION_COUNT, URL_COUNT, HOST_COUNT, CAPTIONS_OF_HOST, CAPTIONS_OF_IMAGE)
BALANCED = (CONCEPT_MATCHES, CONCEPT_ENTRY, CONCEPT_PAIRS, CONCEPT_RANK, CONCEPT_TAIL)
CLUSTERED = (CAPTION_CLUSTER, CAPTION_CLUSTER_PAIRS)
BOILERPLATE = (BOILERPLATE_PREFIX, BOILERPLATE_SUFFIX, BOILERPLATE_CAPTIONS)
RARE = (RAREST_WORD_TIMES, RAREST_WORD_RANK)
