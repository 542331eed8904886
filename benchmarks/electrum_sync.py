"""Sync of a wallet against a local Electrum server, over that server's own time for the same questions."""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from statistics import median

from pairing import ROUNDS, Measured

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import SyncRequest
from bursar.nodes.electrum import ElectrumBackend
from bursar.nodes.electrum.wire import Wire

TARGET = 2.0
PER_BLOCK = 2000
COIN = 10_000


def scripts(used: int) -> tuple[bytes, ...]:
    return tuple(p2wpkh(number.to_bytes(20, "big")) for number in range(1, used + 1))


def serve(used: int) -> None:
    """A chain on which ``used`` scripts were paid, each by its own transaction, behind a server, until stdin ends."""
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
    from bursar.nodes.sandbox.bitcoin.node import FAUCET, OP_TRUE
    from bursar.nodes.sandbox.electrum import ElectrumServer

    wanted = scripts(used)
    with RegtestChain(None) as chain:
        chain.mine(101 + used // PER_BLOCK, FAUCET)
        ripe = list(chain.index.by_script[FAUCET])
        for number, start in enumerate(range(0, used, PER_BLOCK)):
            part = wanted[start : start + PER_BLOCK]
            source = ripe[number]
            rest = chain.index.coins[source].value - len(part) * COIN
            outputs = [TxOut(Sats(COIN), FAUCET) for _ in part]
            fan = Transaction(2, [TxIn(source, b"", 0, (OP_TRUE,))], [*outputs, TxOut(Sats(rest), FAUCET)])
            pays = [
                Transaction(2, [TxIn(OutPoint(fan.txid, at), b"", 0, (OP_TRUE,))], [TxOut(Sats(COIN), script)])
                for at, script in enumerate(part)
            ]
            chain.mine(1, FAUCET, transactions=[fan, *pays])
        server = ElectrumServer(chain)
        print(server.port, flush=True)
        sys.stdin.read()
        server.close()


@contextlib.contextmanager
def server(used: int) -> Iterator[int]:
    """The port of such a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


def replay(port: int, sent: bytes) -> float:
    """The seconds until the server has answered these lines; the answers are counted and thrown away."""
    due = sent.count(b"\n")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.perf_counter()
        writer = threading.Thread(target=connection.sendall, args=(sent,))
        writer.start()
        while due > 0:
            due -= connection.recv(1 << 18).count(b"\n")
        taken = time.perf_counter() - start
        writer.join()
    return taken


def sync(port: int, wanted: tuple[bytes, ...]) -> tuple[float, ElectrumBackend]:
    """The seconds of a first sync, everything proven."""
    backend = ElectrumBackend(f"tcp://127.0.0.1:{port}", network=Network.REGTEST)
    start = time.perf_counter()
    update = backend.sync(SyncRequest(wanted))
    taken = time.perf_counter() - start
    assert len(update.coins) == len(wanted)
    return taken, backend


def recorded(port: int, wanted: tuple[bytes, ...]) -> bytes:
    """Every byte a first sync sends."""
    sent: list[bytes] = []
    honest = Wire.send

    def send(wire: Wire, data: bytes) -> None:
        sent.append(bytes(data))
        honest(wire, data)

    Wire.send = send  # type: ignore[assignment, method-assign]
    try:
        sync(port, wanted)[1].close()
    finally:
        Wire.send = honest  # type: ignore[method-assign]
    return b"".join(sent)


def row(used: int, rounds: int) -> Measured:
    wanted = scripts(used)
    with server(used) as port:
        sent = recorded(port, wanted)
        ratios, floors, again = [], [], []
        for _ in range(rounds):
            before = replay(port, sent)
            taken, backend = sync(port, wanted)
            after = replay(port, sent)
            start = time.perf_counter()
            backend.sync(SyncRequest(wanted, backend.check_network()))
            again.append(time.perf_counter() - start)
            backend.close()
            ratios.append(taken * 2 / (before + after))
            floors.append((before + after) / 2)
    note = f"server {median(floors):.2f} s, {sent.count(b'{'):,} questions; a second sync {median(again) * 1000:.0f} ms"
    name = f"sync of {used:,} used addresses, proven, over the server's answers"
    target = TARGET if used <= 1000 else None
    return Measured(name, median(ratios), min(ratios), max(ratios), median(floors) / used * 1e9, target, note)


def rows(rounds: int) -> list[Measured]:
    """The row of the benchmark."""
    return [row(1000, rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--used", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        return serve(options.serve)
    one = row(options.used, options.rounds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{one.name}: {one.ratio:.2f} ({one.low:.2f}-{one.high:.2f}); {one.note}; {memory} MB, {os.cpu_count()} cores"
    )
    return None


if __name__ == "__main__":
    main()
