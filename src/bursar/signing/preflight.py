"""What is refused before a signer is asked: pure checks of a PSBT (BIP-174, BIP-143's fee attack, CVE-2018-17144)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import InputDigest, InputDigests
from bursar.bitcoin.psbt.points import check_points
from bursar.bitcoin.psbt.script_keys import leaf_keys
from bursar.bitcoin.psbt.taproot import tree_root
from bursar.bitcoin.script import ScriptType, classify, dust_threshold, multisig
from bursar.bitcoin.silent_payments.psbt import check_silent_outputs, silent_outputs
from bursar.bitcoin.units import MAX_MONEY, FeeRate, Sats
from bursar.bitcoin.weight import INPUT_WEIGHTS, frame_weight, output_weight
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError
from bursar.keys.origin import UNKNOWN
from bursar.keys.path import HARDENED
from bursar.keys.scheme import CoinType, Scheme
from bursar.signing.ownership import (
    key_stands_in,
    named_keys,
    names_key_of,
    script_of_output,
    taproot_key_matches,
)

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput
    from bursar.keys.origin import Fingerprint

_ANNEX = 0x50
_SEGWIT_V0 = frozenset({ScriptType.P2WPKH, ScriptType.P2SH_P2WPKH, ScriptType.P2WSH})
_MOST_FEE = Sats(10_000_000)  # 0.1 BTC and 10,000 sat/vB: Bitcoin Core's own limits
_SMALL_FEE = Sats(20_000)
_MOST_FEE_RATE = FeeRate(10_000_000)
_LIGHTEST_INPUT = min(INPUT_WEIGHTS.values())
_COINS = frozenset({HARDENED + CoinType.BITCOIN, HARDENED + CoinType.TESTNET})
_PURPOSES = {
    HARDENED + Scheme.BIP44.value: ScriptType.P2PKH,
    HARDENED + Scheme.BIP49.value: ScriptType.P2SH_P2WPKH,
    HARDENED + Scheme.BIP84.value: ScriptType.P2WPKH,
    HARDENED + Scheme.BIP86.value: ScriptType.P2TR,
}
_SINGLE_KEY = frozenset(_PURPOSES.values())


@dataclass(frozen=True, slots=True)
class PreflightLimits:
    """What a PSBT may ask for. Loosening one is a decision per job, never a default.

    ``max_fee``, ``max_fee_rate`` and ``max_fee_percent`` (of what the inputs bring; of no account up to 20,000 sat)
    catch blunders; what a payment should cost is for policy. ``previous_required``
    demands the whole previous transaction for segwit version 0 inputs, whose signatures do not commit to the amounts
    of the other inputs. ``external_inputs`` lets strangers pay with the account in one transaction (``check_inputs``).
    ``any_fee`` is for what no chain can hold (BIP-322), where the three limits on fees mean nothing.
    """

    max_fee: Sats = _MOST_FEE
    max_fee_rate: FeeRate = _MOST_FEE_RATE
    max_fee_percent: int = 50
    previous_required: bool = True
    external_inputs: bool = False
    any_fee: bool = False


DEFAULT_LIMITS = PreflightLimits()


def check_psbt(
    psbt: Psbt, *, fingerprint: Fingerprint | None = None, limits: PreflightLimits = DEFAULT_LIMITS
) -> tuple[InputDigest | None, ...]:
    """Refuse what no signer should be asked; returns what is to be signed for each input, ``None`` if it is final.

    With ``fingerprint`` at least one open input must name a key of that master key; 00000000 is no master key. A key
    at a path of another coin, or of another kind of script, is not signed with. Raises ``InvalidInputError``
    with a code below ``input.psbt``: ``.empty`` ``.duplicate-input`` ``.utxo`` ``.script`` ``.sighash`` ``.key``
    ``.annex`` ``.output`` ``.change`` ``.amount`` ``.fee`` ``.silent-payment`` ``.nothing-to-sign``.
    """
    if fingerprint == UNKNOWN:
        fingerprint = None
    if not psbt.tx.inputs or not psbt.tx.outputs:
        raise _refused("empty", "the transaction has no inputs or no outputs: build it again")
    outpoints = [spending.outpoint for spending in psbt.tx.inputs]
    if len(set(outpoints)) != len(outpoints):
        twice = Counter(outpoints).most_common(1)[0][0]
        raise _refused("duplicate-input", f"{twice} is spent twice: such a transaction is never valid")
    check_points(psbt)
    digests = InputDigests(psbt)
    _check_amounts(psbt, limits)
    asked = tuple(_check_input(psbt, index, digests, limits) for index in range(len(psbt.inputs)))
    for index, digest in enumerate(asked):
        if digest is not None:
            _check_paths(index, psbt.inputs[index], digest, fingerprint)
    for index, output in enumerate(psbt.outputs):
        _check_output(index, psbt.tx.outputs[index].value, psbt.tx.outputs[index].script, output)
    if silent_outputs(psbt):
        check_silent_outputs(psbt)
    if not any(asked):
        raise _refused("nothing-to-sign", "every input is final: there is nothing to sign")
    if fingerprint is not None and not any(
        digest is not None and names_key_of(one, fingerprint) for digest, one in zip(asked, psbt.inputs, strict=True)
    ):
        raise _refused("nothing-to-sign", f"no open input names a key of {fingerprint}: choose the signer that has it")
    return asked


def _check_input(psbt: Psbt, index: int, digests: InputDigests, limits: PreflightLimits) -> InputDigest | None:
    one = psbt.inputs[index]
    if one.is_final:
        witness = one.final_witness or ()
        if len(witness) > 1 and witness[-1][:1] == bytes((_ANNEX,)):
            raise _refused("annex", f"input {index} carries an annex, which means nothing anybody agreed on")
        # a forged final witness would hide a lie about the amount from two sessions that each sign the other's input
        if classify(psbt.utxo(index).script) is not ScriptType.P2TR:
            _check_previous(index, one, limits)
        return None
    asked = digests.digest(index)
    if asked.script_type in _SEGWIT_V0:
        _check_previous(index, one, limits)
        _check_compressed(index, one, asked)
    if asked.script_type is ScriptType.P2TR:
        _check_taproot_keys(index, one, asked.script, digests)
    else:
        for key in (*one.bip32_derivations, *one.partial_sigs):
            if not key_stands_in(asked.script, key):
                raise _refused("key", f"input {index} names the key {key.hex()}, which its script does not contain")
    return asked


def _check_previous(index: int, one: PsbtInput, limits: PreflightLimits) -> None:
    if limits.previous_required and one.non_witness_utxo is None:
        raise _refused(
            "utxo",
            f"input {index} comes without its previous transaction: its amount is a claim that the signature "
            "would not hold anybody to, add the transaction",
        )


def _check_compressed(index: int, one: PsbtInput, asked: InputDigest) -> None:
    keys = [*one.bip32_derivations, *one.partial_sigs]
    listed = multisig(asked.script)
    if listed is not None:
        keys.extend(listed[1])
    if any(len(key) != 33 for key in keys):
        raise _refused("key", f"input {index} is segwit with an uncompressed key: no node relays that")


def _check_paths(index: int, one: PsbtInput, asked: InputDigest, fingerprint: Fingerprint | None) -> None:
    for _, origin in named_keys(one):
        path = origin.path.indexes
        if len(path) < 2 or path[0] not in _PURPOSES or (fingerprint is not None and origin.fingerprint != fingerprint):
            continue
        if path[1] not in _COINS:
            raise _refused("key", f"input {index} names a key at {origin.path}, which is no path of bitcoin keys")
        if asked.script_type in _SINGLE_KEY and asked.script_type is not _PURPOSES[path[0]]:
            raise _refused(
                "key",
                f"input {index} names a key at {origin.path}, and its script is not of the kind kept there: no wallet "
                "would look for it, and devices refuse it",
            )


def _check_taproot_keys(index: int, one: PsbtInput, script: bytes, digests: InputDigests) -> None:
    root = one.tap_merkle_root or b""
    internal = one.tap_internal_key
    keyed = [key for key, (leaves, _) in one.tap_bip32_derivations.items() if not leaves]
    if internal is None:
        parts = {key[1:] for keys in one.musig2_participants.values() for key in keys}
        alone = [key for key in keyed if key not in parts]
        right = not alone or any(key == script[2:] or taproot_key_matches(script, key, root) for key in alone)
    else:
        right = taproot_key_matches(script, internal, root)
    if not right:
        raise _refused("key", f"input {index} names an internal key that does not make its output key")
    shown = {leaf.hash: leaf_keys(leaf.script) for leaf in digests.leaves(index)}
    for key, (leaves, _) in one.tap_bip32_derivations.items():
        for leaf in leaves:
            if leaf in shown and key not in shown[leaf] and hash160(key) not in shown[leaf]:
                raise _refused("key", f"input {index} names the key {key.hex()}, which its leaf does not contain")


def _check_output(index: int, value: int, script: bytes, output: PsbtOutput) -> None:
    if script[:1] == b"\x6a":
        if value:
            raise _refused("output", f"output {index} burns {value} sat behind OP_RETURN: nobody can spend them")
    elif value < dust_threshold(script):
        raise _refused("output", f"output {index} pays {value} sat, which is dust: no node relays it")
    internal = output.tap_internal_key
    tree = output.tap_tree
    if internal is not None and not taproot_key_matches(script, internal, b"" if tree is None else tree_root(tree)):
        raise _refused("change", f"output {index} claims the internal key {internal.hex()}, which does not make it")
    claimed = list(output.bip32_derivations)
    if claimed:
        inner = script_of_output(output, script)
        for key in claimed:
            if inner is None or not key_stands_in(inner, key):
                raise _refused("change", f"output {index} claims the key {key.hex()}, which its script does not prove")


def _check_amounts(psbt: Psbt, limits: PreflightLimits) -> None:
    have = sum(psbt.utxo(index).value for index in range(len(psbt.inputs)))
    pays = sum(output.value for output in psbt.tx.outputs)
    if have > MAX_MONEY or pays > MAX_MONEY:
        raise _refused("amount", "the amounts add up to more than 21 million BTC")
    fee = have - pays
    if fee < 0:
        raise _refused("fee", f"the outputs pay {pays} sat and the inputs bring {have} sat")
    if limits.any_fee:
        return
    if fee > limits.max_fee:
        raise _refused("fee", f"the fee of {fee} sat is over the limit of {limits.max_fee} sat: lower it, or allow it")
    if fee > _SMALL_FEE and fee * 100 > limits.max_fee_percent * have:
        raise _refused("fee", f"the fee of {fee} sat is {fee * 100 // have} % of the {have} sat spent: lower it")
    if fee * 4000 > limits.max_fee_rate.sat_per_kvb * _least_weight(psbt):
        raise _refused(
            "fee", f"the fee of {fee} sat is over the rate of {limits.max_fee_rate} for a transaction this size"
        )


def _least_weight(psbt: Psbt) -> int:
    """The weight of the transaction signed, were every input of the lightest kind: the rate is never understated."""
    outputs = sum(output_weight(output.script) for output in psbt.tx.outputs)
    frame = frame_weight(len(psbt.tx.inputs), len(psbt.tx.outputs), segwit=True)
    return frame + _LIGHTEST_INPUT * len(psbt.tx.inputs) + outputs


def _refused(cause: str, reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt refused: {reason}", code=f"input.psbt.{cause}")
