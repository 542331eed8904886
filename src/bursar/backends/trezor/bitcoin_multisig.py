"""Multisig scripts (BIP-11, 16, 67, 141) in a Trezor's terms: cosigners' extended keys where the PSBT lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.trezor.bitcoin_keys import KeyBook, Path
from bursar.bitcoin import script as scripts
from bursar.bitcoin.multisig import MultisigKind
from bursar.bitcoin.script import ScriptType, classify
from bursar.crypto.hashes import hash160, sha256
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput

MOST_KEYS: Final = 15
_TESTNET: Final = bytes.fromhex("043587cf")
_BARE, _NATIVE, _NESTED = "SPENDMULTISIG", "SPENDWITNESS", "SPENDP2SHWITNESS"
SPENDS: Final = {MultisigKind.SH: _BARE, MultisigKind.WSH: _NATIVE, MultisigKind.SH_WSH: _NESTED}
"""How a multisig account is spent from, by the device's name of ``InputScriptType``."""
_OUTPUT_TYPES: Final = {_BARE: "PAYTOMULTISIG", _NATIVE: "PAYTOWITNESS", _NESTED: "PAYTOP2SHWITNESS"}


@dataclass(frozen=True, slots=True)
class MultisigScript:
    """``threshold`` of ``keys``, in the script's order, and how it is paid to, by the device's name."""

    threshold: int
    keys: tuple[bytes, ...]
    spend: str

    @property
    def pay(self) -> str:
        return _OUTPUT_TYPES[self.spend]

    @property
    def sorted(self) -> bool:
        """Whether the keys stand in BIP-67's order."""
        return list(self.keys) == sorted(self.keys)


def multisig_of(one: PsbtInput | PsbtOutput | Spending, script: bytes) -> MultisigScript | None:
    """The multisig script that ``script`` pays to, proven by its hashes; ``None`` where it is not one of these."""
    kind, inner = classify(script), script
    spend = _NATIVE
    if kind is ScriptType.P2SH:
        redeem = one.redeem_script
        if redeem is None or hash160(redeem) != script[2:22]:
            return None
        kind, inner = classify(redeem), redeem
        spend = _NESTED if kind is ScriptType.P2WSH else _BARE
    elif kind is not ScriptType.P2WSH:
        return None
    if kind is ScriptType.P2WSH:
        witness_script = one.witness_script
        if witness_script is None or sha256(witness_script) != inner[2:]:
            return None
        inner = witness_script
    found = scripts.multisig(inner)
    if found is None or len(found[1]) > MOST_KEYS or any(len(key) != 33 for key in found[1]):
        return None
    return MultisigScript(found[0], found[1], spend)


@dataclass(frozen=True, slots=True)
class Placed:
    """A multisig script whose keys are children of listed extended keys, all at one ``place`` below them."""

    script: MultisigScript
    cosigners: tuple[ExtendedPublicKey, ...]
    place: Path

    @property
    def wallet(self) -> tuple[object, ...]:
        """What two scripts of one wallet have in common; whether their order of keys fits too, the device sees."""
        return (self.script.threshold, self.script.spend, frozenset(self.cosigners))


class Cosigners:
    """The extended keys a PSBT lists (``PSBT_GLOBAL_XPUB``), to find a script's keys below them."""

    def __init__(self, psbt: Psbt) -> None:
        self._books: list[tuple[KeyOrigin, ExtendedPublicKey, KeyBook]] = []
        for raw, origin in psbt.xpubs.items():
            key = _extended(raw)
            self._books.append((origin, key, KeyBook({(): key})))

    def place(self, script: MultisigScript, origins: Mapping[bytes, KeyOrigin]) -> Placed | None:
        """Where the script's keys are, re-derived one by one; ``None`` where that cannot be shown of all."""
        found: list[ExtendedPublicKey] = []
        places: set[Path] = set()
        for key in script.keys:
            origin = origins.get(key)
            known = None if origin is None else self._above(key, origin)
            if known is None:
                return None
            found.append(known[0])
            places.add(known[1])
        if len(places) != 1 or len(set(found)) != len(found):
            return None
        return Placed(script, tuple(found), places.pop())

    def _above(self, key: bytes, origin: KeyOrigin) -> tuple[ExtendedPublicKey, Path] | None:
        for home, xpub, book in self._books:
            below = origin.path.indexes[len(home.path) :]
            if origin.fingerprint != home.fingerprint or not home.path.is_prefix_of(origin.path) or len(below) != 2:
                continue
            if all(index < HARDENED for index in below) and book.key(below) == key:
                return xpub, below
        return None


def redeem_message(messages: Any, script: MultisigScript, placed: Placed | None, *, sort: bool) -> Any:
    """The script as the device takes it.

    Without a place the bare keys stand for extended ones: the device signs, and recognises no change of theirs.
    """
    order = messages.MultisigPubkeysOrder
    if placed is None:
        nodes = [_node(messages, ExtendedPublicKey(0, Fingerprint(bytes(4)), 0, bytes(32), key)) for key in script.keys]
    else:
        nodes = [_node(messages, one) for one in placed.cosigners]
    return messages.MultisigRedeemScriptType(
        nodes=nodes,
        address_n=[] if placed is None else list(placed.place),
        signatures=[b""] * len(script.keys),
        m=script.threshold,
        pubkeys_order=order.LEXICOGRAPHIC if sort else order.PRESERVED,
    )


def all_sorted(found: Iterable[MultisigScript | None]) -> bool:
    """Whether every multisig script there is has its keys in BIP-67's order."""
    return all(script.sorted for script in found if script is not None)


def _node(messages: Any, key: ExtendedPublicKey) -> Any:
    return messages.HDNodeType(
        depth=key.depth,
        fingerprint=int.from_bytes(key.parent, "big"),
        child_num=key.index,
        chain_code=key.chain_code,
        public_key=key.key,
    )


def _extended(raw: bytes) -> ExtendedPublicKey:
    try:
        return ExtendedPublicKey(
            raw[4],
            Fingerprint(raw[5:9]),
            int.from_bytes(raw[9:13], "big"),
            raw[13:45],
            raw[45:],
            raw[:4] == _TESTNET,
        )
    except InvalidInputError as error:
        raise InvalidInputError(
            f"psbt refused: a listed extended key is none: {error.message}", code="input.psbt.key"
        ) from error
