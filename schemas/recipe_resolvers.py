"""The name servers at which host names are looked up."""

import re
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator

_SERVER = re.compile(r"\[(?P<v6>[^\]]+)\](?::(?P<port6>\d+))?|(?P<v4>[\d.]+)(?::(?P<port4>\d+))?")


def _address(text: str) -> str:
    """Refuse what is no address of a server."""
    found = _SERVER.fullmatch(text)
    address = (found["v6"] or found["v4"]) if found else text
    port = (found["port6"] or found["port4"]) if found else None
    try:
        ip_address(address)
        right = port is None or 1 <= int(port) <= 65_535
    except ValueError:
        right = False
    if not right:
        raise ValueError(
            f"{text!r}: a name server is `ADDRESS` or `ADDRESS:PORT`, such as 127.0.0.1:5353 or "
            "`[2001:db8::1]:53`"
        )
    return text


NameServer = Annotated[str, AfterValidator(_address)]
