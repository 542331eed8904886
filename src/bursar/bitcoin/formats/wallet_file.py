"""What a wallet file of any program says, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.labels import LabelRecord
    from bursar.keys.origin import Fingerprint

LARGEST: Final = 64 << 20  # bytes: an Electrum file keeps every transaction
MOST_NAME: Final = 200


def invalid(reason: str, code: str = "input.wallet-file") -> InvalidInputError:
    """The error of this room: what was wrong, and with ``code`` narrowed."""
    return InvalidInputError(f"this wallet file cannot be used: {reason}", code=code)


@dataclass(frozen=True, slots=True)
class KeyName:
    """What a program calls a key's owner, and what kind of device it takes it for (``trezor``, ``coldcard`` …)."""

    label: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class WalletFile:
    """One wallet: its public ``descriptor`` (branch 0 receives, branch 1, if there is one, takes change) and more.

    ``key_names`` are those of the descriptor's keys in order, or none. ``birth_height`` and ``birth_time`` (Unix
    seconds) say since when it may have coins. ``next_index`` has the first unused index of each branch, or nothing.
    ``ledger_hmacs`` are a Ledger's proofs that the wallet is registered on it. ``remarks`` tell what reading it
    overlooked or assumed, for a human.
    """

    name: str
    network: Network
    descriptor: Descriptor
    labels: tuple[LabelRecord, ...] = ()
    key_names: tuple[KeyName, ...] = ()
    birth_height: int | None = None
    birth_time: int | None = None
    next_index: tuple[int, ...] = ()
    ledger_hmacs: tuple[tuple[Fingerprint, bytes], ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.descriptor.private:
            raise invalid("its descriptor holds a private key")
        if not isinstance(self.name, str) or len(self.name) > MOST_NAME or not self.name.isprintable():
            raise invalid(f"its name is one line of at most {MOST_NAME} characters")
        if self.descriptor.testnet not in (None, self.network.testnet):
            raise invalid(f"its keys do not belong to {self.network}", "input.network")
        if self.key_names and len(self.key_names) != len(self.descriptor.keys):
            raise invalid(f"it names {len(self.key_names)} keys and has {len(self.descriptor.keys)}")
        for name in self.key_names:
            if not (name.label.isprintable() and name.kind.isprintable() and len(name.label) <= MOST_NAME):
                raise invalid(f"a key's name is one line of at most {MOST_NAME} characters")
        if self.next_index and len(self.next_index) != self.descriptor.branches:
            raise invalid("it counts addresses of other branches than it has")
        if any(not 0 <= index < 1 << 31 for index in self.next_index):
            raise invalid("an address index is out of range")
        if any(when is not None and not 0 <= when < 1 << 40 for when in (self.birth_height, self.birth_time)):
            raise invalid("its birthday is out of range")
        if any(len(hmac) != 32 for _, hmac in self.ledger_hmacs):
            raise invalid("a Ledger's proof has 32 bytes")

    def address(self, branch: int = 0, index: int = 0) -> str:
        """One address, for comparing with the program the file comes from."""
        return self.descriptor.address(self.network, branch, index).text


def network_of(descriptor: Descriptor, network: Network | None) -> Network:
    """The network of a file: the one given, else the main one or, where the keys say so, the test network."""
    if network is None:
        return Network.TESTNET if descriptor.testnet else Network.MAIN
    if descriptor.testnet not in (None, network.testnet):
        raise invalid(
            f"its keys belong to {'a test network' if descriptor.testnet else 'the main network'}, not to {network}",
            "input.network",
        )
    return network
