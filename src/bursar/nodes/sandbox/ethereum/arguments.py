"""Arguments of JSON-RPC methods, read strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bursar.nodes.sandbox.ethereum.chain import Message
from bursar.nodes.sandbox.ethereum.words import RpcError, invalid_params

_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
_TAGS = ("latest", "pending", "earliest", "safe", "finalized")
_FEE_MEMBERS = ("gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")
_CALL_MEMBERS = frozenset(
    (
        "from",
        "to",
        "value",
        "data",
        "input",
        "nonce",
        "chainId",
        "type",
        "accessList",
        "authorizationList",
        "blobVersionedHashes",
        "maxFeePerBlobGas",
        *_FEE_MEMBERS,
    )
)

BlockTag = int | bytes | str
"""A height, a hash, or one of the tags."""


def _at(params: Sequence[Any], position: int) -> Any:
    return params[position] if position < len(params) else None


def quantity_of(value: Any, *, name: str) -> int:
    """A quantity below 2^256; integers are taken too, as anvil does."""
    if type(value) is int and 0 <= value < 1 << 256:
        return value
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise invalid_params(f"invalid argument: {name} is not a quantity such as 0x1")
    return int(value, 16)


def bytes_of(value: Any, *, name: str, size: int | None = None) -> bytes:
    """Bytes, of exactly ``size`` when that is given."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise invalid_params(f"invalid argument: {name} is not 0x and pairs of hexadecimal digits")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise invalid_params(f"invalid argument: {name} has {len(data)} bytes, want {size}")
    return data


def read_quantity(params: Sequence[Any], position: int) -> int:
    """A required quantity."""
    return quantity_of(_at(params, position), name=f"argument {position}")


def read_bytes(params: Sequence[Any], position: int) -> bytes:
    """Required bytes."""
    return bytes_of(_at(params, position), name=f"argument {position}")


def read_address(params: Sequence[Any], position: int) -> bytes:
    """A required 20-byte address, of any case."""
    return bytes_of(_at(params, position), name="the address", size=20)


def read_hash(params: Sequence[Any], position: int, *, short: bool = False) -> bytes:
    """A required 32-byte value; ``short`` also takes a quantity."""
    value = _at(params, position)
    if short and isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16).to_bytes(32, "big")
    return bytes_of(value, name=f"argument {position}", size=32)


def read_bool(params: Sequence[Any], position: int) -> bool:
    """A boolean, false when it is left out."""
    value = _at(params, position)
    if value is not None and type(value) is not bool:
        raise invalid_params(f"invalid argument {position}: want a boolean")
    return bool(value)


def read_block(params: Sequence[Any], position: int) -> BlockTag:
    """A block by tag, height, or the object of EIP-1898; the latest when it is left out."""
    return block_of(_at(params, position))


def block_of(value: Any) -> BlockTag:
    """A block by tag, height, or the object of EIP-1898; the latest when ``None``."""
    if value is None:
        return "latest"
    if isinstance(value, dict):
        if "blockHash" in value:
            return bytes_of(value["blockHash"], name="blockHash", size=32)
        return block_of(value.get("blockNumber"))
    if isinstance(value, str) and value in _TAGS:
        return value
    return quantity_of(value, name="the block number")


def block_or_hash(params: Sequence[Any]) -> BlockTag:
    """The first argument as a block, where its plain hash is taken too."""
    value = _at(params, 0)
    if isinstance(value, str) and len(value) == 66:
        return bytes_of(value, name="the block's hash", size=32)
    return block_of(value)


def read_message(params: Sequence[Any]) -> Message:
    """The call object of eth_call and eth_estimateGas."""
    body = _at(params, 0)
    if not isinstance(body, dict):
        raise invalid_params("invalid argument 0: want a transaction object")
    unknown = [name for name in body if name not in _CALL_MEMBERS]
    if unknown:
        raise invalid_params(f"invalid argument 0: unknown member {unknown[0][:40]!r}")
    texts = [body[name] for name in ("input", "data") if body.get(name) is not None]
    if len(texts) == 2 and texts[0] != texts[1]:
        raise invalid_params('both "data" and "input" are set and not equal')
    gas = body.get("gas")
    return Message(
        sender=bytes_of(body.get("from") or "0x" + "00" * 20, name="from", size=20),
        to=None if body.get("to") is None else bytes_of(body["to"], name="to", size=20),
        data=bytes_of(texts[0], name="input") if texts else b"",
        value=quantity_of(body.get("value") or "0x0", name="value"),
        gas=None if gas is None else quantity_of(gas, name="gas"),
        authorizations=tuple(map(_authorization, body.get("authorizationList") or [])),
        access_list=tuple(map(_entry, body.get("accessList") or [])),
        blob_hashes=tuple(bytes_of(one, name="a hash", size=32) for one in body.get("blobVersionedHashes") or []),
    )


