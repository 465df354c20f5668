"""Concepts whose prompts come with pairsieve: `concepts: {identity_document: shipped}`.

Documents that show who somebody is, or what somebody pays with: of these a dataset should hold
none, and a person can tell them at a glance. The first class is what is scored.

Source: ours; what they are meant to find was found in DataComp's pool by Hong et al., "A Common
Pool of Privacy Problems" (arXiv:2506.17185): cards, passports, driving licences, résumés. Not
measured: no such documents could be had.
"""

from typing import Any

from pairsieve.schemas.errors import nearest

SHIPPED = "shipped"
_OTHERS = {
    "photo": ("a photo of people", "a portrait of a person", "a photo of an object", "a photo"),
    "text": ("a page of a book", "a poster with text", "a screenshot of a web page", "a sign"),
    "drawing": ("a drawing", "a diagram", "a logo"),
}
PROMPTS: dict[str, dict[str, tuple[str, ...]]] = {
    "identity_document": {
        "identity_document": (
            "a photo of a passport",
            "a scan of an identity card",
            "a driving licence with a photo of its holder",
            "a residence permit or a visa",
            "a birth certificate",
        ),
        **_OTHERS,
    },
    "payment_card": {
        "payment_card": (
            "a photo of a credit card",
            "a bank card with its number",
            "a debit card lying on a table",
        ),
        **_OTHERS,
    },
    "resume": {
        "resume": (
            "a scan of somebody's résumé",
            "a curriculum vitae with a photo of the applicant",
            "a job application with name and address",
        ),
        **_OTHERS,
    },
}


def expanded(concepts: Any) -> Any:
    """Return concepts with the prompts of those that are `shipped`.

    Raises:
        ValueError: none of that name is shipped.
    """
    if not isinstance(concepts, dict):
        return concepts
    return {name: _prompts(name) if how == SHIPPED else how for name, how in concepts.items()}


def _prompts(name: Any) -> dict[str, Any]:
    if name not in PROMPTS:
        raise ValueError(f"no concept `{name}` is shipped; {nearest(str(name), list(PROMPTS))}")
    return {"prompts": PROMPTS[name]}
