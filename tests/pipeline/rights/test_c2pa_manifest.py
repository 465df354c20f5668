import subprocess
import sys
from typing import Any

import pytest
from tests.pipeline.rights.conftest import Signed, pictured

from pairsieve.pipeline.rights.c2pa_manifest import training_opt_out
from pairsieve.pipeline.rights.in_file import read_rights
from pairsieve.schemas.recipe_opt_outs import Form
from pairsieve.schemas.rights_columns import C2PA_SIGNER, C2PA_STATE, DIGITAL_SOURCE_TYPE

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MADE = {
    "label": "c2pa.actions",
    "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]},
}


def mining(entries: dict[str, Any], by: str = "cawg") -> dict[str, Any]:
    named = {f"{by}.{name}": {"use": use} for name, use in entries.items()}
    return {"label": f"{by}.training-mining", "data": {"entries": named}}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_an_assertion_on_training_is_found_in_every_format(kind: str, signed: Signed) -> None:
    assertion = mining({"ai_training": "allowed", "ai_generative_training": "notAllowed"})
    (found,) = read_rights(signed(kind, MADE, assertion)).opt_outs
    assert (found.form, found.evidence) == (Form.C2PA, "cawg.ai_generative_training: notAllowed")


@pytest.mark.parametrize(
    ("entries", "by", "words"),
    [
        ({"ai_training": "allowed", "data_mining": "allowed"}, "cawg", None),
        ({"ai_inference": "notAllowed", "ai_training": "allowed"}, "cawg", None),
        ({"ai_training": "constrained"}, "cawg", "cawg.ai_training: constrained"),
        ({"data_mining": "notAllowed"}, "c2pa", "c2pa.data_mining: notAllowed"),
    ],
)
def test_what_an_assertion_forbids(
    entries: dict[str, str], by: str, words: str | None, signed: Signed
) -> None:
    found = read_rights(signed("jpeg", MADE, mining(entries, by))).opt_outs
    assert [one.evidence for one in found] == ([words] if words else [])


def test_a_constraint_before_the_use_is_passed_over(signed: Signed) -> None:
    entry = {"use": "constrained", "constraint_info": "only on days that end in y"}
    assertion = {
        "label": "cawg.training-mining",
        "data": {"entries": {"cawg.data_mining": entry, "cawg.ai_training": {"use": "allowed"}}},
    }
    (found,) = read_rights(signed("jpeg", MADE, assertion)).opt_outs
    assert found.evidence == "cawg.data_mining: constrained"


def test_assertions_of_1_x_are_json() -> None:
    box = b'{"entries": {"c2pa.ai_training": {"use" : "notAllowed"}}}'
    assert training_opt_out(box) == "c2pa.ai_training: notAllowed"
    assert training_opt_out(box.replace(b"notAllowed", b"allowed")) is None


def test_a_picture_by_a_model_says_so_and_who_signed_it(signed: Signed) -> None:
    body = signed("jpeg", MADE)
    assert read_rights(body).values == {DIGITAL_SOURCE_TYPE: "trainedAlgorithmicMedia"}
    assert read_rights(body, "jpeg").values == {
        DIGITAL_SOURCE_TYPE: "trainedAlgorithmicMedia",
        C2PA_SIGNER: "Ada, Example Photos",
        C2PA_STATE: "valid",
    }


def test_a_signature_of_another_picture_is_invalid_and_its_opt_out_counts(signed: Signed) -> None:
    body = bytearray(signed("jpeg", MADE, mining({"ai_training": "notAllowed"})))
    body[-50] ^= 1
    rights = read_rights(bytes(body), "jpeg")
    assert rights.values[C2PA_STATE] == "invalid"
    assert [one.form for one in rights.opt_outs] == [Form.C2PA]


def test_a_picture_without_or_with_a_broken_manifest_has_no_signer(signed: Signed) -> None:
    body = signed("jpeg", MADE)
    at = body.index(b"jumdc2pa")
    cut = body[: at + 40] + bytes(200) + body[at + 240 :]
    assert C2PA_SIGNER not in read_rights(cut, "jpeg").values
    assert read_rights(pictured("jpeg"), "jpeg").values == {}


def test_without_the_library_a_recipe_that_needs_it_is_refused() -> None:
    program = (
        "import sys; sys.modules['c2pa'] = None\n"
        "from pairsieve.pipeline.rights.c2pa_manifest import check\n"
        "from pairsieve.schemas.errors import BadOption\n"
        "try: check()\nexcept BadOption as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'pairsieve[c2pa]'" in done.stdout
