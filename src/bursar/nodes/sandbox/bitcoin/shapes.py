"""The JSON shapes of scripts, transactions, blocks and mempool entries, as Bitcoin Core 28 prints them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor import add_checksum
from bursar.bitcoin.network import Network
from bursar.crypto.secp256k1 import parse_public_key
from bursar.errors import InvalidInputError
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin.opcodes import assembly, multisig, output_type

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction
    from bursar.nodes.sandbox.bitcoin.chain import Known, RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Unspent
    from bursar.nodes.sandbox.bitcoin.mempool import Entry

DIFFICULTY: Final = Decimal("4.656542373906925e-10")
Shape = dict[str, Any]


@lru_cache(maxsize=4096)
def _address(script: bytes) -> str | None:
    try:
        return Address.from_script(script, Network.REGTEST).text
    except InvalidInputError:
        return None


def _is_point(key: bytes) -> bool:
    try:
        parse_public_key(key)
    except InvalidInputError:
        return False
    return True


@lru_cache(maxsize=4096)
def descriptor(script: bytes) -> str:
    """The descriptor Core infers from a script alone."""
    kind = output_type(script)
    if kind == "witness_v1_taproot" and _is_point(b"\x02" + script[2:]):
        return add_checksum(f"rawtr({script[2:].hex()})")
    if kind == "pubkey" and _is_point(script[1:-1]):
        return add_checksum(f"pk({script[1:-1].hex()})")
    if kind == "multisig":
        bare = multisig(script)
        if bare is not None and all(map(_is_point, bare[1])):
            return add_checksum(f"multi({bare[0]},{','.join(key.hex() for key in bare[1])})")
    address = _address(script)
    return add_checksum(f"raw({script.hex()})" if address is None else f"addr({address})")


def script_shape(script: bytes) -> Shape:
    """An output script."""
    shape: Shape = {"asm": assembly(script), "desc": descriptor(script), "hex": script.hex()}
    address = _address(script)
    if address is not None:
        shape["address"] = address
    shape["type"] = output_type(script)
    return shape


def transaction_shape(
    tx: Transaction, spent: Sequence[Unspent] = (), *, prevouts: bool = False, include_hex: bool = True
) -> Shape:
    """A transaction; with the coins it ``spent`` also its fee, and each of them under ``prevouts``."""
    shape: Shape = {
        "txid": str(tx.txid),
        "hash": str(tx.wtxid),
        "version": tx.version,
        "size": len(tx.serialize()),
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.locktime,
        "vin": [
            _input_shape(tx, index, spent[index] if spent and prevouts else None) for index in range(len(tx.inputs))
        ],
        "vout": [
            {"value": Btc(output.value), "n": index, "scriptPubKey": script_shape(output.script)}
            for index, output in enumerate(tx.outputs)
        ],
    }
    if spent:
        shape["fee"] = Btc(sum(coin.value for coin in spent) - sum(output.value for output in tx.outputs))
    if include_hex:
        shape["hex"] = tx.serialize().hex()
    return shape


def _input_shape(tx: Transaction, index: int, coin: Unspent | None) -> Shape:
    source = tx.inputs[index]
    shape: Shape = {}
    if tx.is_coinbase:
        shape["coinbase"] = source.script_sig.hex()
    else:
        shape["txid"] = str(source.outpoint.txid)
        shape["vout"] = source.outpoint.vout
        shape["scriptSig"] = {"asm": assembly(source.script_sig, signatures=True), "hex": source.script_sig.hex()}
    if source.witness:
        shape["txinwitness"] = [item.hex() for item in source.witness]
    if coin is not None:
        shape["prevout"] = {
            "generated": coin.coinbase,
            "height": coin.height,
            "value": Btc(coin.value),
            "scriptPubKey": script_shape(coin.script),
        }
    shape["sequence"] = source.sequence
    return shape


def header_shape(chain: RegtestChain, known: Known) -> Shape:
    """A block's header and its place."""
    header, height = known.block.header, known.height
    active = chain.is_active(known)
    shape: Shape = {
        "hash": known.block.hash[::-1].hex(),
        "confirmations": chain.height - height + 1 if active else -1,
        "height": height,
        "version": header.version,
        "versionHex": f"{header.version & 0xFFFFFFFF:08x}",
        "merkleroot": header.merkle_root[::-1].hex(),
        "time": header.time,
        "mediantime": chain.median_time(known),
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "difficulty": DIFFICULTY,
        "chainwork": f"{2 * (height + 1):064x}",
        "nTx": len(known.block.transactions),
    }
    if height:
        shape["previousblockhash"] = header.previous[::-1].hex()
    if active and height < chain.height:
        shape["nextblockhash"] = chain.index.chain[height + 1].block.hash[::-1].hex()
    return shape


def block_shape(chain: RegtestChain, known: Known, verbosity: int) -> Shape:
    """A block with its transaction ids (1), its transactions (2), or these with what they spend (3)."""
    block = known.block
    shape = header_shape(chain, known)
    shape |= {"strippedsize": block.stripped_size, "size": len(block.raw), "weight": block.weight}
    if verbosity == 1:
        shape["tx"] = [str(tx.txid) for tx in block.transactions]
        return shape
    connected = chain.connected(known)
    shape["tx"] = [
        transaction_shape(tx, connected.spent_by(position) if connected else (), prevouts=verbosity > 2)
        for position, tx in enumerate(block.transactions)
    ]
    return shape


def entry_shape(entry: Entry) -> Shape:
    """A mempool entry."""
    ancestors = [entry, *entry.ancestors().values()]
    descendants = [entry, *entry.descendants().values()]
    return {
        "vsize": entry.vsize,
        "weight": entry.tx.weight,
        "time": entry.time,
        "height": entry.height,
        "descendantcount": len(descendants),
        "descendantsize": sum(other.vsize for other in descendants),
        "ancestorcount": len(ancestors),
        "ancestorsize": sum(other.vsize for other in ancestors),
        "wtxid": str(entry.wtxid),
        "fees": {
            "base": Btc(entry.fee),
            "modified": Btc(entry.fee),
            "ancestor": Btc(sum(other.fee for other in ancestors)),
            "descendant": Btc(sum(other.fee for other in descendants)),
        },
        "depends": sorted(str(txid) for txid in entry.parents),
        "spentby": [str(txid) for txid in entry.children],
        "bip125-replaceable": any(other.tx.replaceable for other in ancestors),
        "unbroadcast": False,
    }
