"""A PSBT as the Bitcoin app reads it: version 2 (BIP-370), with what one policy's request needs and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.account import CHANGE
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.wire import compact_size
from bursar.errors import InvalidInputError
from bursar.signing.change import MOST_INDEX

if TYPE_CHECKING:
    from bursar.backends.ledger.bitcoin_spends import Spend
    from bursar.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput
    from bursar.keys.origin import Fingerprint

_MAGIC: Final = b"psbt\xff"
_TX_VERSION, _FALLBACK_LOCKTIME, _INPUT_COUNT, _OUTPUT_COUNT = b"\x02", b"\x03", b"\x04", b"\x05"
_PREVIOUS_TXID, _OUTPUT_INDEX, _SEQUENCE = b"\x0e", b"\x0f", b"\x10"
_AMOUNT, _SCRIPT = b"\x03", b"\x04"
_KEPT_INPUT: Final = (r.SIGHASH_TYPE, r.IN_REDEEM_SCRIPT, r.IN_WITNESS_SCRIPT, r.IN_TAP_INTERNAL_KEY)
_KEPT_OUTPUT: Final = (r.OUT_REDEEM_SCRIPT, r.OUT_WITNESS_SCRIPT, r.OUT_TAP_INTERNAL_KEY)


def document_for(psbt: Psbt, spend: Spend, fingerprint: Fingerprint) -> bytes:
    """The PSBT of version 2 for one request: key origins of ours only, and of inputs only those of ``spend``.

    Legacy inputs go without a witness utxo and need the previous transaction; segwit inputs get the witness utxo they
    must have. Previous transactions go without their witnesses, which no txid covers.
    """
    tx = psbt.tx
    ours = {one.index for one in spend.inputs}
    legacy = spend.legacy
    maps = [
        {
            _TX_VERSION: _u32(tx.version),
            _FALLBACK_LOCKTIME: _u32(tx.locktime),
            _INPUT_COUNT: compact_size(len(tx.inputs)),
            _OUTPUT_COUNT: compact_size(len(tx.outputs)),
            r.GLOBAL_VERSION: _u32(2),
        }
    ]
    for index, ((outpoint, _, sequence, _), one) in enumerate(zip(tx.inputs, psbt.inputs, strict=True)):
        fields = _utxos(psbt, index, one, legacy=legacy and index in ours)
        fields[_PREVIOUS_TXID] = bytes(outpoint.txid)
        fields[_OUTPUT_INDEX] = _u32(outpoint.vout)
        fields[_SEQUENCE] = _u32(sequence)
        if index in ours:
            fields.update({key: one.fields[key] for key in _KEPT_INPUT if key in one.fields})
            fields.update(_origins(one, r.IN_BIP32, r.IN_TAP_BIP32, fingerprint))
        maps.append(fields)
    for number, (output, known) in enumerate(zip(tx.outputs, psbt.outputs, strict=True)):
        fields = {_AMOUNT: int(output.value).to_bytes(8, "little"), _SCRIPT: output.script}
        if spend.change is None:
            origins = _change_origins(known, fingerprint)
        else:
            origins = _origins(known, r.OUT_BIP32, r.OUT_TAP_BIP32, fingerprint) if number in spend.change else {}
        if origins:
            fields.update({key: known.fields[key] for key in _KEPT_OUTPUT if key in known.fields})
            fields.update(origins)
        maps.append(fields)
    return _MAGIC + b"".join(map(r.write_map, maps))


def _utxos(psbt: Psbt, index: int, one: PsbtInput, *, legacy: bool) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    previous = one.non_witness_utxo
    if previous is not None:
        fields[r.NON_WITNESS_UTXO] = previous.serialize(witness=False)
    elif legacy:
        raise InvalidInputError(
            f"psbt input {index} spends a legacy output without its previous transaction: add it",
            code="input.psbt.utxo",
        )
    if not legacy:
        fields[r.WITNESS_UTXO] = psbt.utxo_bytes(index)
    return fields


def _origins(one: PsbtInput | PsbtOutput, ecdsa: bytes, taproot: bytes, fingerprint: Fingerprint) -> dict[bytes, bytes]:
    """The key origins that name the master key ``fingerprint``."""
    kept = {}
    for key, value in one.fields.items():
        kind = key[:1]
        if kind == ecdsa:
            if value[:4] == fingerprint:
                kept[key] = value
        elif kind == taproot and value[1 + 32 * value[0] :][:4] == fingerprint:
            kept[key] = value
    return kept


def _change_origins(output: PsbtOutput, fingerprint: Fingerprint) -> dict[bytes, bytes]:
    """Those at ``…/1/index`` with an index that a wallet looks at: the app hides change at any, however far off."""
    kept = _origins(output, r.OUT_BIP32, r.OUT_TAP_BIP32, fingerprint)
    return {key: value for key, value in kept.items() if _is_near(value)}


def _is_near(origin: bytes) -> bool:
    branch, index = origin[-8:-4], origin[-4:]
    return branch == _u32(CHANGE) and int.from_bytes(index, "little") <= MOST_INDEX


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")
