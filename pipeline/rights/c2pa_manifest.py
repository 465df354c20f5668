"""C2PA manifests: whether they forbid training, how a picture was made, and who signed it.

The first two are read from the bytes of the store: assertions are boxes of CBOR or JSON that are
not packed, and an opt-out needs no valid signature. Of the manifests in a store, also those of its
ingredients, the most restrictive counts. Only for the signer the library is needed, which is slow
enough (1 to 2 ms) and large enough (23 MB) to be asked for by the recipe.

Source: CAWG Training and Data Mining 1.1 (May 2025), 3.1: `constrained` is as `notAllowed`; C2PA
1.4, for the same with `c2pa.`; RFC 8949 for the bytes of CBOR texts; C2PA 2.2, 18.15, for the
digital source type of actions.
"""

import io
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from pairsieve.schemas.errors import BadOption

MAX_CHARS = 200  # of a signer's names
MAX_ENTRIES = 500  # of a store that are looked at; a manifest has four at most
_ENTRY = re.compile(rb"(?:cawg|c2pa)\.(?:data_mining|ai_training|ai_generative_training)")
# What an entry says, behind its name: a map of CBOR, or an object of JSON.
_FORBIDDEN = re.compile(
    rb"[\xa1-\xa3](?:(?!cuse).){0,600}?cuse[jk](notAllowed|constrained)"
    rb"|\"\s*:\s*\{[^{}]{0,600}?\"use\"\s*:\s*\"(notAllowed|constrained)\"",
    re.DOTALL,
)
_SOURCE_TYPE = re.compile(rb"/newscodes/digitalsourcetype/([A-Za-z]{1,60})")
_MIME = {"heif": "image/heif", "tiff": "image/tiff"}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed the active manifest, and whether that holds: valid, trusted or invalid."""

    name: str
    state: str


def training_opt_out(store: bytes) -> str | None:
    """Return the words of a manifest store that forbid training or mining, if there are any."""
    for entry in islice(_ENTRY.finditer(store), MAX_ENTRIES):
        if use := _FORBIDDEN.match(store, entry.end()):
            return f"{entry[0].decode()}: {(use[1] or use[2]).decode()}"
    return None


def source_type(store: bytes) -> str | None:
    """Return the first digital source type in a manifest store."""
    found = _SOURCE_TYPE.search(store)
    return found[1].decode() if found else None


def check() -> None:
    """Refuse to begin without the library.

    Raises:
        BadOption: it cannot be imported.
    """
    _library()


def signer(body: bytes, kind: str) -> Signer | None:
    """Return who signed an image of this kind; None where the library finds no manifest."""
    library, settings = _library()
    try:
        with (
            library.Context(settings) as context,
            library.Reader(
                _MIME.get(kind, f"image/{kind}"), io.BytesIO(body), context=context
            ) as reader,
        ):
            told = json.loads(reader.json())
    except library.C2paError:
        return None
    active = told.get("manifests", {}).get(told.get("active_manifest"), {})
    signed = active.get("signature_info") or {}
    names = filter(None, (signed.get("common_name"), signed.get("issuer")))
    state = str(told.get("validation_state", "invalid")).lower()
    return Signer(", ".join(names)[:MAX_CHARS], state)


@lru_cache(maxsize=1)
def _library() -> tuple[Any, Any]:
    """Return c2pa-python, and settings that let it ask nobody."""
    try:
        import c2pa
    except ImportError as error:
        raise BadOption(
            f"opt_outs.signers: c2pa-python cannot be imported ({error}); install it with "
            "pip install 'pairsieve[c2pa]', or leave the key out"
        ) from error
    alone = {"remote_manifest_fetch": False, "ocsp_fetch": False}
    return c2pa, c2pa.Settings.from_dict({"verify": alone})
