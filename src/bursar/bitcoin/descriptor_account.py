"""An account that is any descriptor: miniscript, script trees, one branch or two (BIP-380 to 389, BIP-379)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import MusigExpression
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.keys import KeyExpression
    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.keys.origin import Fingerprint, KeyOrigin


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this descriptor is no account: {reason}", code="input.descriptor")


@dataclass(frozen=True, slots=True)
class DescriptorAccount:
    """The scripts of a public descriptor. Of two branches, 0 receives and 1 takes change; a single one does both.

    A descriptor without ``/*`` stands for one script: the account has one address.
    """

    network: Network
    descriptor_value: Descriptor

    def __post_init__(self) -> None:
        value = self.descriptor_value
        if value.private:
            raise _invalid("it holds a private key, an account is public: give the public descriptor")
        if value.testnet is not None and value.testnet is not self.network.testnet:
            raise InvalidInputError(
                f"the descriptor's keys do not belong to {self.network}: take those that begin with "
                f"{'tpub' if self.network.testnet else 'xpub'}",
                code="input.network",
            )
        if value.branches > 2:
            raise _invalid(f"it has {value.branches} branches, an account has one or two")
        if getattr(value.node, "name", "") == "combo":
            raise _invalid("combo() makes several scripts of each key: choose one of its kinds")
        if any(key.wildcard == HARDENED for key in value.keys):
            raise _invalid("its keys are derived with hardened steps, which needs the private key")
        if not value.keys:
            raise _invalid("it names no key, so nobody could be asked to sign")

    @classmethod
    def from_text(cls, text: str, network: Network) -> DescriptorAccount:
        """From the text of a descriptor, with or without checksum."""
        return cls(network, Descriptor.parse(text))

    @property
    def branches(self) -> tuple[int, ...]:
        """``(0, 1)``, or ``(0,)`` where one branch takes payments and change."""
        return tuple(range(self.descriptor_value.branches))

    @property
    def ranged(self) -> bool:
        """Whether it has an address for every index."""
        return self.descriptor_value.ranged

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """The master keys whose signers may sign, in the order of the text, each once."""
        return tuple(dict.fromkeys(one.origin_at(0, 0).fingerprint for one in self.descriptor_value.keys))

    def describe(self, branch: int) -> Descriptor:
        """The descriptor of one branch, as one of a single branch."""
        if branch not in self.branches:
            raise _invalid(f"it has no branch {branch!r} among {len(self.branches)}")
        return self.descriptor_value.expand()[branch]

    def descriptor(self, branch: int | None = None) -> str:
        """The descriptor of one branch, or of all, with its checksum."""
        return str(self.descriptor_value if branch is None else self.describe(branch))

    def script(self, branch: int, index: int) -> bytes:
        """The output script."""
        return self.descriptor_value.script(branch, index)

    def scripts(self, branch: int, start: int, count: int) -> list[bytes]:
        """The output scripts of ``count`` consecutive indexes."""
        return self.descriptor_value.scripts(branch, start, count)

    def address(self, branch: int, index: int) -> Address:
        """The address; ``InvalidInputError`` (``input.script``) where the script has none."""
        return Address.from_script(self.script(branch, index), self.network)

    def addresses(self, branch: int, start: int, count: int) -> list[str]:
        """The addresses of ``count`` consecutive indexes."""
        return self.descriptor_value.addresses(self.network, branch, start, count)

    def spending(self, branch: int, index: int) -> Spending:
        """The output with its scripts, trees and key origins, as a PSBT wants them."""
        return self.descriptor_value.spending(branch, index)

    def place(self, branch: int, index: int) -> str:
        """How reviews name a place: the path below each of its keys."""
        return f"{branch}/{index}"

    def locate(self, origin: KeyOrigin) -> tuple[int, int] | None:
        """The branch and index a key with this origin stands at, ``None`` when it is none of the account's.

        That the script there is the expected one is for the caller to compare.
        """
        value = self.descriptor_value
        together = [key for key in value.node.keys if isinstance(key, MusigExpression)]
        keys: list[KeyExpression | MusigExpression] = [*value.keys, *together]
        for key in keys:
            for branch in self.branches:
                index = _index_of(key, origin, branch)
                if index is not None:
                    return branch, index
        return None

    def to_json(self) -> dict[str, Any]:
        """Strings and integers only; see ``from_json``."""
        return {"version": 1, "chain": "bitcoin", "network": self.network.name, "descriptor": self.descriptor()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DescriptorAccount:
        """The reverse of ``to_json``; ``InvalidInputError`` (``input.account``) on anything else."""
        try:
            if data["version"] != 1 or data["chain"] != "bitcoin":
                raise KeyError("version")
            return cls.from_text(data["descriptor"], Network.from_text(data["network"]))
        except InvalidInputError:
            raise
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                "account record is not one of version 1 of a descriptor account", code="input.account"
            ) from error


def _index_of(key: KeyExpression | MusigExpression, origin: KeyOrigin, branch: int) -> int | None:
    """The index at which ``key`` has this origin; of an aggregate, the one below it (BIP-328)."""
    first = key.aggregate_at(branch, 0)[1] if isinstance(key, MusigExpression) else key.origin_at(branch, 0)
    if first.fingerprint != origin.fingerprint:
        return None
    path, start = origin.path.indexes, first.path.indexes
    if key.wildcard is None:
        return 0 if path == start else None
    if len(path) != len(start) or path[:-1] != start[:-1] or path[-1] >= HARDENED:
        return None
    return path[-1]
