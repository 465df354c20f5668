"""The rights fields of XMP: who made a picture, on what terms, and whether it may be mined.

Source: IPTC Photo Metadata Standard 2025.1 for fields and names; PLUS LDF 2.0 for the values of
Data Mining, of which every one that begins with DMI-PROHIBITED forbids training, if only under a
constraint; Creative Commons' advice on XMP for licences; TDMRep, 5.6, for its two properties.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

MAX_CHARS = 500  # of a field that are kept
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_PLUS = "{http://ns.useplus.org/ldf/xmp/1.0/}"
_TDM = "{http://www.w3.org/ns/tdmrep/}"
_LICENCE = (
    "{http://creativecommons.org/ns#}license",
    "{http://ns.adobe.com/xap/1.0/rights/}WebStatement",
)
_CREDIT = "{http://ns.adobe.com/photoshop/1.0/}Credit"
_SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
_DEFAULT = "x-default"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_MINING = re.compile(rb"DataMining[^<]{0,200}?(DMI-PROHIBITED[A-Z-]*)")  # of what is no XML
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class XmpRights:
    """What XMP says; None where it says nothing.

    Attributes:
        licence: cc:license, or else the Web Statement of Rights; a URL as a rule.
        creator: All of them, parted by "; ".
        credit: The credit line.
        notice: The copyright notice, in its default language.
        source_type: The last part of the Digital Source Type, such as `trainedAlgorithmicMedia`.
        opt_out: The words that forbid mining or training.
    """

    licence: str | None = None
    creator: str | None = None
    credit: str | None = None
    notice: str | None = None
    source_type: str | None = None
    opt_out: str | None = None


def read_xmp(packets: Iterable[bytes]) -> XmpRights:
    """Return what the packets, each an rdf:RDF element, say; of each field the first that does."""
    fields: dict[str, str] = {}
    for packet in packets:
        for name, value in _fields(packet).items():
            fields.setdefault(name, value)
    return XmpRights(**fields)


def _fields(packet: bytes) -> dict[str, str]:
    """Return the fields of one packet, without those that are missing or empty."""
    try:
        root = ElementTree.fromstring(packet)  # noqa: S314, begins within an element: no DTD
    except (ElementTree.ParseError, ValueError, LookupError):
        mining = _MINING.search(packet)
        return {"opt_out": f"plus:DataMining {mining[1].decode('ascii')}"} if mining else {}
    values: dict[str, str] = {}
    for description in root.findall(f"{_RDF}Description"):
        for name, value in _properties(description):
            values.setdefault(name, value)
    found = {
        "licence": next((values[name] for name in _LICENCE if name in values), ""),
        "creator": values.get(f"{_DC}creator", ""),
        "credit": values.get(_CREDIT, ""),
        "notice": values.get(f"{_DC}rights", ""),
        "source_type": values.get(_SOURCE_TYPE, "").rstrip("/").rpartition("/")[2],
        "opt_out": _opt_out(values),
    }
    return {name: value[:MAX_CHARS] for name, value in found.items() if value}


def _opt_out(values: dict[str, str]) -> str:
    """Return what of the properties forbids mining or training."""
    mining = values.get(f"{_PLUS}DataMining", "").rpartition("/")[2]
    if mining.startswith("DMI-PROHIBITED"):
        constraint = values.get(f"{_PLUS}OtherConstraints", "")
        return f"plus:DataMining {mining}{f': {constraint}' if constraint else ''}"
    if values.get(f"{_TDM}reservation") == "1":
        policy = values.get(f"{_TDM}policy", "")
        return f"tdm:reservation 1{f', tdm:policy {policy}' if policy else ''}"
    return ""


def _properties(description: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield name and value of each property, be it an attribute, an element or a list."""
    for name, value in description.attrib.items():
        yield name, _SPACE.sub(" ", value).strip()
    for element in description:
        items = list(element.iter(f"{_RDF}li"))
        by_default = [item for item in items if item.get(_LANGUAGE) == _DEFAULT]
        alternative = next(element.iter(f"{_RDF}Alt"), None) is not None
        chosen = by_default or (items[:1] if alternative else items) or [element]
        texts = (_SPACE.sub(" ", "".join(item.itertext())).strip() for item in chosen)
        value = element.get(f"{_RDF}resource") or "; ".join(filter(None, texts))
        yield element.tag, value
