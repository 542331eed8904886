"""What a streamed input or output must be before it is looked at: each family's words for what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType, OutputScriptType

from bursar_devices.trezor import scripts
from bursar_devices.trezor.workflow import FailError, data_error, processing_error

if TYPE_CHECKING:
    from trezorlib import messages

HASH = 32


def changed(*, legacy: bool, data: bool = False) -> FailError:
    """The host told something else the second time."""
    text = "Transaction has changed during signing"
    return data_error(text) if legacy and data else processing_error(text)


def check_input(txi: messages.TxInputType, *, legacy: bool) -> messages.TxInputType:
    """An input of the transaction to sign."""
    kind = txi.script_type
    if len(txi.prev_hash) != HASH:
        raise data_error("Provided prev_hash is invalid.")
    if txi.multisig is not None and kind not in scripts.MULTISIG_INPUTS:
        raise data_error("Multisig field provided but not expected.")
    if txi.multisig is None and kind == InputScriptType.SPENDMULTISIG:
        raise data_error("Multisig details required.")
    if kind in scripts.INTERNAL:
        _check_internal(txi, legacy=legacy)
    elif legacy and kind != InputScriptType.EXTERNAL:
        raise data_error("Unsupported script type.")
    else:
        if txi.address_n:
            raise data_error("Input's address_n provided but not expected.")
        if txi.script_pubkey is None or (not legacy and not txi.script_pubkey):
            raise data_error("Missing script_pubkey field.")
    if txi.decred_tree is not None:
        raise data_error("Decred details provided but Decred coin not specified.")
    if txi.commitment_data is not None and txi.ownership_proof is None:
        raise data_error("commitment_data field provided but not expected.")
    if txi.orig_hash is not None:
        if txi.orig_index is None:
            raise data_error("Missing orig_index field.")
        if legacy and len(txi.orig_hash) != HASH:
            raise data_error("Provided orig_hash is invalid.")
    return txi


def _check_internal(txi: messages.TxInputType, *, legacy: bool) -> None:
    if not txi.address_n:
        raise data_error("Missing address_n field.")
    if txi.script_pubkey is not None:
        raise data_error("Input's script_pubkey provided but not expected.")
    if legacy and txi.ownership_proof is not None:
        raise data_error("Ownership proof provided but not expected.")


def check_previous_input(txi: messages.TxInputType) -> messages.TxInputType:
    """An input of a previous transaction."""
    if len(txi.prev_hash) != HASH:
        raise data_error("Provided prev_hash is invalid.")
    if txi.decred_tree is not None:
        raise data_error("Decred details provided but Decred coin not specified.")
    return txi


def check_output(txo: messages.TxOutputType, *, legacy: bool) -> messages.TxOutputType:
    """An output of the transaction to sign."""
    kind = txo.script_type
    if txo.multisig is not None and kind not in scripts.MULTISIG_OUTPUTS:
        raise data_error("Multisig field provided but not expected.")
    if not legacy and txo.multisig is None and kind == OutputScriptType.PAYTOMULTISIG:
        raise data_error("Multisig details required.")
    if txo.address_n and kind not in scripts.CHANGE_TYPES:
        raise data_error("Output's address_n provided but not expected.")
    if kind == OutputScriptType.PAYTOOPRETURN:
        _check_op_return(txo, legacy=legacy)
    else:
        if txo.op_return_data is not None and (legacy or txo.op_return_data):
            raise data_error("OP RETURN data provided but not OP RETURN script type.")
        if txo.address_n and txo.address is not None:
            raise data_error("Both address and address_n provided.")
        if not txo.address_n and (txo.address is None or (not legacy and not txo.address)):
            raise data_error("Missing address")
    if txo.orig_hash is not None:
        if txo.orig_index is None:
            raise data_error("Missing orig_index field.")
        if legacy and len(txo.orig_hash) != HASH:
            raise processing_error("Encountered invalid orig_hash")
    return txo


def _check_op_return(txo: messages.TxOutputType, *, legacy: bool) -> None:
    foreign = txo.address is not None or bool(txo.address_n) or txo.multisig is not None
    if legacy and foreign:
        raise data_error("OP_RETURN output with address or multisig")
    if not legacy and txo.op_return_data is None:
        raise data_error("OP_RETURN output without op_return_data")
    if txo.amount != 0:
        raise data_error("OP_RETURN output with non-zero amount")
    if foreign:
        raise data_error("OP_RETURN output with address or multisig")
