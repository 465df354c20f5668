import pytest
from PIL import Image, PngImagePlugin
from tests.pipeline.rights.conftest import pictured, xmp

from pairsieve.pipeline.rights.file_metadata import file_metadata, xmp_packets
from pairsieve.pipeline.rights.in_file import read_rights
from pairsieve.pipeline.rights.xmp import XmpRights, read_xmp
from pairsieve.schemas.recipe_opt_outs import Form

DMI = "http://ns.useplus.org/ldf/vocab/DMI-"
MINING = f'plus:DataMining="{DMI}PROHIBITED-AIMLTRAINING"'


def read(packet: bytes) -> XmpRights:
    return read_xmp(xmp_packets(packet, len(packet)))


@pytest.mark.parametrize(
    ("value", "forbidden"),
    [
        ("UNSPECIFIED", False),
        ("ALLOWED", False),
        ("PROHIBITED", True),
        ("PROHIBITED-AIMLTRAINING", True),
        ("PROHIBITED-GENAIMLTRAINING", True),
        ("PROHIBITED-EXCEPTSEARCHENGINEINDEXING", True),
        ("PROHIBITED-SEECONSTRAINT", True),
    ],
)
def test_every_value_of_data_mining(value: str, forbidden: bool) -> None:
    for packet in (
        xmp(f'plus:DataMining="{DMI}{value}"'),
        xmp("", f"<plus:DataMining>{DMI}{value}</plus:DataMining>"),
        xmp("", f'<plus:DataMining rdf:resource="{DMI}{value}"/>'),
    ):
        expected = f"plus:DataMining DMI-{value}" if forbidden else None
        assert read(packet).opt_out == expected


def test_a_constraint_is_part_of_the_evidence() -> None:
    constraint = (
        "<plus:OtherConstraints><rdf:Alt><rdf:li xml:lang='de'>fragen</rdf:li>"
        "<rdf:li xml:lang='x-default'>ask  me</rdf:li></rdf:Alt></plus:OtherConstraints>"
    )
    found = read(xmp(f'plus:DataMining="{DMI}PROHIBITED-SEECONSTRAINT"', constraint))
    assert found.opt_out == "plus:DataMining DMI-PROHIBITED-SEECONSTRAINT: ask me"


def test_a_tdm_reservation_in_xmp_counts() -> None:
    elements = "<tdm:reservation>1</tdm:reservation><tdm:policy>https://a.org/p</tdm:policy>"
    assert read(xmp("", elements)).opt_out == "tdm:reservation 1, tdm:policy https://a.org/p"
    assert read(xmp("", "<tdm:reservation>0</tdm:reservation>")).opt_out is None


def test_the_fields_of_rights() -> None:
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    attributes = f'photoshop:Credit="Agency/Ada" Iptc4xmpExt:DigitalSourceType="{source}"'
    elements = (
        "<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>"
        "<dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>© 2026 Ada &amp; Ben</rdf:li>"
        "<rdf:li xml:lang='fr'>autre</rdf:li></rdf:Alt></dc:rights>"
        "<xmpRights:WebStatement>https://a.org/terms</xmpRights:WebStatement>"
    )
    assert read(xmp(attributes, elements)) == XmpRights(
        "https://a.org/terms", "Ada; Ben", "Agency/Ada", "© 2026 Ada & Ben",
        "trainedAlgorithmicMedia",
    )  # fmt: skip


def test_a_licence_goes_before_a_web_statement() -> None:
    url = "https://creativecommons.org/licenses/by/4.0/"
    elements = f'<cc:license rdf:resource="{url}"/>'
    assert read(xmp('xmpRights:WebStatement="https://a.org/"', elements)).licence == url


def test_what_is_no_xml_says_nothing_but_what_it_forbids() -> None:
    broken = b"<rdf:RDF><a b=&x; plus:DataMining='" + DMI.encode() + b"PROHIBITED'></rdf:RDF>"
    assert read(broken) == XmpRights(opt_out="plus:DataMining DMI-PROHIBITED")
    assert read(b"<rdf:RDF><a></rdf:RDF>") == XmpRights()
    assert read(b"<rdf:RDF>" + b"<a>" * 80_000 + b"</rdf:RDF>") == XmpRights()


def test_long_fields_are_cut() -> None:
    assert len(read(xmp(f'photoshop:Credit="{"x" * 900}"')).credit or "") == 500


def kinds() -> list[bytes]:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp(MINING).decode())
    late = pictured("png") + xmp(MINING)
    formats = ("jpeg", "webp", "avif") if "AVIF" in Image.SAVE else ("jpeg", "webp")
    return [
        *(pictured(kind, xmp=xmp(MINING)) for kind in formats),
        pictured("png", pnginfo=text),
        late,
    ]


@pytest.mark.parametrize("body", kinds(), ids=lambda body: str(body[:4]))
def test_xmp_is_found_in_every_format(body: bytes) -> None:
    (found,) = read_rights(body).opt_outs
    assert (found.form, found.evidence) == (
        Form.XMP,
        "plus:DataMining DMI-PROHIBITED-AIMLTRAINING",
    )


def test_of_a_jpeg_the_picture_itself_is_not_searched() -> None:
    body = pictured("jpeg", xmp=xmp(MINING))
    assert file_metadata(body).end == body.index(b"\xff\xda")
    assert read_rights(pictured("jpeg") + xmp(MINING)).opt_outs == ()


@pytest.mark.parametrize("body", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\0", b"ab"])
def test_of_what_is_cut_off_all_is_searched(body: bytes) -> None:
    assert file_metadata(body).end == len(body)
    assert read_rights(body).values == {}
