"""Simulated devices for a demonstration, each with a human who accepts (entry points ``bursar.demo_devices``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bursar_devices.device import Page, selector_of
from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.trezor import TrezorSimulator

_APPS = {"bitcoin": "Bitcoin Test", "ethereum": "Ethereum"}


class DemoTrezor:
    """A Trezor that does both chains at once."""

    title = "a simulated Trezor Safe 5"

    def __init__(self, device: TrezorSimulator) -> None:
        self._device = device
        self._seen = 0

    def selector(self, chain: str) -> str:  # noqa: ARG002
        """Where the host finds it."""
        return selector_of(self._device)

    def shown(self) -> list[Page]:
        """The pages since the last time."""
        pages = list(self._device.pages)
        seen, self._seen = self._seen, len(pages)
        return pages[seen:]


class DemoLedger:
    """A Ledger, on which the human opens the app of a chain."""

    title = "a simulated Ledger Nano S Plus"

    def __init__(self, device: LedgerSimulator) -> None:
        self._device = device
        self._seen = 0

    def selector(self, chain: str) -> str:
        """Where the host finds it, with the right app open."""
        self._device.open_app(_APPS[chain])
        return selector_of(self._device)

    def shown(self) -> list[Page]:
        """The pages since the last time."""
        pages = list(self._device.pages)
        seen, self._seen = self._seen, len(pages)
        return pages[seen:]


@contextmanager
def trezor(mnemonic: str) -> Iterator[DemoTrezor]:
    """A Trezor with the keys of ``mnemonic``."""
    with TrezorSimulator(mnemonic=mnemonic, model="T3T1", label="Demo", human=approve()) as device:
        yield DemoTrezor(device)


@contextmanager
def ledger(mnemonic: str) -> Iterator[DemoLedger]:
    """A Ledger with the keys of ``mnemonic``."""
    with LedgerSimulator(mnemonic=mnemonic, human=approve()) as device:
        yield DemoLedger(device)
