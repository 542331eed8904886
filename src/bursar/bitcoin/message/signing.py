"""Making message proofs (BIP-322) through PSBTs, so that whatever signs transactions can sign messages."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, Protocol

from bursar.bitcoin.address import Address
from bursar.bitcoin.finalize import extract
from bursar.bitcoin.message.proof import NOTHING, MessageFormat, to_sign, to_spend
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import witness_program
from bursar.bitcoin.transaction import TxIn
from bursar.bitcoin.wire import stack
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin
    from bursar.bitcoin.psbt import PsbtInput

MESSAGE_FIELD: Final = b"\x09"
"""PSBT_GLOBAL_GENERIC_SIGNED_MESSAGE."""


class Spendable(Protocol):
    """An output script and how it is spent, as ``Descriptor.spending()`` gives it."""

    @property
    def script(self) -> bytes: ...

    def describe_input(self, one: PsbtInput) -> None: ...


def message_psbt(
    challenge: Spendable | Address,
    message: bytes,
    *,
    version: int = 0,
    locktime: int = 0,
    sequence: int = 0,
    coins: Sequence[Coin] = (),
) -> Psbt:
    """A PSBT whose signatures prove that who can spend ``challenge`` signed ``message`` (UTF-8).

    An ``Address`` gives the script alone: add what the signer must know of its keys. Scripts with time locks need the
    ``version`` 2 and the ``locktime`` or ``sequence`` at which they open. ``coins`` are shown to be spendable besides.
    """
    if version not in (0, 2):
        raise InvalidInputError(f"a message is signed with version 0 or 2, not {version}", code="input.message")
    more = [TxIn(coin.outpoint, b"", 0) for coin in coins]
    if len({one.outpoint for one in more}) != len(more):
        raise InvalidInputError("a coin stands there twice: name each once", code="input.message")
    script = challenge.script
    psbt = Psbt(to_sign(script, message, version=version, locktime=locktime, sequence=sequence, more=more))
    psbt.fields[MESSAGE_FIELD] = message
    first = psbt.inputs[0]
    first.non_witness_utxo = to_spend(script, message)
    if not isinstance(challenge, Address):
        challenge.describe_input(first)
    if witness_program(first.redeem_script or script) is not None:
        first.witness_utxo = first.non_witness_utxo.outputs[0]
    for coin, one in zip(coins, psbt.inputs[1:], strict=True):
        if coin.previous is not None:
            one.non_witness_utxo = coin.previous
        coin.key.describe_input(one, coin)
        if witness_program(one.redeem_script or coin.output.script) is not None:
            one.witness_utxo = coin.output
    return psbt


def signed_message(psbt: Psbt) -> bytes | None:
    """The message that signing ``psbt`` signs, or ``None`` where it is an ordinary transaction.

    Signers must ask, and show the message: what BIP-322 demands of such a PSBT is checked in full.
    """
    message = psbt.fields.get(MESSAGE_FIELD)
    if message is None or not psbt.tx.inputs:
        return None
    txid, vout = psbt.tx.inputs[0].outpoint
    try:
        script = psbt.utxo(0).script
    except InvalidInputError:
        return None
    if vout or txid != to_spend(script, message).txid or psbt.tx.outputs != (NOTHING,):
        return None
    return message


def encode_proof(psbt: Psbt, *, full: bool = False) -> str:
    """The proof's text, from a finalised PSBT of ``message_psbt``: the shortest form it allows, or the full one.

    ``InvalidInputError`` (``input.psbt.unsigned``) if an input is not final, ``input.message`` if it is no message.
    """
    if signed_message(psbt) is None:
        raise InvalidInputError("the psbt signs a transaction, not a message", code="input.message")
    tx = extract(psbt)
    first = tx.inputs[0]
    kind = MessageFormat.SIMPLE
    if len(tx.inputs) > 1:
        kind, raw = MessageFormat.FUNDS, psbt.serialize()
    elif full or tx.version or tx.locktime or first.sequence or first.script_sig:
        kind, raw = MessageFormat.FULL, tx.serialize()
    else:
        raw = stack(first.witness)
    return kind.value + base64.b64encode(raw).decode("ascii")
