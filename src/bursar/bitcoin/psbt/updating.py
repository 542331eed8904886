"""The updater of PSBTs: what an input spends and how, what an output pays to (BIP-174, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bursar.bitcoin.script import witness_program
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt.document import Psbt
    from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput
    from bursar.bitcoin.transaction import Transaction, TxOut


class Describes(Protocol):
    """Knows an output script and how it is spent, as ``Descriptor.spending()`` gives it."""

    @property
    def script(self) -> bytes: ...

    @property
    def redeem_script(self) -> bytes | None: ...

    def describe_input(self, one: PsbtInput) -> None: ...

    def describe_output(self, one: PsbtOutput) -> None: ...


def update_input(
    psbt: Psbt,
    index: int,
    *,
    previous: Transaction | None = None,
    output: TxOut | None = None,
    spending: Describes | None = None,
) -> None:
    """Write what is known of the output that input ``index`` spends: its transaction, itself, its scripts and keys.

    ``output`` alone is for taproot, and for signers that trust it. A segwit output of ``previous`` is written as the
    witness utxo too. Nothing is written and ``InvalidInputError`` (``input.psbt.utxo``, ``input.psbt.script``) is
    raised where these contradict each other or what is there.
    """
    before = psbt.inputs[index]
    one = psbt.inputs[index] = before.copy()
    try:
        if previous is not None:
            one.non_witness_utxo = previous
        if output is not None:
            one.witness_utxo = output
        spent = psbt.utxo(index)
        if spending is not None:
            if spending.script != spent.script:
                raise InvalidInputError(
                    f"psbt input {index} spends another script than the one described", code="input.psbt.script"
                )
            spending.describe_input(one)
        inner = one.redeem_script if one.redeem_script is not None else spent.script
        if witness_program(inner) is not None:
            one.witness_utxo = spent
    except InvalidInputError:
        psbt.inputs[index] = before
        raise


def update_output(psbt: Psbt, index: int, spending: Describes) -> None:
    """Write the scripts and keys of an output of ours, so that signers know it as change."""
    if spending.script != psbt.tx.outputs[index].script:
        raise InvalidInputError(
            f"psbt output {index} pays to another script than the one described", code="input.psbt.script"
        )
    spending.describe_output(psbt.outputs[index])
