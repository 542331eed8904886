"""Verifying signed messages: BIP-322 proofs by their prefix, everything else in the older forms."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from bursar.bitcoin.finalize import extract
from bursar.bitcoin.message.legacy import verify_legacy
from bursar.bitcoin.message.proof import NOTHING, MessageFormat, MessageProof, to_sign, to_spend
from bursar.bitcoin.message.signatures import invalid, unknown
from bursar.bitcoin.message.spends import check_spend
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import ScriptType, classify, witness_program
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.wire import read_stack
from bursar.errors import InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.transaction import OutPoint, TxOut

_PREFIXES = {one.value: one for one in MessageFormat if one.value}
_LEGACY_SIZE = 65
_SIMPLE = frozenset({ScriptType.P2WPKH, ScriptType.P2WSH, ScriptType.P2TR})


def verify_message(
    address: Address, message: bytes, signature: str, *, coins: Mapping[OutPoint, TxOut] | None = None
) -> MessageProof:
    """What the signature proves about ``address`` and ``message`` (UTF-8).

    Raises ``InvalidSignatureError`` if it proves nothing, and ``InconclusiveError`` where the script is of a kind that
    is not judged here. Of a proof of funds every coin must be among ``coins``, if they are given: unspent outputs that
    the verifier found on the chain. Without a prefix the older forms count (Bitcoin Core's for P2PKH, BIP-137's for
    segwit keys), and for segwit addresses a simple proof as written before the prefixes.
    """
    text = signature.strip()
    kind = _PREFIXES.get(text[:3])
    if kind is None:
        raw = _decode(text)
        if len(raw) == _LEGACY_SIZE or classify(address.script) not in _SIMPLE:
            verify_legacy(address, message, text)
            return MessageProof(MessageFormat.LEGACY)
        kind = MessageFormat.SIMPLE
    else:
        raw = _decode(text[3:])
    script = address.script
    if kind is MessageFormat.SIMPLE:
        tx, spent = _simple(script, message, raw), [to_spend(script, message).outputs[0]]
    elif kind is MessageFormat.FULL:
        tx, spent = _full(raw), [to_spend(script, message).outputs[0]]
        if len(tx.inputs) != 1:
            raise invalid("a full proof has one input: more make it a proof of funds, which is written as a psbt")
    else:
        tx, spent = _funds(raw, to_spend(script, message))
    _check_shape(tx, script, message)
    claimed = tuple(zip([one.outpoint for one in tx.inputs[1:]], spent[1:], strict=True))
    if coins is not None:
        _check_coins(claimed, coins)
    hashes = SighashCache(tx, spent)
    for index, output in enumerate(spent):
        check_spend(tx, index, output, hashes)
    if tx.version not in (0, 2):
        raise unknown(f"version {tx.version} is kept for later")
    return MessageProof(kind, tx.locktime, tx.inputs[0].sequence, claimed, bool(claimed) and coins is not None)


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSignatureError("the signature is not base64: copy it in full") from None
    if not raw:
        raise InvalidSignatureError("the signature is empty: copy it in full")
    return raw


def _simple(script: bytes, message: bytes, raw: bytes) -> Transaction:
    if classify(script) not in _SIMPLE:
        raise invalid("a simple proof is for native segwit addresses: this one needs a full proof")
    try:
        witness, end = read_stack(raw, 0)
    except (IndexError, InvalidInputError):
        raise invalid("it is not a witness") from None
    if end != len(raw) or not witness:
        raise invalid("it is not a witness")
    first = to_sign(script, message).inputs[0]
    signed = type(first)(first.outpoint, b"", first.sequence, witness)
    return Transaction(0, [signed], [NOTHING], 0)


def _full(raw: bytes) -> Transaction:
    try:
        return Transaction.parse(raw)
    except InvalidInputError as error:
        raise invalid(f"it is not a transaction ({error.message})") from error


def _funds(raw: bytes, first: Transaction) -> tuple[Transaction, list[TxOut]]:
    """The signed transaction of a proof of funds and what it spends, as its PSBT tells it."""
    try:
        psbt = Psbt.parse(raw)
        tx = extract(psbt)
        known: dict[bytes, Transaction] = {}
        spent = [first.outputs[0]]
        for index, one in enumerate(psbt.inputs[1:], 1):
            txid = tx.inputs[index].outpoint.txid
            previous = one.non_witness_utxo
            if previous is not None:
                known.setdefault(txid, previous)
            elif one.witness_utxo is None and txid in known:
                one.non_witness_utxo = known[txid]  # a transaction is written once for all its outputs
            output = psbt.utxo(index)
            if one.non_witness_utxo is None and not _shows_amount(output.script, tx.inputs[index].script_sig):
                raise invalid(f"input {index} is not segwit and has no previous transaction")
            spent.append(output)
    except InvalidSignatureError:
        raise
    except InvalidInputError as error:
        raise invalid(f"it is not a finalised psbt ({error.message})") from error
    return tx, spent


def _shows_amount(script: bytes, script_sig: bytes) -> bool:
    return witness_program(script) is not None or witness_program(script_sig[1:]) is not None


def _check_shape(tx: Transaction, script: bytes, message: bytes) -> None:
    wanted = to_sign(script, message).inputs[0].outpoint
    if not tx.inputs or tx.inputs[0].outpoint != wanted:
        raise invalid("it is of another message or another address")
    if tx.outputs != (NOTHING,):
        raise invalid("its transaction does not end in one empty OP_RETURN output")
    outpoints = [one.outpoint for one in tx.inputs]
    if len(set(outpoints)) != len(outpoints):
        raise invalid("a coin stands there twice")
    if any(not any(txid) for txid, _ in outpoints):
        raise invalid("one of its coins cannot exist")


def _check_coins(claimed: tuple[tuple[OutPoint, TxOut], ...], coins: Mapping[OutPoint, TxOut]) -> None:
    for outpoint, output in claimed:
        known = coins.get(outpoint)
        if known is None:
            raise invalid(f"the coin {outpoint} is none of those known")
        if known != output:
            raise invalid(f"the coin {outpoint} has another amount or script than the proof says")
