"""JSON-RPC on mining and fee rates."""

from __future__ import annotations

from itertools import islice
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.errors import InvalidInputError
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin import params
from bursar.nodes.sandbox.bitcoin.admission import MIN_RELAY
from bursar.nodes.sandbox.bitcoin.descriptors import Descriptor
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.shapes import DIFFICULTY

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

MAX_BLOCKS: Final = 100_000
MAX_TARGET: Final = 1008
FEE_WINDOW: Final = 20
ENOUGH: Final = 10  # transactions in blocks; before that nothing is known of fees


def _address_script(value: Any, message: str) -> bytes:
    try:
        return Address.from_text(params.text(value), Network.REGTEST).script
    except InvalidInputError as error:
        raise RpcError(params.ADDRESS_OR_KEY, message) from error


def _descriptor_script(value: Any) -> bytes:
    try:
        descriptor = Descriptor.parse(params.text(value))
    except InvalidInputError as error:
        raise RpcError(params.ADDRESS_OR_KEY, error.message) from error
    if descriptor.ranged:
        raise RpcError(params.PARAMETER, "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?")
    return descriptor.scripts()[-1][0]


def _mine(chain: RegtestChain, nblocks: Any, script: bytes) -> list[str]:
    number = params.whole(nblocks)
    if number > MAX_BLOCKS:
        raise RpcError(params.PARAMETER, f"at most {MAX_BLOCKS} blocks at once")
    return chain.mine(max(number, 0), script)


def generatetoaddress(chain: RegtestChain, nblocks: Any, address: Any, maxtries: Any = 1000000) -> Any:  # noqa: ARG001
    """Mine blocks to an address; their hashes."""
    return _mine(chain, nblocks, _address_script(address, "Error: Invalid address"))


def generatetodescriptor(
    chain: RegtestChain,
    num_blocks: Any,
    descriptor: Any,
    maxtries: Any = 1000000,  # noqa: ARG001
) -> Any:
    """Mine blocks to a descriptor; their hashes."""
    return _mine(chain, num_blocks, _descriptor_script(descriptor))


def generateblock(chain: RegtestChain, output: Any, transactions: Any, submit: Any = True) -> Any:
    """Mine one block with just these transactions, by id from the pool or in hex."""
    wanted = params.text(output)
    script = (
        _descriptor_script(wanted) if "(" in wanted else _address_script(wanted, "Error: Invalid address or descriptor")
    )
    chosen = [_chosen(chain, params.text(item)) for item in params.array(transactions)]
    if not params.flag(submit):
        raise RpcError(params.PARAMETER, "submit=false is not offered here")
    try:
        (block_hash,) = chain.mine(1, script, transactions=chosen, fees=_fees(chain, chosen))
    except InvalidInputError as error:
        raise RpcError(params.VERIFY, f"testBlockValidity failed: {error.message}") from error
    return {"hash": block_hash}


def _chosen(chain: RegtestChain, item: str) -> Transaction:
    if len(item) == 64:
        entry = chain.mempool.entries.get(params.txid(item, "txid"))
        if entry is None:
            raise RpcError(params.ADDRESS_OR_KEY, f"Transaction {item} not in mempool.")
        return entry.tx
    refusal = f"Transaction decode failed for {item[:100]}. Make sure the tx has at least one input."
    return params.transaction(item, refusal)


def _fees(chain: RegtestChain, chosen: list[Transaction]) -> int:
    """What these transactions pay together; nothing if the coins of one are unknown: the kernel will judge it."""
    created: dict[OutPoint, int] = {}
    total = 0
    for tx in chosen:
        for source in tx.inputs:
            coin = chain.index.coins.get(source.outpoint)
            value = created.get(source.outpoint) if coin is None else coin.value
            if value is None:
                return 0
            total += value
        total -= sum(output.value for output in tx.outputs)
        txid: Txid = tx.txid
        created |= {OutPoint(txid, vout): int(tx.outputs[vout].value) for vout in range(len(tx.outputs))}
    return max(total, 0)


def estimatesmartfee(chain: RegtestChain, conf_target: Any, estimate_mode: Any = "economical") -> Any:
    """A fee rate: the middle one of the last busy blocks' transactions, at least the relay floor.

    Blocks here hold everything that waits, so the floor confirms whatever the target. Like Core a chain with hardly any
    transactions has no estimate.
    """
    target = params.whole(conf_target)
    if not 1 <= target <= MAX_TARGET:
        raise RpcError(params.PARAMETER, f"Invalid conf_target, must be between 1 and {MAX_TARGET}")
    if params.text(estimate_mode).lower() not in ("unset", "economical", "conservative"):
        raise RpcError(
            params.PARAMETER, 'Invalid estimate_mode parameter, must be one of: "unset", "economical", "conservative"'
        )
    rates: list[int] = []
    busy = (connected for connected in reversed(chain.index.chain) if len(connected.block.transactions) > 1)
    for connected in islice(busy, FEE_WINDOW):
        for position, tx in enumerate(connected.block.transactions[1:], 1):
            paid = sum(coin.value for coin in connected.spent_by(position))
            rates.append((paid - sum(output.value for output in tx.outputs)) * 1000 // tx.vsize)
    if len(rates) < ENOUGH:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": 0}
    rate = max(median_low(rates), MIN_RELAY.sat_per_kvb)
    return {"feerate": Btc(rate), "blocks": max(target, 2)}


def getmininginfo(chain: RegtestChain) -> Any:
    """State of mining."""
    return {
        "blocks": chain.height,
        "difficulty": DIFFICULTY,
        "networkhashps": 0,
        "pooledtx": len(chain.mempool),
        "chain": "regtest",
        "warnings": [],
    }


METHODS: Final = (generatetoaddress, generatetodescriptor, generateblock, estimatesmartfee, getmininginfo)
