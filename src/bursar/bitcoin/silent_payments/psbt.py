"""Silent payments in PSBTs (BIP-375): whom outputs pay, and proofs (BIP-374) that their scripts are the right ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import ScriptType, classify, p2tr
from bursar.bitcoin.sighash import ALL
from bursar.bitcoin.silent_payments.inputs import UNSPENDABLE_KEY, input_hash, is_future_segwit
from bursar.bitcoin.silent_payments.sending import MOST, total_secret
from bursar.crypto.dleq import PROOF_SIZE, prove_equality, verify_equality
from bursar.crypto.hashes import hash160
from bursar.crypto.payment_points import SpendPoint, payment_tweak
from bursar.crypto.points import add_public_keys, multiply_point, parse_point, serialize_point
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.silent_payments.address import SilentPaymentAddress
    from bursar.bitcoin.silent_payments.sending import PayingInput

_MODIFIABLE: Final = b"\x06"
_GLOBAL_SHARE: Final = b"\x07"
_GLOBAL_PROOF: Final = b"\x08"
_IN_SHARE: Final = b"\x1d"
_IN_PROOF: Final = b"\x1e"
_OUT_INFO: Final = b"\x09"
_OUT_LABEL: Final = b"\x0a"


def silent_outputs(psbt: Psbt) -> dict[int, tuple[bytes, bytes]]:
    """Scan and spend key (33 bytes each) by the number of the output that pays them; empty where none does."""
    found = {}
    for place, one in enumerate(psbt.outputs):
        info = one.fields.get(_OUT_INFO)
        if info is None:
            if _OUT_LABEL in one.fields:
                raise _refused(f"output {place} has a label and no silent payment keys")
            continue
        if len(info) != 66:
            raise _refused(f"output {place} has {len(info)} bytes of silent payment keys, not 66")
        found[place] = (info[:33], info[33:])
    return found


def check_silent_outputs(psbt: Psbt) -> None:
    """Refuse a PSBT whose silent payment outputs are not proven to pay the addresses they name.

    Nothing but the PSBT is needed. ``InvalidInputError`` (``input.psbt.silent-payment``) for a missing or wrong share,
    proof or script, an open construction, a hash type other than ALL, or an input that silent payments do not know.
    """
    paid = silent_outputs(psbt)
    _check_sizes(psbt)
    if not paid:
        return
    if psbt.fields.get(_MODIFIABLE, b"\0") != b"\0":
        raise _refused("its inputs or outputs may still be changed")
    for place, one in enumerate(psbt.inputs):
        if one.sighash_type not in (None, ALL):
            raise _refused(f"input {place} asks for a hash type other than ALL")
    keys = _input_keys(psbt)
    total = add_public_keys([key for key in keys.values() if key is not None]) if all(keys.values()) else None
    shares = {scan: _share(psbt, scan, keys, total) for scan in {scan for scan, _ in paid.values()}}
    whole = total or add_public_keys([key for key in keys.values() if key is not None])
    if whole is None:
        raise _refused("no input takes part in a silent payment")
    factor = input_hash([one.outpoint for one in psbt.tx.inputs], whole)
    for place, script in _scripts(paid, shares, factor).items():
        if psbt.tx.outputs[place].script != script:
            raise _refused(f"output {place} does not pay the address it names")


def prove_silent_outputs(
    psbt: Psbt, inputs: Sequence[PayingInput], recipients: Mapping[int, SilentPaymentAddress]
) -> Psbt:
    """A copy of a version 2 PSBT that names the address of each output and proves that its script is the right one.

    ``inputs`` are those of ``psbt`` with their keys; the scripts are those that ``send_outputs`` makes for the
    addresses in the order of their keys' bytes. Refused as by ``check_silent_outputs``.
    """
    if psbt.version != 2:
        raise _refused("these fields are for version 2 (BIP-370): convert it")
    if [one.outpoint for one in inputs] != [one.outpoint for one in psbt.tx.inputs]:
        raise _refused("the inputs given are not those of the psbt, in their order")
    result = psbt.copy()
    with total_secret(inputs) as secret:
        for place, address in recipients.items():
            result.outputs[place].fields[_OUT_INFO] = address.scan + address.spend
            if _GLOBAL_SHARE + address.scan not in result.fields:
                share, proof = prove_equality(secret, address.scan)
                result.fields[_GLOBAL_SHARE + address.scan] = share
                result.fields[_GLOBAL_PROOF + address.scan] = proof
    check_silent_outputs(result)
    return result


def _check_sizes(psbt: Psbt) -> None:
    maps = [(psbt.fields, _GLOBAL_SHARE, _GLOBAL_PROOF), *((one.fields, _IN_SHARE, _IN_PROOF) for one in psbt.inputs)]
    for fields, share, proof in maps:
        for key, value in fields.items():
            if key[:1] in (share, proof) and (len(key) != 34 or len(value) != (33 if key[:1] == share else PROOF_SIZE)):
                raise _refused(f"a field of type 0x{key[0]:02x} is malformed")


def _input_keys(psbt: Psbt) -> dict[int, bytes | None]:
    """The public key of every input that takes part; ``None`` where the PSBT does not tell it."""
    keys: dict[int, bytes | None] = {}
    for place, one in enumerate(psbt.inputs):
        script = psbt.utxo(place).script
        if is_future_segwit(script):
            raise _refused(f"input {place} spends a segwit version that silent payments do not know")
        kind = classify(script)
        if kind is ScriptType.P2TR:
            if one.tap_internal_key != UNSPENDABLE_KEY:
                keys[place] = b"\x02" + script[2:]
            continue
        if kind is ScriptType.P2SH:
            redeem = one.redeem_script or b""
            if hash160(redeem) != script[2:22] or classify(redeem) is not ScriptType.P2WPKH:
                continue
            wanted = redeem[2:]
        elif kind in (ScriptType.P2PKH, ScriptType.P2WPKH):
            wanted = script[3:23] if kind is ScriptType.P2PKH else script[2:]
        else:
            continue
        known = [key for key in one.bip32_derivations if _is_key_of(key, wanted)]
        if not known or len(known[0]) == 33:
            keys[place] = known[0] if known else None
    return keys


def _is_key_of(key: bytes, key_hash: bytes) -> bool:
    """Whether the output pays this key: a proof with any other would lose the money."""
    return hash160(key) == key_hash


def _share(psbt: Psbt, scan: bytes, keys: dict[int, bytes | None], total: bytes | None) -> bytes:
    """The proven share of all inputs for one scan key."""
    whole = psbt.fields.get(_GLOBAL_SHARE + scan)
    parts = []
    for place, key in keys.items():
        fields = psbt.inputs[place].fields
        part = fields.get(_IN_SHARE + scan)
        if part is None:
            if whole is None:
                raise _refused(f"input {place} gives no share for a scan key that is paid")
            continue
        _check_proof(key, scan, part, fields.get(_IN_PROOF + scan), f"input {place}")
        parts.append(part)
    if whole is not None:
        _check_proof(total, scan, whole, psbt.fields.get(_GLOBAL_PROOF + scan), "the psbt")
        return whole
    summed = add_public_keys(parts)
    if summed is None:
        raise _refused("no input takes part in a silent payment")
    return summed


def _check_proof(key: bytes | None, scan: bytes, share: bytes, proof: bytes | None, where: str) -> None:
    if key is None:
        raise _refused(f"{where} does not tell the public key that its share is made with")
    if proof is None:
        raise _refused(f"{where} gives a share without a proof")
    try:
        verify_equality(key, scan, share, proof)
    except InvalidInputError as error:
        raise _refused(f"{where} gives a share with a wrong proof") from error


def _scripts(paid: Mapping[int, tuple[bytes, bytes]], shares: Mapping[bytes, bytes], factor: bytes) -> dict[int, bytes]:
    """The script of each output: numbered for each scan key in the order of the spend keys, then of the outputs."""
    shared = {}
    for scan, share in shares.items():
        point = parse_point(share)
        multiply_point(point, int.from_bytes(factor, "big"))
        shared[scan] = serialize_point(point)
    numbers: Counter[bytes] = Counter()
    scripts = {}
    for place, (scan, spend) in sorted(paid.items(), key=lambda item: (item[1], item[0])):
        if numbers[scan] >= MOST:
            raise _refused(f"more than {MOST} outputs pay one scan key: its owner looks for no more")
        scripts[place] = p2tr(SpendPoint(spend).key(payment_tweak(shared[scan], numbers[scan]))[1:])
        numbers[scan] += 1
    return scripts


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError(f"psbt refused: {why}", code="input.psbt.silent-payment")
