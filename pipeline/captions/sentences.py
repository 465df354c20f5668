"""What is said to people of the captions of a dataset."""

from collections import Counter

from pairsieve.pipeline.captions.answers import CaptionOutcome
from pairsieve.pipeline.captions.folders import OF, read_record
from pairsieve.pipeline.captions.usage import Usage
from pairsieve.pipeline.dataset.paths import CAPTION_FOLDER, captions_folder
from pairsieve.pipeline.dataset.store import Store


def caption_sentences(store: Store) -> list[str]:
    """Return a sentence on each model that was asked: its answers, and what they cost."""
    return [_sentence(store, name) for name in store.marker_names(CAPTION_FOLDER)]


def _sentence(store: Store, name: str) -> str:
    record = read_record(store, name)
    counts: Counter[str] = Counter()
    usage, begun = Usage(), 0
    for marker in store.markers(captions_folder(name)).values():
        counts.update(marker.counts)
        usage += Usage.of(marker)
        begun += marker.extra[OF] is None
    outcomes = ", ".join(f"{counts[one]:,} {one}" for one in CaptionOutcome if counts[one])
    money = f"{usage.cost:,.2f}" if usage.cost >= 1 else f"{usage.cost:.2g}"
    cost = f", cost {money}" if usage.cost else ""
    part = f"; {begun} task slices are not finished" if begun else ""
    return (
        f"{' and '.join(record['columns'])} of {record['model']} (captions/{name}): "
        f"{outcomes or 'no pair'}; {usage.requests:,} requests ({usage.retries:,} repeated), "
        f"{usage.tokens_in:,} tokens in, {usage.tokens_out:,} out{cost}{part}."
    )
