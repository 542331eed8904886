"""A multisig account, public half only: keys, scripts, addresses and PSBT fields (BIP-11, 16, 45, 48, 67, 141)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.account import CHANGE, RECEIVE
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptors.descriptor import Descriptor, script_addresses
from bursar.bitcoin.descriptors.inference import raw_extended
from bursar.bitcoin.descriptors.keys import KeyExpression
from bursar.bitcoin.descriptors.nodes import Multi, Node, Wrapped
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.bitcoin.psbt import Psbt
    from bursar.keys.path import DerivationPath

MOST_COSIGNERS: Final = 20
MOST_COSIGNERS_SH: Final = 15  # a redeem script has at most 520 bytes


class MultisigKind(Enum):
    """How the multisig script is paid to."""

    SH = "sh"
    WSH = "wsh"
    SH_WSH = "sh-wsh"


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this multisig account is not possible: {reason}", code="input.account")


@dataclass(frozen=True, slots=True)
class MultisigAccount:
    """``threshold`` of ``cosigners``, each an extended key with its origin; branch 0 receives, branch 1 takes change.

    ``sorted``: each script's keys stand in BIP-67's order, so that the order of the cosigners does not matter.
    """

    network: Network
    kind: MultisigKind
    threshold: int
    cosigners: tuple[tuple[KeyOrigin, ExtendedPublicKey], ...]
    sorted: bool = True

    def __post_init__(self) -> None:
        if type(self.cosigners) is not tuple or type(self.kind) is not MultisigKind or type(self.sorted) is not bool:
            raise _invalid("its kind is a MultisigKind, its cosigners are a tuple and sorted is True or False")
        count = len(self.cosigners)
        most = MOST_COSIGNERS_SH if self.kind is MultisigKind.SH else MOST_COSIGNERS
        if type(self.threshold) is not int or not 1 <= self.threshold <= count <= most:
            raise _invalid(
                f"{self.threshold} of {count} cosigners: there are 1 to {most}, and the threshold is no more"
            )
        for origin, xpub in self.cosigners:
            self._check_cosigner(origin, xpub)
        if len({xpub.key for _, xpub in self.cosigners}) != count:
            raise _invalid("a cosigner stands in it twice: every cosigner has a key of its own")
        if len({origin for origin, _ in self.cosigners if origin.fingerprint != UNKNOWN}) != len(
            [origin for origin, _ in self.cosigners if origin.fingerprint != UNKNOWN]
        ):
            raise _invalid("two cosigners claim the same origin for different keys")

    def _check_cosigner(self, origin: KeyOrigin, xpub: ExtendedPublicKey) -> None:
        indexes = origin.path.indexes
        if xpub.depth != len(indexes) or (indexes and xpub.index != indexes[-1]):
            raise _invalid(f"the extended key of {origin.fingerprint} is not the one at {origin.path}")
        if xpub.testnet != self.network.testnet:
            raise InvalidInputError(
                f"the extended key of {origin.fingerprint} does not belong to {self.network}: it must begin with "
                f"{'tpub' if self.network.testnet else 'xpub'}",
                code="input.network",
            )

    def __contains__(self, fingerprint: object) -> bool:
        return any(origin.fingerprint == fingerprint for origin, _ in self.cosigners)

    def own_keys(self, fingerprint: Fingerprint) -> tuple[tuple[KeyOrigin, ExtendedPublicKey], ...]:
        """The cosigner keys of one signer; ``InvalidInputError`` (``input.account``) if it is no cosigner."""
        found = tuple(one for one in self.cosigners if one[0].fingerprint == fingerprint != UNKNOWN)
        if not found:
            raise InvalidInputError(
                f"the signer {fingerprint} is not a cosigner of this account: it could not sign for it",
                code="input.account",
            )
        return found

    def check_own_key(self, fingerprint: Fingerprint, xpub: ExtendedPublicKey) -> None:
        """Raise unless the signer ``fingerprint``, which gave ``xpub``, stands in the account with that key."""
        if all(known != xpub for _, known in self.own_keys(fingerprint)):
            raise InvalidInputError(
                f"the account names another key for {fingerprint} than this signer has: do not pay to it",
                code="input.account",
            )

    def _node(self, *branches: int) -> Node:
        step = branches[0] if len(branches) == 1 else branches
        keys = tuple(KeyExpression(xpub, origin, (step,), 0) for origin, xpub in self.cosigners)
        node: Node = Multi("sortedmulti" if self.sorted else "multi", self.threshold, keys)
        if self.kind is not MultisigKind.SH:
            node = Wrapped("wsh", node)
        return node if self.kind is MultisigKind.WSH else Wrapped("sh", node)

    @property
    def branches(self) -> tuple[int, ...]:
        """``(0, 1)``: branch 0 receives, branch 1 takes change."""
        return (RECEIVE, CHANGE)

    @property
    def ranged(self) -> bool:
        """It has an address for every index."""
        return True

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """The cosigners' master keys, in their order, each once."""
        return tuple(dict.fromkeys(origin.fingerprint for origin, _ in self.cosigners))

    def place(self, branch: int, index: int) -> str:
        """How reviews name a place: the path below every cosigner's key."""
        return f"{branch}/{index}"

    def locate(self, origin: KeyOrigin) -> tuple[int, int] | None:
        """The branch and index a key with this origin stands at, ``None`` when it is no cosigner's.

        That the script there is the expected one is for the caller to compare.
        """
        for home, _ in self.cosigners:
            below = origin.path.indexes[len(home.path) :]
            if (
                home.fingerprint == origin.fingerprint
                and home.path.is_prefix_of(origin.path)
                and len(below) == 2
                and below[0] in (RECEIVE, CHANGE)
                and below[1] < HARDENED
            ):
                return below[0], below[1]
        return None

    def describe(self, branch: int) -> Descriptor:
        """The descriptor of one branch, as one of a single branch."""
        return self._both(branch)

    def _both(self, branch: int) -> Descriptor:
        if branch not in (RECEIVE, CHANGE):
            raise InvalidInputError(
                f"there is no branch {branch!r} of a multisig account: 0 receives, 1 takes change", code="input.account"
            )
        return Descriptor(self._node(branch), 1, self.network.testnet)

    def descriptor(self, branch: int | None = None) -> str:
        """The descriptor of one branch, or of both (``<0;1>``, BIP-389), with its checksum."""
        if branch is not None:
            return str(self._both(branch))
        return str(Descriptor(self._node(RECEIVE, CHANGE), 2, self.network.testnet))

    def keys(self, branch: int, index: int) -> dict[bytes, KeyOrigin]:
        """The public keys (33 bytes) of every cosigner with their origins, in the order of the cosigners."""
        return {
            xpub.derive((branch, index)).key: KeyOrigin(origin.fingerprint, origin.path / branch / index)
            for origin, xpub in self.cosigners
        }

    def path(self, fingerprint: Fingerprint, branch: int, index: int) -> DerivationPath:
        """The absolute path of the key of a cosigner that has one key."""
        found = self.own_keys(fingerprint)
        if len(found) != 1:
            raise _invalid(f"{fingerprint} has {len(found)} keys in it: use keys()")
        return found[0][0].path / branch / index

    def spending(self, branch: int, index: int) -> Spending:
        """The output with redeem script, witness script and every cosigner's derivation, as a PSBT wants them."""
        return self._both(branch).spending(0, index)

    def describe_xpubs(self, psbt: Psbt) -> None:
        """Write the cosigners' extended keys into a PSBT, so that devices recognise inputs and change."""
        for origin, xpub in self.cosigners:
            psbt.xpubs[raw_extended(xpub)] = origin

    def script(self, branch: int, index: int) -> bytes:
        """The output script."""
        return self._both(branch).script(0, index)

    def scripts(self, branch: int, start: int, count: int) -> list[bytes]:
        """The output scripts of ``count`` consecutive indexes."""
        return self._both(branch).scripts(0, start, count)

    def address(self, branch: int, index: int) -> Address:
        """The address."""
        return Address.from_script(self.script(branch, index), self.network)

    def addresses(self, branch: int, start: int, count: int) -> list[str]:
        """The addresses of ``count`` consecutive indexes."""
        return script_addresses(self.scripts(branch, start, count), self.network)

    @classmethod
    def from_descriptor(cls, text: str, network: Network) -> MultisigAccount:
        """From ``sh``, ``wsh`` or ``sh(wsh)`` of ``multi`` or ``sortedmulti`` over ``[origin]xpub/<0;1>/*`` keys.

        ``InvalidInputError`` (``input.descriptor``) for any other descriptor.
        """
        descriptor = Descriptor.parse(text)
        node, names = descriptor.node, []
        while isinstance(node, Wrapped):
            names.append(node.name)
            node = node.inner
        try:
            kind = MultisigKind("-".join(names))
        except ValueError:
            kind = None
        if kind is None or not isinstance(node, Multi):
            raise _other("it is not sh, wsh or sh(wsh) of multi or sortedmulti")
        cosigners = []
        for key in node.keys:
            if not isinstance(key, KeyExpression) or not isinstance(key.key, ExtendedPublicKey) or key.origin is None:
                raise _other("each key must be an extended key with its origin")
            if key.steps not in (((RECEIVE, CHANGE),), (RECEIVE,), (CHANGE,)) or key.wildcard != 0:
                raise _other("each key must end in /<0;1>/*")
            if key.private is not None:
                raise _other("it holds a private key: give the public one")
            cosigners.append((key.origin, key.key))
        if len({key.steps for key in node.keys}) != 1:
            raise _other("its keys are not all of one branch")
        return cls(network, kind, node.threshold, tuple(cosigners), node.sorted)

    def to_json(self) -> dict[str, Any]:
        """Strings, numbers and truth values only; see ``from_json``."""
        return {
            "version": 1,
            "chain": "bitcoin",
            "network": self.network.name,
            "multisig": self.kind.value,
            "threshold": self.threshold,
            "sorted": self.sorted,
            "cosigners": [{"origin": str(origin), "xpub": str(xpub)} for origin, xpub in self.cosigners],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MultisigAccount:
        """The reverse of ``to_json``; ``InvalidInputError`` (``input.account``) on anything else."""
        try:
            if data["version"] != 1 or data["chain"] != "bitcoin":
                raise KeyError("version")
            cosigners = [
                (KeyOrigin.from_text(one["origin"]), ExtendedPublicKey.from_text(one["xpub"]))
                for one in data["cosigners"]
            ]
            kind = MultisigKind(data["multisig"])
            return cls(Network.from_text(data["network"]), kind, data["threshold"], tuple(cosigners), data["sorted"])
        except InvalidInputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InvalidInputError(
                "account record is not one of version 1 of a multisig account", code="input.account"
            ) from error


def _other(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this descriptor is not that of a multisig account: {reason}", code="input.descriptor")
