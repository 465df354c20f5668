"""Start of the pages: streamlit, on loopback unless a token guards it, and without the web."""

import ipaddress
import secrets
import socket
from pathlib import Path

import typer

from pairsieve.jobs import log
from pairsieve.jobs.explore.settings import Settings
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.selections import listing
from pairsieve.pipeline.selections.record import read
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_file import load

LOOPBACK = "127.0.0.1"
PAGE = Path(__file__).with_name("app.py")
OPTIONS = {  # of streamlit: nothing is sent anywhere, watched, or opened
    "browser.gatherUsageStats": "false",
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableStaticServing": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "client.toolbarMode": "minimal",
    "client.showErrorLinks": "false",
    "global.developmentMode": "false",
    "logger.level": "error",
}


def serve(dataset: str, recipe: Path | None, name: str | None, address: str, port: int) -> None:
    """Serve the pages on a dataset until the user interrupts.

    Raises:
        BadOption: there is no dataset, selection or recipe, or the address cannot be listened on.
    """
    store = Store.at(dataset)
    plan_file.read(store)
    if name is not None:
        read(store, name)
    if recipe is not None:
        load(recipe)
    token = None if is_loopback(address) else secrets.token_urlsafe(24)
    check_address(address, port)
    Settings(store.url, str(recipe.absolute()) if recipe else None, name, token).put()
    for sentence in _begun(address, port, token, listing.names(store)):
        typer.echo(sentence)
    _run(address, port)


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach an address; a name may lead anywhere."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise BadOption(
            f"--address: {address} is no IP address; allowed: e.g. {LOOPBACK}, or 0.0.0.0"
        ) from error


def check_address(address: str, port: int) -> None:
    """Refuse an address that cannot be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError as error:
            raise BadOption(
                f"--port: {address}:{port} cannot be listened on: {error.strerror}"
            ) from error


def _begun(address: str, port: int, token: str | None, names: list[str]) -> list[str]:
    """Return what is said when the pages begin to be served."""
    host = f"[{address}]" if ":" in address else address
    said = [f"http://{host}:{port}{f'/?token={token}' if token else ''}   (Ctrl-C ends it)"]
    if token:
        said.append("Others can reach this address; who has the link sees the dataset.")
    if not names:
        said.append("No selection was made yet: `pairsieve select` makes the first.")
    return said


def _run(address: str, port: int) -> None:
    """Run streamlit in this process."""
    from streamlit.web.cli import main

    options = OPTIONS | {"server.address": address, "server.port": str(port)}
    words = [f"--{key}={value}" for key, value in options.items()]
    try:
        main(["run", str(PAGE), *words], standalone_mode=False)
    except KeyboardInterrupt:
        log.note("Ended.")
