"""A review of a PSBT that came from outside: what leaves the account is whatever is not proven to return to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.address import Address
from bursar.bitcoin.psbt import InputDigests
from bursar.bitcoin.units import FeeRate
from bursar.bitcoin.weight import INPUT_WEIGHTS, frame_weight, output_weight
from bursar.errors import InvalidInputError
from bursar.policy.review import Asset, Change, Payment, Review, ReviewWarning
from bursar.signing.change import change_paths
from bursar.signing.preflight import check_psbt
from bursar.signing.remarks import remarks
from bursar.signing.spending import check_inputs

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt


def review_of(psbt: Psbt, account: ScriptAccount, name: str, *, external: bool = False) -> Review:
    """What a human and the policy must see of ``psbt`` before ``account`` signs it; refused PSBTs raise here.

    ``external`` lets strangers pay with the account; the account is held to all that is paid nevertheless.
    """
    signers = account.fingerprints
    check_psbt(psbt, fingerprint=signers[0] if len(signers) == 1 else None)
    coin = Asset("bitcoin", account.network.name, "BTC", 8)
    check_inputs(psbt, account, external=external)
    returning = change_paths(psbt, account)
    payments: list[Payment] = []
    change: list[Change] = []
    for index, output in enumerate(psbt.tx.outputs):
        to = _payee(output.script, account)
        if index in returning:
            change.append(Change(to, int(output.value), str(returning[index])))
        else:
            payments.append(Payment(coin, to, int(output.value)))
    fee, vsize = int(psbt.fee()), _vsize(psbt)
    return Review(
        chain="bitcoin",
        network=account.network.name,
        account=name,
        payments=tuple(payments),
        change=tuple(change),
        fee=fee,
        max_fee=fee,
        fee_asset=coin,
        fee_rate=str(FeeRate.of(fee, vsize)),
        warnings=tuple(ReviewWarning(one.code, one.text) for one in remarks(psbt, vsize=vsize)),
        extra={"inputs": len(psbt.inputs), "locktime": psbt.tx.locktime, "source": "a psbt from outside"},
    )


def _payee(script: bytes, account: ScriptAccount) -> str:
    try:
        return str(Address.from_script(script, account.network))
    except InvalidInputError:
        return f"script {script.hex()}"


def _vsize(psbt: Psbt) -> int:
    """The virtual size once signed; inputs of no fixed weight count as the lightest, so no rate is understated."""
    digests = InputDigests(psbt)
    lightest = min(INPUT_WEIGHTS.values())
    weight = frame_weight(len(psbt.inputs), len(psbt.outputs), segwit=True)
    weight += sum(output_weight(output.script) for output in psbt.tx.outputs)
    for index, one in enumerate(psbt.inputs):
        kind = None if one.is_final else digests.digest(index).script_type
        weight += lightest if kind is None else INPUT_WEIGHTS.get(kind, lightest)
    return -(-weight // 4)
