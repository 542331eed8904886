"""The questions of the Electrum protocol 1.4.2 that need no connection, answered from the sandbox's chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.headers.merkle import branch_of, levels_of
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import Txid
from bursar.bitcoin.units import COIN
from bursar.errors import BursarError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.sandbox.bitcoin import rpc_tx
from bursar.nodes.sandbox.bitcoin.admission import MIN_RELAY
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.electrum.index import ScriptIndex
from bursar.version import __version__

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Connected
    from bursar.nodes.sandbox.electrum.index import Event

BAD_REQUEST: Final = 1
DAEMON: Final = 2
NO_METHOD: Final = -32601
BAD_PARAMS: Final = -32602
MAX_HEADERS: Final = 2016
PROTOCOL: Final = "1.4.2"
OLDEST: Final = "1.4"
SOFTWARE: Final = f"bursar-sandbox {__version__}"
KEPT_TREES: Final = 64


class FaultError(BursarError):
    """An error answer of the protocol; it never leaves the server."""

    default_code = "sandbox.electrum"

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class Answers:
    """Method names of the protocol to answers about one chain."""

    def __init__(self, chain: RegtestChain) -> None:
        self.chain = chain
        self.index = ScriptIndex(chain)
        self._trees: dict[bytes, list[list[bytes]]] = {}
        self._methods: dict[str, Callable[..., Any]] = {
            "blockchain.block.header": self._header,
            "blockchain.block.headers": self._headers,
            "blockchain.estimatefee": self._estimate,
            "blockchain.relayfee": self._relay_fee,
            "blockchain.scripthash.get_balance": self._balance,
            "blockchain.scripthash.get_history": self._history,
            "blockchain.scripthash.get_mempool": self._waiting,
            "blockchain.scripthash.listunspent": self._unspent,
            "blockchain.transaction.broadcast": self._broadcast,
            "blockchain.transaction.get": self._transaction,
            "blockchain.transaction.get_merkle": self._merkle,
            "blockchain.transaction.id_from_pos": self._id_from_position,
            "mempool.get_fee_histogram": self._histogram,
            "server.banner": lambda: f"{SOFTWARE}: a private chain, coins on it are worth nothing",
            "server.donation_address": lambda: "",
            "server.features": self._features,
            "server.peers.subscribe": list,
            "server.ping": lambda: None,
            "server.add_peer": lambda features: False,  # noqa: ARG005
        }

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result; ``FaultError`` when there is none."""
        found = self._methods.get(method)
        if found is None:
            raise FaultError(NO_METHOD, f"unknown method {method[:100]!r}")
        with self.chain.lock:
            self.index.refresh()
            try:
                return found(*params)
            except TypeError as error:
                raise FaultError(BAD_PARAMS, f"{method} does not take {len(params)} arguments like these") from error

    # headers

    def tip(self) -> dict[str, Any]:
        """The last block as the protocol shows it."""
        with self.chain.lock:
            last = self.chain.index.tip
            return {"hex": last.block.raw[:80].hex(), "height": last.height}

    def _block(self, height: Any) -> Connected:
        if _whole(height, "a height") >= len(self.chain.index.chain):
            raise FaultError(BAD_REQUEST, f"height {height} is out of range")
        return self.chain.index.chain[int(height)]

    def _header(self, height: Any, cp_height: Any = 0) -> Any:
        header = self._block(height).block.raw[:80].hex()
        if not _whole(cp_height, "cp_height"):
            return header
        return {"header": header, **self._checkpoint_proof(height, cp_height)}

    def _headers(self, start_height: Any, count: Any, cp_height: Any = 0) -> Any:
        first, wanted = _whole(start_height, "start_height"), min(_whole(count, "count"), MAX_HEADERS)
        blocks = self.chain.index.chain[first : first + wanted]
        reply: dict[str, Any] = {
            "hex": b"".join([connected.block.raw[:80] for connected in blocks]).hex(),
            "count": len(blocks),
            "max": MAX_HEADERS,
        }
        if _whole(cp_height, "cp_height") and blocks:
            reply |= self._checkpoint_proof(blocks[-1].height, cp_height)
        return reply

    def _checkpoint_proof(self, height: int, cp_height: int) -> dict[str, Any]:
        if not height <= cp_height <= self.chain.height:
            raise FaultError(BAD_REQUEST, f"cp_height {cp_height} must be from {height} to {self.chain.height}")
        blocks = self.chain.index.chain[: cp_height + 1]
        key = b"headers" + blocks[-1].block.hash
        levels = self._tree(key, lambda: [connected.block.hash for connected in blocks])
        return {"branch": _names(branch_of(levels, height)), "root": levels[-1][0][::-1].hex()}

    def _tree(self, key: bytes, leaves: Callable[[], list[bytes]]) -> list[list[bytes]]:
        levels = self._trees.get(key)
        if levels is None:
            levels = self._trees[key] = levels_of(leaves())
            if len(self._trees) > KEPT_TREES:
                del self._trees[next(iter(self._trees))]
        return levels

    # scripts

    def _history(self, scripthash: Any) -> Any:
        return [_shape(event) for event in self.index.history(script_hash(scripthash))]

    def _waiting(self, scripthash: Any) -> Any:
        return [_shape(event) for event in self.index.waiting(script_hash(scripthash))]

    def _unspent(self, scripthash: Any) -> Any:
        return [
            {"tx_hash": str(txid), "tx_pos": vout, "height": height, "value": value}
            for txid, vout, height, value in self.index.unspent(script_hash(scripthash))
        ]

    def _balance(self, scripthash: Any) -> Any:
        key = script_hash(scripthash)
        script = self.index.script(key) or b""
        coins = self.chain.index.coins
        confirmed = sum(coins[outpoint].value for outpoint in self.chain.index.by_script.get(script, ()))
        return {"confirmed": confirmed, "unconfirmed": sum(row[3] for row in self.index.unspent(key)) - confirmed}

    # transactions

    def _transaction(self, tx_hash: Any, verbose: Any = False) -> Any:
        try:
            shape = rpc_tx.getrawtransaction(self.chain, tx_hash, 1 if verbose else 0)
        except RpcError as error:
            raise FaultError(DAEMON, f"daemon error: {error.message}") from error
        return json.loads(exact_json.dumps(shape)) if verbose else shape

    def _merkle(self, tx_hash: Any, height: Any) -> Any:
        connected = self._block(height)
        try:
            place = self.chain.index.place(Txid.from_text(str(tx_hash)))
        except InvalidInputError as error:
            raise FaultError(BAD_REQUEST, error.message) from error
        if place is None or place[0].height != height:
            raise FaultError(BAD_REQUEST, f"tx hash {tx_hash} not in block at height {height}")
        return {"block_height": height, "merkle": self._branch(connected, place[1]), "pos": place[1]}

    def _branch(self, connected: Connected, position: int) -> list[str]:
        block = connected.block
        return _names(branch_of(self._tree(block.hash, lambda: [tx.txid for tx in block.transactions]), position))

    def _id_from_position(self, height: Any, tx_pos: Any, merkle: Any = False) -> Any:
        connected = self._block(height)
        if _whole(tx_pos, "tx_pos") >= len(connected.block.transactions):
            raise FaultError(BAD_REQUEST, f"no tx at position {tx_pos} in block at height {height}")
        name = str(connected.block.transactions[tx_pos].txid)
        return {"tx_hash": name, "merkle": self._branch(connected, tx_pos)} if merkle else name

    def _broadcast(self, raw_tx: Any) -> Any:
        try:
            return rpc_tx.sendrawtransaction(self.chain, raw_tx)
        except RpcError as error:
            raise FaultError(
                BAD_REQUEST, f"the transaction was rejected by network rules.\n\n{error.message}\n[{str(raw_tx)[:64]}]"
            ) from error

    # fees and the server

    def _estimate(self, number: Any) -> Any:
        _whole(number, "number")
        return -1

    def _relay_fee(self) -> Any:
        return MIN_RELAY.sat_per_kvb / COIN

    def _histogram(self) -> Any:
        rates = sorted(((entry.fee / entry.vsize, entry.vsize) for entry in self.chain.mempool), reverse=True)
        return [[round(rate, 3), vsize] for rate, vsize in rates]

    def _features(self) -> Any:
        return {
            "hosts": {},
            "pruning": None,
            "server_version": SOFTWARE,
            "protocol_min": OLDEST,
            "protocol_max": PROTOCOL,
            "genesis_hash": Network.REGTEST.genesis_hash,
            "hash_function": "sha256",
        }


def script_hash(value: Any) -> bytes:
    """A script hash as clients write it, as the index has it; ``FaultError`` otherwise."""
    try:
        if not isinstance(value, str) or len(value) != 64:
            raise ValueError
        return bytes.fromhex(value)[::-1]
    except ValueError:
        raise FaultError(BAD_REQUEST, f"{str(value)[:100]!r} is not a valid script hash") from None


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise FaultError(BAD_REQUEST, f"{name} should be a non-negative integer")
    return value


def _shape(event: Event) -> dict[str, Any]:
    shape: dict[str, Any] = {"tx_hash": event.txid, "height": event.height}
    if event.fee is not None:
        shape["fee"] = event.fee
    return shape


def _names(hashes: list[bytes]) -> list[str]:
    return [one[::-1].hex() for one in hashes]
