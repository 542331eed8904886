"""Round trips to a node for the balances of many owners in several tokens: with tables, and in plain batches."""

from __future__ import annotations

import time
from typing import Any

from pairing import Measured

from bursar.ethereum.address import Address
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.sandbox.ethereum import EthereumSandbox

TARGET = 10.0
OWNERS, TOKENS = 1_000, 5
TABLES = "balance tables"


class Trips:
    """Counts what a channel sends."""

    def __init__(self, backend: EthRpcBackend) -> None:
        self.count = 0
        channel = backend._link.wire._channel
        post = channel.post

        def counted(*asked: Any, **bounds: Any) -> Any:
            self.count += 1
            return post(*asked, **bounds)

        channel.post = counted  # type: ignore[method-assign]


def rows() -> list[Measured]:
    """One row for each way; the chain id and the block are asked for within it."""
    owners = [Address(number.to_bytes(20, "big")) for number in range(0x10000, 0x10000 + OWNERS)]
    found = []
    with EthereumSandbox() as chain:
        tokens = [Address.from_text(chain.deploy_token().contract) for _ in range(TOKENS)]
        chain.fund_token(str(owners[7]), 77)
        for name, lacking in (("tables", set[str]()), ("batches of JSON-RPC", {TABLES})):
            backend = EthRpcBackend(chain.url, chain_id=chain.chain_id, timeout=300)
            backend._link.lacking |= lacking
            trips = Trips(backend)
            start = time.perf_counter()
            _, balances = backend.balances(owners, tokens)
            seconds = time.perf_counter() - start
            backend.close()
            assert len(balances) == OWNERS * (TOKENS + 1)
            assert balances[owners[7], tokens[0]] == 77
            assert TABLES not in backend._link.lacking or lacking
            title = f"balances of {OWNERS:,} addresses x {TOKENS} tokens, {name}"
            note = f"{seconds:.1f} s, most of it in the node ({chain.engine})"
            found.append(Measured(title, trips.count, trips.count, trips.count, 0, TARGET, note))
    return found
