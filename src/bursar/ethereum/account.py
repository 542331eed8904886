"""The public half of an Ethereum account: addresses under one extended public key (BIP-44, SLIP-44 coin type 60)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address, checksum_texts
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.path_scheme import EthereumScheme
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin

if TYPE_CHECKING:
    from bursar.keys.path import DerivationPath

_MEMBERS = frozenset(("version", "kind", "chain_id", "origin", "xpub"))


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.account")


@dataclass(frozen=True, slots=True)
class EthereumAccount:
    """An account on one chain: ``xpub`` sits at ``origin.path`` (``m/44h/60h/0h``), its addresses at ``/0/index``.

    In the ``LEGACY`` scheme they are at ``/index``; in that of Ledger Live an account has index 0 only.
    """

    chain_id: int
    origin: KeyOrigin
    xpub: ExtendedPublicKey
    scheme: EthereumScheme = EthereumScheme.BIP44
    _branch: ExtendedPublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_chain_id(self.chain_id)
        indexes = self.origin.path.indexes
        if self.xpub.depth != len(indexes) or (indexes and self.xpub.index != indexes[-1]):
            raise _invalid(f"the extended public key is not the one at {self.origin.path}: depth or index differ")
        if not isinstance(self.scheme, EthereumScheme):
            raise _invalid("the scheme of an ethereum account is an EthereumScheme")
        branch = self.xpub
        for step in self.scheme.branch:
            branch = branch.child(step)
        object.__setattr__(self, "_branch", branch)

    def path(self, index: int) -> DerivationPath:
        """The absolute path of the key at ``index``."""
        self._check(index)
        path = self.origin.path
        for step in self.scheme.branch:
            path = path / step
        return path / index

    def _check(self, index: int) -> None:
        if index and self.scheme is EthereumScheme.LEDGER_LIVE:
            raise _invalid(f"an account of ledger live has one address, at index 0, and none at {index!r}")

    def address(self, index: int) -> Address:
        """The address at ``index``."""
        self._check(index)
        return Address.from_public_key(self._branch.child(index).key)

    def addresses(self, start: int, count: int) -> list[str]:
        """The EIP-55 texts of ``count`` addresses from index ``start``, quicker than one by one."""
        if self.scheme is EthereumScheme.LEDGER_LIVE:
            count = min(count, 1) if start == 0 else 0
        points = self._branch.children_uncompressed(start, count)
        return checksum_texts([keccak256(point[1:])[12:] for point in points])

    def to_json(self) -> dict[str, Any]:
        """This account as JSON data."""
        return {
            "version": 1,
            "kind": "ethereum",
            "chain_id": self.chain_id,
            "origin": str(self.origin),
            "xpub": str(self.xpub),
            **({} if self.scheme is EthereumScheme.BIP44 else {"scheme": self.scheme.value}),
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The account of :meth:`to_json`."""
        if not isinstance(data, dict) or set(data) - {"scheme"} != _MEMBERS:
            raise _invalid(f"a stored ethereum account has exactly {', '.join(sorted(_MEMBERS))}")
        if type(data["version"]) is not int or data["version"] != 1 or data["kind"] != "ethereum":
            raise _invalid("this is no ethereum account of version 1")
        if not isinstance(data["origin"], str) or not isinstance(data["xpub"], str):
            raise _invalid("the origin and the extended public key of a stored account are texts")
        origin, xpub = KeyOrigin.from_text(data["origin"]), ExtendedPublicKey.from_text(data["xpub"])
        name = data.get("scheme", EthereumScheme.BIP44.value)
        scheme = next((one for one in EthereumScheme if one.value == name), None)
        if scheme is None or (scheme is EthereumScheme.BIP44 and "scheme" in data):
            raise _invalid(f"the scheme of a stored account is not {name!r:.40}")
        return cls(check_chain_id(data["chain_id"]), origin, xpub, scheme)
