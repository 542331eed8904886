"""The demo's hardware wallets: simulators that another distribution offers (entry points ``bursar.demo_devices``)."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from bursar.errors import MissingExtraError
from bursar.keys.mnemonic import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bursar.signing.protocols import Signer
    from bursar.signing.registry import Registry

GROUP = "bursar.demo_devices"


class ShownPage(Protocol):
    """A page of a device's screen."""

    @property
    def title(self) -> str: ...

    @property
    def lines(self) -> tuple[str, ...]: ...


class DemoDevice(Protocol):
    """What an entry point's function gives: a running device with a human in front of it."""

    title: str

    def selector(self, chain: str) -> str: ...

    def shown(self) -> Sequence[ShownPage]: ...


@dataclass(frozen=True, slots=True)
class HardwareWallet:
    """A device of the demo; ``name`` is that of its signer backend."""

    name: str
    device: DemoDevice

    @contextmanager
    def open(self, known: Registry, prompt: Any, chain: str) -> Iterator[tuple[str, Signer]]:
        """The open signer for a chain, with its selector."""
        selector = self.device.selector(chain)
        signer = known.open(selector, prompt, emulators=True)
        try:
            yield selector, signer
        finally:
            signer.close()


def offered() -> list[tuple[str, Callable[[str], AbstractContextManager[DemoDevice]]]]:
    """The devices that are installed here and whose backend is, too; by name, the Trezor first."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name, reverse=True):
        try:
            found.append((point.name, point.load()))
        except (ImportError, MissingExtraError):
            continue
    return found


def fresh_words() -> str:
    """A mnemonic nobody else has, for a device that is gone in a minute."""
    return generate(12).text().expose().decode()
