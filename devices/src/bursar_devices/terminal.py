"""``bursar-emulator``: a simulated device for people to play with, its screen in the terminal, its buttons as keys."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from bursar_devices.device import Page, Press, selector_of

if TYPE_CHECKING:
    from rich.panel import Panel

    from bursar_devices.device import Device

WORDS = {
    "trezor": " ".join(["all"] * 12),
    "ledger": " ".join(["abandon"] * 11 + ["about"]),
}
_KEYS = {
    "y": Press.ACCEPT,
    "\r": Press.ACCEPT,
    "\n": Press.ACCEPT,
    "\x1b[C": Press.ACCEPT,  # right
    "n": Press.REFUSE,
    "\x1b[D": Press.REFUSE,  # left
}
_QUIT = ("q", "\x03", "\x04", "")
_LOOK_EVERY = 0.1
_WIDTH = 44


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a simulated signing device and press its buttons here. Its keys are known to everybody: never fund them."""


@main.command()
@click.option("--model", default="T1B1", show_default=True, help="Trezor's own name of the model.")
@click.option("--mnemonic", default=WORDS["trezor"], help="Its words.  [default: all all … all]")
@click.option("--pin", help="Begin locked with this PIN.")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase.")
@click.option("--label", default="Simulated Trezor", show_default=True, help="Its label.")
@click.option("--empty", is_flag=True, help="Begin without keys, to be set up.")
@click.option("--port", default=0, help="UDP port; 21324 is the standard one.  [default: a free one]")
def trezor(model: str, mnemonic: str, pin: str | None, passphrase: bool, label: str, empty: bool, port: int) -> None:
    """A Trezor, on UDP."""
    from bursar_devices.trezor import TrezorSimulator

    play(
        TrezorSimulator(
            model=model,
            mnemonic=mnemonic,
            pin=pin,
            passphrase_protection=passphrase,
            label=label,
            initialized=not empty,
            port=port,
        )
    )


@main.command()
@click.option(
    "--app",
    type=click.Choice(["Bitcoin", "Bitcoin Test", "Ethereum", "BOLOS"]),
    default="Bitcoin Test",
    show_default=True,
    help="The app that is open; BOLOS is the dashboard.",
)
@click.option("--model", type=click.Choice(["nanosp", "flex"]), default="nanosp", show_default=True, help="The model.")
@click.option("--mnemonic", default=WORDS["ledger"], help="Its words.  [default: abandon … about]")
@click.option("--blind-signing", is_flag=True, help="Turn the Ethereum app's setting on.")
@click.option("--smart-accounts", is_flag=True, help="Turn the Ethereum app's setting for EIP-7702 on.")
@click.option("--port", default=0, help="TCP port; 9999 is the standard one.  [default: a free one]")
def ledger(app: str, model: str, mnemonic: str, blind_signing: bool, smart_accounts: bool, port: int) -> None:
    """A Ledger, on TCP."""
    from bursar_devices.ledger import LedgerSimulator

    play(
        LedgerSimulator(
            app=app,
            model=model,
            mnemonic=mnemonic,
            blind_signing=blind_signing,
            smart_accounts=smart_accounts,
            port=port,
        )
    )


def play(device: Any) -> None:
    """Run ``device`` until somebody wants no more."""
    try:
        started = device.__enter__()
    except OSError as error:
        raise click.ClickException(f"the port cannot be had: {error.strerror}; choose another --port") from error
    try:
        click.echo(f"{device.family} {device.model}, firmware {device.firmware}, at {device.location}")
        click.echo(f"Use it with: bursar … --signer {selector_of(device)}")
        with stopping() as stopped:
            if sys.stdin.isatty() and sys.stdout.isatty():
                draw(started, sys.stdin, stopped)
            else:
                converse(started, sys.stdin, sys.stdout, stopped)
    finally:
        device.close()


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C, or when somebody ends the process kindly."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def converse(device: Device, keys: IO[str], screen: IO[str], stopped: threading.Event) -> None:
    """For programs: each page as lines, answered by lines that say y or n; ends with the input, or with q."""
    shown: Page | None = None
    for line in typed_lines(keys, stopped):
        if line == "q":
            return
        if line is not None and press(device, line or "\n"):
            shown = None
        page = glance(device)
        if page is not None and page != shown:
            screen.write(f"[{page.title}] {' '.join(page.lines)}".rstrip() + "\n")
            screen.flush()
        shown = page


def typed_lines(keys: IO[str], stopped: threading.Event) -> Iterator[str | None]:
    """Each line as it is typed, in small letters, and ``None`` now and then while nothing is; ends with the input."""
    pending = b""
    while not stopped.is_set():
        line, end, rest = pending.partition(b"\n")
        if end:
            pending = rest
            yield line.decode(errors="replace").strip().lower()
            continue
        yield None
        if select.select([keys], [], [], _LOOK_EVERY)[0]:
            chunk = os.read(keys.fileno(), 4096)
            if not chunk:
                return
            pending += chunk


def draw(device: Device, keys: IO[str], stopped: threading.Event) -> None:
    """For people: the screen as a picture, a key for each button."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with one_key_at_a_time(keys), Live(picture(device), console=console, auto_refresh=False, transient=True) as live:
        while not stopped.is_set():
            live.update(picture(device), refresh=True)
            if not select.select([keys], [], [], _LOOK_EVERY)[0]:
                continue
            key = os.read(keys.fileno(), 8).decode(errors="replace")
            if key.lower() in _QUIT:
                return
            press(device, key if key.startswith("\x1b") else key[:1].lower())


def press(device: Device, key: str) -> bool:
    """Press what ``key`` means, if anything waits for it; whether it did."""
    meant = _KEYS.get(key)
    if meant is None or device.page() is None:
        return False
    device.press(meant)
    return True


def glance(device: Device) -> Page | None:
    """What the device shows, also what is answered at the computer: a device that has such pages has a ``glance``."""
    look: Callable[[], Page | None] = getattr(device, "glance", device.page)
    return look()


def picture(device: Device) -> Panel:
    """The device as it looks now."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    page = glance(device)
    lines = ["", "ready", ""] if page is None else [page.title, "", *page.lines]
    glass = Panel(Text("\n".join(lines), justify="center"), width=_WIDTH, height=max(10, len(lines) + 2))
    keys = "q  quit" if device.page() is None else "n ←  refuse        accept  → y"
    return Panel(
        Group(glass, Text(keys, style="dim", justify="center")),
        title=f"{device.family} {device.model}",
        subtitle=selector_of(device),
        width=_WIDTH + 4,
    )


@contextlib.contextmanager
def one_key_at_a_time(keys: IO[str]) -> Iterator[None]:
    """A terminal that hands over each key at once and does not repeat it; as it was before, afterwards."""
    import termios
    import tty

    before = termios.tcgetattr(keys)
    tty.setcbreak(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