def _entry(value: Any) -> tuple[bytes, tuple[int, ...]]:
    if not isinstance(value, dict):
        raise invalid_params("invalid argument 0: an entry of an access list is an object")
    keys = (bytes_of(one, name="a storage key", size=32) for one in value.get("storageKeys") or [])
    return bytes_of(value.get("address"), name="address", size=20), tuple(int.from_bytes(one, "big") for one in keys)


def _authorization(value: Any) -> tuple[int, bytes, int, int, int, int]:
    if not isinstance(value, dict):
        raise invalid_params("invalid argument 0: an authorization is an object")
    chain_id, nonce, parity, r, s = (
        quantity_of(value.get(name), name=name) for name in ("chainId", "nonce", "yParity", "r", "s")
    )
    return chain_id, bytes_of(value.get("address"), name="address", size=20), nonce, parity, r, s


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs are wanted: from where, of whom, and with which topics (``None`` at a position: any)."""

    first: BlockTag
    last: BlockTag
    block_hash: bytes | None
    addresses: frozenset[str]
    topics: tuple[frozenset[str] | None, ...]

    def matches(self, log: dict[str, Any]) -> bool:
        """Whether a log as JSON-RPC writes it passes."""
        if self.addresses and log["address"] not in self.addresses:
            return False
        topics = log["topics"]
        if len(topics) < len(self.topics):
            return False
        return all(wanted is None or topic in wanted for wanted, topic in zip(self.topics, topics, strict=False))


def read_filter(params: Sequence[Any]) -> LogFilter:
    """The filter object of eth_getLogs."""
    body = _at(params, 0)
    if not isinstance(body, dict):
        raise invalid_params("invalid argument 0: want a filter object")
    addresses = body.get("address") or []
    if isinstance(addresses, str):
        addresses = [addresses]
    topics = body.get("topics") or []
    if not isinstance(addresses, list) or not isinstance(topics, list) or len(topics) > 4:
        raise invalid_params("invalid argument 0: address or topics cannot be read")
    block_hash = body.get("blockHash")
    if block_hash is not None and ("fromBlock" in body or "toBlock" in body):
        raise invalid_params("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
    return LogFilter(
        first=block_of(body.get("fromBlock")),
        last=block_of(body.get("toBlock")),
        block_hash=None if block_hash is None else bytes_of(block_hash, name="blockHash", size=32),
        addresses=frozenset("0x" + bytes_of(one, name="address", size=20).hex() for one in addresses),
        topics=tuple(_topic(one) for one in topics),
    )


def _topic(value: Any) -> frozenset[str] | None:
    if value is None:
        return None
    choices = value if isinstance(value, list) else [value]
    return frozenset("0x" + bytes_of(one, name="a topic", size=32).hex() for one in choices) or None


def read_tracer(params: Sequence[Any], position: int) -> bool:
    """Whether logs are wanted of the one tracer there is, ``callTracer``."""
    body = _at(params, position)
    if not isinstance(body, dict) or body.get("tracer") != "callTracer":
        raise RpcError("tracer not found: this node has callTracer")
    options = body.get("tracerConfig") or {}
    if not isinstance(options, dict):
        raise invalid_params(f"invalid argument {position}: tracerConfig is an object")
    return options.get("withLog") is True


def read_percentiles(params: Sequence[Any], position: int) -> list[float]:
    """Rising percentiles from 0 to 100."""
    values = _at(params, position) or []
    if not isinstance(values, list) or len(values) > 100:
        raise invalid_params("invalid argument 2: want at most 100 percentiles")
    if any(type(one) not in (int, float) or not 0 <= one <= 100 for one in values) or values != sorted(values):
        raise invalid_params("invalid reward percentile")
    return [float(one) for one in values]


def at_most(paid: Sequence[tuple[int, int]], percentile: float) -> int:
    """The tip at a percentile of gas, from (tip, gas used) in rising order; 0 for an empty block."""
    threshold = sum(gas for _, gas in paid) * percentile / 100
    total = 0
    for tip, gas in paid:
        total += gas
        if total >= threshold:
            return tip
    return 0
