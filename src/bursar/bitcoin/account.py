"""A Bitcoin account, public half only: keys, scripts and addresses of one extended key (BIP-44, 49, 84, 86)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import script as scripts
from bursar.bitcoin.address import Address
from bursar.bitcoin.bulk import segwit_addresses
from bursar.bitcoin.descriptor import SingleKeyDescriptor
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType
from bursar.crypto import base58
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import taproot_output_key, x_only
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import HARDENED
from bursar.keys.scheme import Scheme

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath

RECEIVE: Final = 0
CHANGE: Final = 1
_SCRIPT_TYPES: Final = {
    Scheme.BIP44: ScriptType.P2PKH,
    Scheme.BIP49: ScriptType.P2SH_P2WPKH,
    Scheme.BIP84: ScriptType.P2WPKH,
    Scheme.BIP86: ScriptType.P2TR,
}
_BULK: Final = 64  # below this many, tables cost more than they save


def single_key_script(script_type: ScriptType, public_key: bytes) -> bytes:
    """The output script of one compressed key, for the four single-key types (taproot: key path only, BIP-86)."""
    if script_type is ScriptType.P2WPKH:
        return b"\x00\x14" + hash160(public_key)
    if script_type is ScriptType.P2TR:
        return b"\x51\x20" + taproot_output_key(x_only(public_key))[0]
    if script_type is ScriptType.P2PKH:
        return scripts.p2pkh(hash160(public_key))
    if script_type is ScriptType.P2SH_P2WPKH:
        return scripts.p2sh(hash160(b"\x00\x14" + hash160(public_key)))
    raise InvalidInputError(f"script type {script_type.value} does not belong to one key", code="input.script")


@dataclass(frozen=True, slots=True)
class BitcoinAccount:
    """Derives ``branch/index`` below ``xpub``; branch 0 receives, branch 1 takes change."""

    network: Network
    scheme: Scheme
    origin: KeyOrigin
    xpub: ExtendedPublicKey

    def __post_init__(self) -> None:
        if self.scheme not in _SCRIPT_TYPES:
            raise InvalidInputError(f"scheme {self.scheme.name} is not a Bitcoin scheme", code="input.scheme")
        indexes = self.origin.path.indexes
        if self.xpub.depth != len(indexes) or (indexes and self.xpub.index != indexes[-1]):
            raise InvalidInputError(
                f"the extended public key is not the one at {self.origin.path}: depth or index differ",
                code="input.account",
            )
        if self.xpub.testnet != self.network.testnet:
            raise InvalidInputError(
                f"extended key {self.xpub} does not belong to {self.network}: it must begin with "
                f"{'tpub' if self.network.testnet else 'xpub'}",
                code="input.network",
            )

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
        """The one master key whose signer may sign."""
        return (self.origin.fingerprint,)

    @property
    def script_type(self) -> ScriptType:
        """The kind of output this account uses."""
        return _SCRIPT_TYPES[self.scheme]

    def key(self, branch: int, index: int) -> bytes:
        """The compressed public key (33 bytes)."""
        return self.xpub.derive((branch, index)).key

    def path(self, branch: int, index: int) -> DerivationPath:
        """The absolute path of a key."""
        return self.origin.path / branch / index

    def key_origin(self, branch: int, index: int) -> KeyOrigin:
        """Master fingerprint and absolute path of a key."""
        return KeyOrigin(self.origin.fingerprint, self.path(branch, index))

    def place(self, branch: int, index: int) -> str:
        """How reviews name a place: the absolute path of its key."""
        return str(self.path(branch, index))

    def locate(self, origin: KeyOrigin) -> tuple[int, int] | None:
        """The branch and index a key with this origin stands at, ``None`` when it is none of the account's.

        That the script there is the expected one is for the caller to compare.
        """
        home = self.origin
        if origin.fingerprint != home.fingerprint or not home.path.is_prefix_of(origin.path):
            return None
        below = origin.path.indexes[len(home.path) :]
        if len(below) != 2 or below[0] not in (RECEIVE, CHANGE) or below[1] >= HARDENED:
            return None
        return below[0], below[1]

    def script(self, branch: int, index: int) -> bytes:
        """The output script."""
        return single_key_script(self.script_type, self.key(branch, index))

    def spending(self, branch: int, index: int) -> Spending:
        """The output with its redeem script and key origin, as a PSBT wants them."""
        from bursar.bitcoin.descriptors.spending import Spending

        key, origin, kind = self.key(branch, index), self.key_origin(branch, index), self.script_type
        script = single_key_script(kind, key)
        if kind is ScriptType.P2TR:
            internal = x_only(key)
            return Spending(script, internal_key=internal, merkle_root=b"", tap_origins={internal: ((), origin)})
        redeem = b"\x00\x14" + hash160(key) if kind is ScriptType.P2SH_P2WPKH else None
        return Spending(script, redeem, origins={key: origin})

    def address(self, branch: int, index: int) -> Address:
        """The address."""
        return Address.from_script(self.script(branch, index), self.network)

    def _programs(self, branch: int, start: int, count: int) -> list[bytes]:
        kind = self.script_type
        parent = self.xpub.child(branch)
        if kind is ScriptType.P2TR:
            return parent.children_taproot(start, count)
        keys = parent.children(start, count)
        if kind is ScriptType.P2SH_P2WPKH:
            return [hash160(b"\x00\x14" + hash160(key)) for key in keys]
        return [hash160(key) for key in keys]

    def scripts(self, branch: int, start: int, count: int) -> list[bytes]:
        """The output scripts of ``count`` consecutive indexes."""
        programs = self._programs(branch, start, count)
        kind = self.script_type
        if kind is ScriptType.P2WPKH:
            return [b"\x00\x14" + program for program in programs]
        if kind is ScriptType.P2TR:
            return [b"\x51\x20" + program for program in programs]
        if kind is ScriptType.P2SH_P2WPKH:
            return [b"\xa9\x14" + program + b"\x87" for program in programs]
        return [b"\x76\xa9\x14" + program + b"\x88\xac" for program in programs]

    def addresses(self, branch: int, start: int, count: int) -> list[str]:
        """The addresses of ``count`` consecutive indexes."""
        kind = self.script_type
        if kind in (ScriptType.P2WPKH, ScriptType.P2TR) and count >= _BULK:
            version = 1 if kind is ScriptType.P2TR else 0
            return segwit_addresses(self.network.hrp, version, self._programs(branch, start, count))
        if kind in (ScriptType.P2WPKH, ScriptType.P2TR):
            return [Address.from_script(script, self.network).text for script in self.scripts(branch, start, count)]
        prefix = bytes((self.network.p2sh if kind is ScriptType.P2SH_P2WPKH else self.network.p2pkh,))
        return [base58.encode_check(prefix + program) for program in self._programs(branch, start, count)]

    def descriptor(self, branch: int | None = None) -> str:
        """The descriptor of one branch, or of both (``<0;1>``, BIP-389), with its checksum."""
        branches = (RECEIVE, CHANGE) if branch is None else (branch,)
        return str(SingleKeyDescriptor(self.scheme, self.origin, self.xpub, branches))

    def to_json(self) -> dict[str, Any]:
        """Strings and integers only; see ``from_json``."""
        return {
            "version": 1,
            "chain": "bitcoin",
            "network": self.network.name,
            "scheme": self.scheme.name.lower(),
            "origin": str(self.origin),
            "xpub": str(self.xpub),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BitcoinAccount:
        """The reverse of ``to_json``; ``InvalidInputError`` (``input.account``) on anything else."""
        try:
            if data["version"] != 1 or data["chain"] != "bitcoin":
                raise KeyError("version")
            return cls(
                Network.from_text(data["network"]),
                Scheme[data["scheme"].upper()],
                KeyOrigin.from_text(data["origin"]),
                ExtendedPublicKey.from_text(data["xpub"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                "account record is not one of version 1 of a bitcoin account", code="input.account"
            ) from error
