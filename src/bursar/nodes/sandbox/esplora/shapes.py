"""The JSON shapes of blocks, transactions and their places, as an Esplora server prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.nodes.sandbox.bitcoin.opcodes import assembly, output_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.transaction import Transaction, TxOut
    from bursar.nodes.sandbox.bitcoin.chain import Known, RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Connected, Unspent

_TYPES: Final = {
    "pubkey": "p2pk",
    "pubkeyhash": "p2pkh",
    "scripthash": "p2sh",
    "witness_v0_keyhash": "v0_p2wpkh",
    "witness_v0_scripthash": "v0_p2wsh",
    "witness_v1_taproot": "v1_p2tr",
    "anchor": "anchor",
    "multisig": "multisig",
    "nulldata": "op_return",
}


def output_shape(value: int, script: bytes) -> dict[str, Any]:
    """An output, or what an input spends."""
    kind = "op_return" if script[:1] == b"\x6a" else _TYPES.get(output_type(script), "unknown") if script else "empty"
    shape: dict[str, Any] = {
        "scriptpubkey": script.hex(),
        "scriptpubkey_asm": assembly(script),
        "scriptpubkey_type": kind,
        "value": int(value),
    }
    try:
        shape["scriptpubkey_address"] = Address.from_script(script, Network.REGTEST).text
    except InvalidInputError:
        return shape
    return shape


def status_shape(connected: Connected | None) -> dict[str, Any]:
    """Where a transaction is."""
    if connected is None:
        return {"confirmed": False}
    return {
        "confirmed": True,
        "block_height": connected.height,
        "block_hash": connected.block.hash[::-1].hex(),
        "block_time": connected.block.header.time,
    }


def transaction_shape(
    tx: Transaction, spent: Sequence[Unspent | TxOut | None], connected: Connected | None
) -> dict[str, Any]:
    """A transaction with what it spends, one entry an input (``None`` for a coinbase)."""
    total = sum(int(coin.value) for coin in spent if coin is not None)
    paid = sum(int(output.value) for output in tx.outputs)
    return {
        "txid": str(tx.txid),
        "version": tx.version,
        "locktime": tx.locktime,
        "vin": [_input_shape(tx, at, coin) for at, coin in enumerate(spent)],
        "vout": [output_shape(output.value, output.script) for output in tx.outputs],
        "size": len(tx.serialize()),
        "weight": tx.weight,
        "fee": 0 if tx.is_coinbase else total - paid,
        "status": status_shape(connected),
    }


def _input_shape(tx: Transaction, at: int, coin: Unspent | TxOut | None) -> dict[str, Any]:
    source = tx.inputs[at]
    shape: dict[str, Any] = {
        "txid": str(source.outpoint.txid),
        "vout": source.outpoint.vout,
        "prevout": None if coin is None else output_shape(coin.value, coin.script),
        "scriptsig": source.script_sig.hex(),
        "scriptsig_asm": assembly(source.script_sig),
        "is_coinbase": tx.is_coinbase,
        "sequence": source.sequence,
    }
    if source.witness:
        shape["witness"] = [item.hex() for item in source.witness]
    return shape


def block_shape(chain: RegtestChain, known: Known) -> dict[str, Any]:
    """A block."""
    block, header = known.block, known.block.header
    return {
        "id": block.hash[::-1].hex(),
        "height": known.height,
        "version": header.version,
        "timestamp": header.time,
        "tx_count": len(block.transactions),
        "size": len(block.raw),
        "weight": block.weight,
        "merkle_root": header.merkle_root[::-1].hex(),
        "previousblockhash": header.previous[::-1].hex() if known.height else None,
        "mediantime": chain.median_time(known),
        "nonce": header.nonce,
        "bits": header.bits,
        "difficulty": 0,
    }
