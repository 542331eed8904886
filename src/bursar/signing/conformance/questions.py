"""PSBTs to put to a signer: they spend outputs of its own keys, made up but consistent to the last hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.account import CHANGE, BitcoinAccount
from bursar.bitcoin.psbt import Psbt, PsbtInput
from bursar.bitcoin.script import ScriptType, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme, account_path

if TYPE_CHECKING:
    from bursar.signing.conformance.case import Profile
    from bursar.signing.protocols import Signer

VALUE = 100_000
STRANGER_SCRIPT = p2wpkh(hash160(b"somebody else"))


@dataclass(frozen=True, slots=True)
class Spend:
    """An input: the key at ``branch/index`` of ``account``."""

    account: BitcoinAccount
    branch: int = 0
    index: int = 0


def fingerprint_of(signer: Signer) -> Fingerprint:
    """The signer's master key: as it says, or as its master public key shows; else ``UNKNOWN``."""
    if signer.info.fingerprint is not None:
        return signer.info.fingerprint
    try:
        return signer.xpub(DerivationPath()).fingerprint
    except (InvalidInputError, UnsupportedError):
        return UNKNOWN


def account_of(signer: Signer, profile: Profile, scheme: Scheme, *, number: int = 0) -> BitcoinAccount:
    """The signer's account of ``scheme``, from its own extended public key."""
    path = account_path(scheme, profile.network.coin_type, number)
    origin = KeyOrigin(fingerprint_of(signer), path)
    return BitcoinAccount(profile.network, scheme, origin, signer.xpub(path))


def stranger(profile: Profile, scheme: Scheme) -> BitcoinAccount:
    """An account whose keys the signer does not have."""
    testnet = profile.network.testnet
    with ExtendedPrivateKey.from_seed(b"nobody under test has this seed", testnet=testnet) as root:
        path = account_path(scheme, profile.network.coin_type, 0)
        with root.derive(path) as account:
            return BitcoinAccount(profile.network, scheme, KeyOrigin(root.fingerprint, path), account.public())


def previous_of(spend: Spend, number: int) -> Transaction:
    """A transaction whose output 1 pays the key of ``spend``."""
    funding = TxIn(OutPoint(Txid(sha256(b"coin %d" % number)), number), b"", 0xFFFFFFFF)
    script = spend.account.script(spend.branch, spend.index)
    return Transaction(2, (funding,), (TxOut(Sats(1234), STRANGER_SCRIPT), TxOut(Sats(VALUE), script)), 0)


def question(
    spends: Sequence[Spend],
    *,
    change: BitcoinAccount | None = None,
    locktime: int = 0,
    salt: int = 0,
    fee: int = 500,
) -> Psbt:
    """A complete PSBT: every input with its previous transaction, its key's origin and its scripts.

    It pays half to a stranger and the rest, less the fee, to ``change`` (branch 1) or to the stranger as well.
    """
    previous = [previous_of(spend, 1000 * salt + number) for number, spend in enumerate(spends)]
    total = VALUE * len(spends)
    rest = STRANGER_SCRIPT if change is None else change.script(CHANGE, 3)
    outputs = (TxOut(Sats(total // 2), STRANGER_SCRIPT), TxOut(Sats(total - total // 2 - fee), rest))
    inputs = tuple(TxIn(OutPoint(before.txid, 1), b"", 0xFFFFFFFD) for before in previous)
    psbt = Psbt(Transaction(2, inputs, outputs, locktime))
    for one, spend, before in zip(psbt.inputs, spends, previous, strict=True):
        _describe(one, spend, before)
    if change is not None:
        key, origin = change.key(CHANGE, 3), change.key_origin(CHANGE, 3)
        if change.script_type is ScriptType.P2TR:
            psbt.outputs[1].tap_internal_key = key[1:]
            psbt.outputs[1].tap_bip32_derivations[key[1:]] = ((), origin)
        else:
            psbt.outputs[1].bip32_derivations[key] = origin
            if change.script_type is ScriptType.P2SH_P2WPKH:
                psbt.outputs[1].redeem_script = p2wpkh(hash160(key))
    return psbt


def _describe(one: PsbtInput, spend: Spend, before: Transaction) -> None:
    account, place = spend.account, (spend.branch, spend.index)
    key, origin = account.key(*place), account.key_origin(*place)
    one.non_witness_utxo = before
    if account.script_type is not ScriptType.P2PKH:
        one.witness_utxo = before.outputs[1]
    if account.script_type is ScriptType.P2TR:
        one.tap_internal_key = key[1:]
        one.tap_bip32_derivations[key[1:]] = ((), origin)
        return
    one.bip32_derivations[key] = origin
    if account.script_type is ScriptType.P2SH_P2WPKH:
        one.redeem_script = p2wpkh(hash160(key))
