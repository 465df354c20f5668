"""Where a text holds personal data, by kind, as far as form and check digits tell.

Source: RFC 5322 (addresses, the usual part of it); phonenumbers, the port of Google's
libphonenumber; ISO 13616 for IBAN; ISO/IEC 7812 for cards; the check digits of GB 11643 (China),
CPF (Brazil) and DNI (Spain), and the form of the numbers of the US Social Security
Administration.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import chain
from typing import Any, NamedTuple

KINDS = ("email", "phone", "ip", "iban", "card", "id")
CHARS_READ = 10_000  # code points; the rest of a page of text is not looked at
# What any kind but the first needs: seven digits close together, or four numbers, or colons.
_DIGITS = re.compile(
    r"\d(?:[ ().+/\-\u00a0]{0,2}\d){6}|\d\.\d{1,3}\.\d{1,3}\.\d|:[0-9A-Fa-f]*:|[A-Z]{2}\d\d"
)
_DIGIT = re.compile(r"\d")
_AT = re.compile(r"@|[\[(]at[\])]")
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}(?:@|\s?[\[(]at[\])]\s?)"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}\b"
)
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[^\s:]*:[^\s:]*:)[0-9A-Fa-f:]{3,39}(?![\w:])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){13,18}(?![\w-]|\.\d)")
_ISSUER = re.compile(
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6(?:011|5\d\d|4[4-9]\d)\d{12}"
)
_SOCIAL_SECURITY = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_CPF = re.compile(r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)")
_DNI = re.compile(r"\b\d{8}-?[A-HJ-NP-TV-Z]\b")
_CHINESE = re.compile(r"(?<!\w)[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d{4}[\dXx](?!\w)")


class Found(NamedTuple):
    """Where personal data is: code points from `start` to before `end`, and its kind."""

    start: int
    end: int
    kind: str


def find(text: str, regions: tuple[str, ...]) -> list[Found]:
    """Return what is found in the first 10,000 code points, in order, without overlaps.

    `regions` are the countries, ISO 3166, whose phone numbers are known without a `+`.
    """
    text = text[:CHARS_READ]
    digits = bool((_DIGIT.search(text) or "::" in text) and _DIGITS.search(text))
    if not digits and not _AT.search(text):
        return []
    found = list(_emails(text))
    if digits:
        found += chain(_ids(text), _ibans(text), _cards(text), _addresses(text))
        found += _phones(text, regions)
    kept: list[Found] = []
    for one in found:  # the surer kinds come first
        if not any(one.start < other.end and other.start < one.end for other in kept):
            kept.append(one)
    return sorted(kept)


def masked(text: str, regions: tuple[str, ...]) -> str:
    """Return the text with `[email]` and the like in place of what is found."""
    parts, position = [], 0
    for start, end, kind in find(text, regions):
        parts += [text[position:start], f"[{kind}]"]
        position = end
    return "".join((*parts, text[position:]))


def _emails(text: str) -> Iterator[Found]:
    if _AT.search(text):
        yield from (Found(*match.span(), "email") for match in _EMAIL.finditer(text))


def _ids(text: str) -> Iterator[Found]:
    checks: tuple[tuple[re.Pattern[str], Any], ...] = (
        (_SOCIAL_SECURITY, lambda _: True),
        (_CPF, _is_cpf),
        (_DNI, lambda one: "TRWAGMYFPDXBNJZSQVHLCKE"[int(one[:8]) % 23] == one[-1]),
        (_CHINESE, _is_chinese),
    )
    for pattern, right in checks:
        for match in pattern.finditer(text):
            if right(match[0]):
                yield Found(*match.span(), "id")


def _is_cpf(written: str) -> bool:
    """Return whether both check digits are those of the nine before."""
    digits = [int(one) for one in written if one.isdigit()]
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(digit * (length + 1 - i) for i, digit in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != digits[length]:
            return False
    return True


def _is_chinese(written: str) -> bool:
    """Return whether the last sign is the check digit of the 17 before."""
    total = sum(int(one) * (2 ** (17 - i) % 11) for i, one in enumerate(written[:17]))
    return "10X98765432"[total % 11] == written[17].upper()


def _ibans(text: str) -> Iterator[Found]:
    for match in _IBAN.finditer(text):
        bare = match[0].replace(" ", "")
        number = "".join(str(int(one, 36)) for one in bare[4:] + bare[:4])
        if 15 <= len(bare) <= 34 and int(number) % 97 == 1:
            yield Found(*match.span(), "iban")


def _cards(text: str) -> Iterator[Found]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[^\d]", "", match[0])
        if _ISSUER.fullmatch(digits) and len(set(digits)) > 1 and _luhn(digits):
            yield Found(*match.span(), "card")


def _luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others."""
    doubled = (sum(divmod(2 * int(one), 10)) for one in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _addresses(text: str) -> Iterator[Found]:
    for match in chain(_IPV4.finditer(text), _IPV6.finditer(text) if ":" in text else ()):
        try:
            address = ip_address(match[0])
        except ValueError:
            continue
        if address.is_global:  # 1.2.3.4 is; an address of one's own network is nobody's
            yield Found(*match.span(), "ip")


def _phones(text: str, regions: tuple[str, ...]) -> Iterator[Found]:
    """Yield numbers with a `+`, and those of the regions that are grouped as there is usual."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    if "+" in text:
        for match in PhoneNumberMatcher(text, None, Leniency.VALID):
            yield Found(match.start, match.end, "phone")
    for region in regions:
        for match in PhoneNumberMatcher(text, region, Leniency.STRICT_GROUPING):
            if not match.raw_string.isdigit():  # else an article number
                yield Found(match.start, match.end, "phone")
