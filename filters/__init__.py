"""One file per filter. To add one: write the file, write its test, list it here."""

from typing import Any

from pairsieve.filters.aesthetic import Aesthetic
from pairsieve.filters.aspect_ratio import AspectRatio
from pairsieve.filters.caption_characters import CaptionCharacters
from pairsieve.filters.caption_chars import CaptionChars
from pairsieve.filters.caption_cluster import CaptionCluster
from pairsieve.filters.caption_frequency import CaptionFrequency
from pairsieve.filters.caption_nouns import CaptionNouns
from pairsieve.filters.caption_perplexity import CaptionPerplexity
from pairsieve.filters.caption_quality import CaptionQuality
from pairsieve.filters.caption_repetition import CaptionRepetition
from pairsieve.filters.caption_tokens import CaptionTokens
from pairsieve.filters.caption_words import CaptionWords
from pairsieve.filters.centre_hash import CentreHash
from pairsieve.filters.clip_similarity import ClipSimilarity
from pairsieve.filters.colour import Colour
from pairsieve.filters.concept import Concept
from pairsieve.filters.concept_balance import ConceptBalance
from pairsieve.filters.dhash import Dhash
from pairsieve.filters.duplicate import Duplicate
from pairsieve.filters.eval_overlap import EvalOverlap
from pairsieve.filters.exposure import Exposure
from pairsieve.filters.image_cluster import ImageCluster
from pairsieve.filters.known import Known
from pairsieve.filters.language import Language
from pairsieve.filters.licence import Licence
from pairsieve.filters.low_information import LowInformation
from pairsieve.filters.minor_safety import MinorSafety
from pairsieve.filters.nsfw import Nsfw
from pairsieve.filters.orientation_hashes import OrientationHashes
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.filters.personal_data import PersonalData
from pairsieve.filters.placeholder import Placeholder
from pairsieve.filters.printed_share import PrintedShare
from pairsieve.filters.printed_text import PrintedText
from pairsieve.filters.rare_words import RareWords
from pairsieve.filters.semantic_duplicate import SemanticDuplicate
from pairsieve.filters.sharpness import Sharpness
from pairsieve.filters.size import Size
from pairsieve.filters.tags import Tags
from pairsieve.filters.text_classifier import TextClassifier
from pairsieve.filters.text_coverage import TextCoverage
from pairsieve.filters.text_safety import TextSafety
from pairsieve.filters.trimmed import Trimmed
from pairsieve.filters.upscaled import Upscaled
from pairsieve.filters.violence import Violence
from pairsieve.filters.watermark import Watermark

FILTERS: tuple[type[Any], ...] = (
    CaptionWords,
    CaptionChars,
    CaptionTokens,
    Language,
    CaptionCharacters,
    CaptionRepetition,
    CaptionQuality,
    CaptionNouns,
    CaptionPerplexity,
    PersonalData,
    TextSafety,
    TextClassifier,
    Licence,
    Size,
    AspectRatio,
    Sharpness,
    LowInformation,
    TextCoverage,
    PrintedText,
    PrintedShare,
    Exposure,
    Upscaled,
    PerceptualHash,
    Dhash,
    Colour,
    OrientationHashes,
    CentreHash,
    Trimmed,
    ClipSimilarity,
    Nsfw,
    Violence,
    Watermark,
    Aesthetic,
    MinorSafety,
    Concept,
    Tags,
    ImageCluster,
    CaptionFrequency,
    CaptionCluster,
    RareWords,
    ConceptBalance,
    Duplicate,
    Placeholder,
    Known,
    EvalOverlap,
    SemanticDuplicate,
)
