"""Public keys, descriptors and addresses of a signer, under BIP-44's paths."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.descriptor import add_checksum, strip_checksum
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED, DerivationPath
from bursar.keys.scheme import Scheme, account_path

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.signing.protocols import Signer

SCHEMES: Final = {"legacy": Scheme.BIP44, "wit": Scheme.BIP84, "sh_wit": Scheme.BIP49, "tap": Scheme.BIP86}
_WRAPPERS: Final = {
    Scheme.BIP44: ("pkh(", ")"),
    Scheme.BIP84: ("wpkh(", ")"),
    Scheme.BIP49: ("sh(wpkh(", "))"),
    Scheme.BIP86: ("tr(", ")"),
}
_ONE_KEY: Final = re.compile(r"\[([0-9a-fA-F]{8}(?:/[0-9]{1,10}[h'H]?)*)\]([0-9A-Za-z]+)((?:/[0-9]{1,10})*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keys:
    """The public half of an open signer on one network."""

    signer: Signer
    network: Network

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the master key."""
        found = self.signer.info.fingerprint
        if found is None:
            raise UnsupportedError("this signer does not tell its master fingerprint", operation="fingerprint")
        return found

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """At ``path``; only the hardened part is asked for, the rest is derived here (BIP-32)."""
        hardened = max((place + 1 for place, index in enumerate(path.indexes) if index >= HARDENED), default=0)
        base = self.signer.xpub(DerivationPath(path.indexes[:hardened]))
        return replace(base.derive(path.indexes[hardened:]), testnet=self.network.testnet)

    def account(self, scheme: Scheme, number: int) -> BitcoinAccount:
        """A BIP-44, 49, 84 or 86 account."""
        path = account_path(scheme, self.network.coin_type, number)
        return BitcoinAccount(self.network, scheme, KeyOrigin(self.fingerprint, path), self.xpub(path))

    def account_of(self, path: DerivationPath, scheme: Scheme) -> BitcoinAccount:
        """The account a path of an address lies in: all but its last two steps."""
        above = DerivationPath(path.indexes[:-2])
        return BitcoinAccount(self.network, scheme, KeyOrigin(self.fingerprint, above), self.xpub(above))

    def descriptors(self, number: int) -> dict[str, list[str]]:
        """What ``getdescriptors`` prints: every address type, receive and internal."""
        accounts = [self.account(scheme, number) for scheme in SCHEMES.values()]
        return {
            "receive": [account.descriptor(0) for account in accounts],
            "internal": [account.descriptor(1) for account in accounts],
        }

    def descriptor_at(self, path: str, scheme: Scheme) -> str:
        """The descriptor of keys below a path ending in ``/*``."""
        if not path.startswith("m/") or not path.endswith("/*"):
            raise InvalidInputError(f"{path[:100]!r} must begin with m/ and end with /*", code="input.path")
        walked = DerivationPath.from_text(path.removesuffix("/*"))
        hardened = max((place + 1 for place, index in enumerate(walked.indexes) if index >= HARDENED), default=0)
        base = DerivationPath(walked.indexes[:hardened])
        origin = KeyOrigin(self.fingerprint, base)
        steps = "".join(f"/{index}" for index in walked.indexes[hardened:])
        before, after = _WRAPPERS[scheme]
        return add_checksum(f"{before}[{origin}]{self.xpub(base)}{steps}/*{after}")

    def address_named(self, descriptor: str) -> tuple[DerivationPath, Scheme]:
        """The path and kind of the one address a single-key descriptor stands for, its key checked to be ours."""
        bare = strip_checksum(descriptor, required=False)
        for scheme, (before, after) in _WRAPPERS.items():
            if not bare.startswith(before) or not bare.endswith(after):
                continue
            match = _ONE_KEY.fullmatch(bare[len(before) : len(bare) - len(after)])
            if match is None:
                continue
            origin = KeyOrigin.from_text(match[1])
            if origin.fingerprint != self.fingerprint:
                raise InvalidInputError(f"Descriptor fingerprint does not match device: {descriptor[:200]}")
            there = self.xpub(origin.path)
            if match[2] not in (str(there), there.key.hex(), there.key[1:].hex()):
                raise InvalidInputError(f"Key in descriptor does not match device: {descriptor[:200]}")
            for step in match[3].split("/")[1:]:
                origin = origin.child(int(step))
            return origin.path, scheme
        raise InvalidInputError(
            f"{descriptor[:200]!r} is not pkh, sh(wpkh), wpkh or tr of one [origin]key", code="input.descriptor"
        )


def is_single_key(descriptor: str) -> bool:
    """Whether a descriptor is of one of the four kinds with one key."""
    bare = strip_checksum(descriptor, required=False)
    return bare.startswith(("pkh(", "wpkh(", "sh(wpkh(")) or (bare.startswith("tr(") and "," not in bare)


def one_address(descriptor: str, network: Network) -> DescriptorAccount:
    """The account of one address that a descriptor of several keys stands for."""
    account = DescriptorAccount.from_text(descriptor, network)
    if account.ranged or account.branches != (0,):
        raise InvalidInputError(
            f"{descriptor[:200]!r} stands for many addresses: put branch and index in the place of /<0;1>/*",
            code="input.descriptor",
        )
    return account


def details(xpub: ExtendedPublicKey) -> dict[str, Any]:
    """What ``getxpub --expert`` adds."""
    return {
        "testnet": xpub.testnet,
        "private": False,
        "depth": xpub.depth,
        "parent_fingerprint": xpub.parent.hex(),
        "child_num": xpub.index,
        "chaincode": xpub.chain_code.hex(),
        "pubkey": xpub.key.hex(),
    }
