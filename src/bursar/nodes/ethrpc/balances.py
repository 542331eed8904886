"""Many balances in few round trips: a table made by code that is run and never deployed, else JSON-RPC batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from bursar.errors import ChainUnavailableError, InvalidInputError
from bursar.ethereum.token import encode_balance_of
from bursar.nodes.ethrpc.link import refused, unknown_block
from bursar.nodes.ethrpc.reply import Refusal, garbled, read_data, read_quantity
from bursar.nodes.ethrpc.shapes import MOST_STORED, read_block

if TYPE_CHECKING:
    from bursar.chain.protocols import BlockRef
    from bursar.ethereum.address import Address
    from bursar.nodes.ethrpc.link import Link

MOST_BALANCES = 1_000_000
_LARGEST_CODE = 24_576  # EIP-170: what init code may return
_MOST_VALUES = (_LARGEST_CODE - 32) // 33
_TABLES_AT_ONCE = 50
_NAME = "balance tables"

Wanted = tuple["Address", "Address | None"]
"""An owner, and a token or ether."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What one call asks for."""

    owners: tuple[Address, ...]
    contracts: tuple[Address, ...]

    def init_code(self) -> bytes:
        words = [len(self.owners).to_bytes(32, "big"), len(self.contracts).to_bytes(32, "big")]
        return _code() + b"".join(words) + b"".join(bytes(12) + one.value for one in (*self.owners, *self.contracts))

    def wanted(self) -> Iterator[Wanted]:
        for owner in self.owners:
            yield owner, None
            for contract in self.contracts:
                yield owner, contract

    def read(self, answer: bytes, *, chain_id: int) -> dict[Wanted, int | None] | None:
        """``None`` for an answer that is no such table, as of a node that ran nothing."""
        wanted = tuple(self.wanted())
        if len(answer) != 32 + 33 * len(wanted):
            return None
        if int.from_bytes(answer[:32], "big") != chain_id:
            raise garbled("its contracts run on another chain")
        found: dict[Wanted, int | None] = {}
        for position, one in enumerate(wanted):
            row = answer[32 + 33 * position : 65 + 33 * position]
            if row[0] > 1:
                raise garbled("a table of balances holds a mark that is none")
            found[one] = int.from_bytes(row[1:], "big") if row[0] else None
        return found


@cache
def _code() -> bytes:
    """The init code of ``BalanceTable.yul``, beside this file."""
    compiled = json.loads(resources.files("bursar.nodes.ethrpc").joinpath("BalanceTable.json").read_text("ascii"))
    return bytes.fromhex(compiled["bytecode"][2:])


def ask_balances(
    link: Link, owners: Sequence[Address], contracts: Sequence[Address]
) -> tuple[BlockRef, Mapping[Wanted, int | None]]:
    """The ether and tokens of every owner after the last block; ``None`` where a contract gave no number."""
    owners, contracts = tuple(dict.fromkeys(owners)), tuple(dict.fromkeys(contracts))
    if len(owners) * (len(contracts) + 1) > MOST_BALANCES:
        raise InvalidInputError(f"at most {MOST_BALANCES} balances are asked for at once: ask for fewer")
    reply = link.ask("eth_getBlockByNumber", "latest", False)
    if reply is None:
        raise unknown_block()
    block = read_block(reply)
    found: dict[Wanted, int | None] = {}
    if _NAME not in link.lacking:
        found = _by_tables(link, owners, contracts, block)
    wanted: list[Wanted] = [(owner, token) for owner in owners for token in (None, *contracts)]
    unknown = [one for one in wanted if found.get(one) is None]
    found |= _singly(link, unknown, block)
    again = link.ask("eth_getBlockByNumber", hex(block.height), False)
    if again is None or read_block(again) != block:
        raise ChainUnavailableError("a block was replaced while its balances were read: try again", code="chain.moved")
    return block, {one: found[one] for one in wanted}


def _tables(owners: tuple[Address, ...], contracts: tuple[Address, ...]) -> Iterator[_Table]:
    columns = 200
    for start in range(0, max(len(contracts), 1), columns):
        some = contracts[start : start + columns]
        rows = _MOST_VALUES // (len(some) + 1)
        for first in range(0, len(owners), rows):
            yield _Table(owners[first : first + rows], some)


def _by_tables(
    link: Link, owners: tuple[Address, ...], contracts: tuple[Address, ...], block: BlockRef
) -> dict[Wanted, int | None]:
    tables = list(_tables(owners, contracts))
    calls: list[tuple[str, list[Any]]] = [
        ("eth_call", [{"data": "0x" + one.init_code().hex()}, hex(block.height)]) for one in tables
    ]
    found: dict[Wanted, int | None] = {}
    read = 0
    for table, reply in zip(tables, link.ask_many(calls, at_once=_TABLES_AT_ONCE), strict=True):
        if isinstance(reply, Refusal):
            continue
        rows = table.read(read_data(reply, name="a table of balances"), chain_id=link.chain_id)
        if rows is not None:
            found |= rows
            read += 1
    if tables and not read:
        link.lacking.add(_NAME)
    return found


def _singly(link: Link, wanted: Sequence[Wanted], block: BlockRef) -> dict[Wanted, int | None]:
    height = hex(block.height)
    calls: list[tuple[str, list[Any]]] = []
    for owner, contract in wanted:
        if contract is None:
            calls.append(("eth_getBalance", [str(owner), height]))
        else:
            calls.append(("eth_call", [{"to": str(contract), "data": "0x" + encode_balance_of(owner).hex()}, height]))
    found: dict[Wanted, int | None] = {}
    for one, reply in zip(wanted, link.ask_many(calls) if calls else [], strict=True):
        if one[1] is None:
            if isinstance(reply, Refusal):
                raise refused("eth_getBalance", reply)
            found[one] = read_quantity(reply, name="the balance")
        else:
            answer = b"" if isinstance(reply, Refusal) else read_data(reply, name="the contract's answer")
            found[one] = int.from_bytes(answer[:32], "big") if len(answer) >= 32 else None
    return found


def ask_nonces(link: Link, owners: Sequence[Address]) -> Mapping[Address, int]:
    """The next nonce of each after the last block."""
    owners = tuple(dict.fromkeys(owners))
    calls: list[tuple[str, list[Any]]] = [("eth_getTransactionCount", [str(one), "latest"]) for one in owners]
    counts = link.ask_all(calls) if calls else []
    return {
        owner: read_quantity(count, name="the nonce", most=MOST_STORED)
        for owner, count in zip(owners, counts, strict=True)
    }
