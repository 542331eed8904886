"""Regtest chains to build on: coins anyone may spend, callers of their JSON-RPC, and nodes for clients to talk to."""

from __future__ import annotations

import base64
import datetime
import http.client
import ipaddress
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import SEQUENCE_RBF, OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import (
    BroadcastRejectedError,
)
from bursar.nodes import exact_json
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.dispatch import Dispatcher
from bursar.nodes.sandbox.bitcoin.node import FAUCET, OP_TRUE, BitcoinSandbox


@dataclass
class Workshop:
    """A chain with ripe faucet coins; everything made here is valid unless a test bends it."""

    chain: RegtestChain

    def ripe(self) -> list[OutPoint]:
        """Outpoints of faucet coins that may be spent now, oldest first."""
        index = self.chain.index
        return [
            outpoint
            for outpoint in index.by_script.get(FAUCET, ())
            if index.coins[outpoint].height <= self.chain.height - 99 or not index.coins[outpoint].coinbase
        ]

    def value(self, outpoint: OutPoint) -> int:
        coin = self.chain.coin(outpoint)
        assert coin is not None
        return coin.value

    def tx(
        self,
        coins: Sequence[OutPoint],
        outputs: Sequence[tuple[bytes, int]] = (),
        *,
        fee: int = 1000,
        sequence: int = SEQUENCE_RBF,
        version: int = 2,
        locktime: int = 0,
        witness: tuple[bytes, ...] = (OP_TRUE,),
    ) -> Transaction:
        """Spend faucet coins: ``outputs`` as script and amount, and the rest but ``fee`` back to the faucet."""
        rest = sum(map(self.value, coins)) - sum(amount for _, amount in outputs) - fee
        made = [TxOut(Sats(amount), script) for script, amount in outputs]
        if rest > 0:
            made.append(TxOut(Sats(rest), FAUCET))
        return Transaction(version, [TxIn(coin, b"", sequence, witness) for coin in coins], made, locktime)

    def send(self, coins: Sequence[OutPoint], outputs: Sequence[tuple[bytes, int]] = (), **options: int) -> OutPoint:
        """Such a transaction in the mempool; its last output."""
        tx = self.tx(coins, outputs, **options)  # type: ignore[arg-type]
        return OutPoint(self.chain.submit(tx), len(tx.outputs) - 1)

    def refusal(self, tx: Transaction, *, code: int = -26) -> str:
        """Why the mempool refuses a transaction, after checking that nothing changed."""
        before = list(self.chain.mempool.entries)
        with pytest.raises(BroadcastRejectedError) as caught:
            self.chain.submit(tx)
        assert caught.value.node_code == code
        assert list(self.chain.mempool.entries) == before
        assert caught.value.message.startswith(caught.value.reason)
        return caught.value.reason


class Caller:
    """Calls methods as a client would, body to body."""

    def __init__(self, chain: RegtestChain) -> None:
        self.stop = threading.Event()
        self.dispatcher = Dispatcher(chain, stop=self.stop)

    @classmethod
    def of(cls, chain: RegtestChain) -> Caller:
        """A caller of another chain."""
        return cls(chain)

    def raw(self, body: bytes) -> tuple[int, Any]:
        reply = self.dispatcher.answer(body)
        return (204, None) if reply is None else (reply.status, exact_json.loads(reply.body))

    def __call__(self, method: str, *params: Any, **named: Any) -> Any:
        given = named or list(params)
        body = exact_json.dumps({"id": 1, "method": method, "params": given}).encode()
        status, reply = self.raw(body)
        assert reply["id"] == 1
        assert reply["error"] is None, reply
        assert status == 200
        return reply["result"]

    def error(self, method: str, *params: Any, **named: Any) -> tuple[int, str]:
        body = exact_json.dumps({"id": 1, "method": method, "params": named or list(params)}).encode()
        status, reply = self.raw(body)
        assert reply["result"] is None
        assert status == {-32600: 400, -32601: 404}.get(reply["error"]["code"], 500)
        return reply["error"]["code"], reply["error"]["message"]


@pytest.fixture
def chain() -> Iterator[RegtestChain]:
    """An empty chain."""
    with RegtestChain(None) as made:
        yield made


@pytest.fixture
def workshop(chain: RegtestChain) -> Workshop:
    """A chain with eleven ripe coins."""
    chain.mine(110, FAUCET)
    return Workshop(chain)


@pytest.fixture
def rpc(chain: RegtestChain) -> Caller:
    return Caller(chain)


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    """A chain for tests that ask much and change nothing they look at."""
    with RegtestChain(None) as made:
        yield Caller(made)


class World:
    """The embedded node, and perhaps a bitcoind that is told of every block and transaction of it."""

    def __init__(self, core: Path | None, folder: Path, *options: str) -> None:
        self.sandbox = BitcoinSandbox(None, indexes=bool(options))
        self.sandbox.start()
        self.chain = self.sandbox.chain
        self.process: subprocess.Popen[bytes] | None = None
        self.url, self.cookie = self.sandbox.url, self.sandbox.cookie
        if core is not None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            arguments = ["-regtest", f"-datadir={folder}", f"-rpcport={port}", "-listen=0", "-connect=0", *options]
            self.process = subprocess.Popen([core, *arguments, "-printtoconsole=0"])
            self.url, self.cookie = f"http://127.0.0.1:{port}", folder / "regtest" / ".cookie"
            self._await()
        self.chain.mine(110, FAUCET)
        self.settle()

    def _await(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if self.core("getblockcount") is not None:  # an error while it warms up
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        raise AssertionError("bitcoind did not start")

    def core(self, method: str, *params: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.url.rpartition(":")[2]), timeout=30)
        secret = base64.b64encode(self.cookie.read_bytes()).decode()
        connection.request(
            "POST", "/", json.dumps({"method": method, "params": params}), {"Authorization": f"Basic {secret}"}
        )
        reply = json.loads(connection.getresponse().read())
        connection.close()
        return reply["result"]

    def settle(self) -> None:
        """Bring the bitcoind to where the embedded node is."""
        if self.process is None:
            return
        for connected in self.chain.index.chain[1:]:
            if self.core("getblockheader", connected.block.hash[::-1].hex()) is None:
                self.core("submitblock", connected.block.raw.hex())
        for entry in self.chain.mempool:
            self.core("sendrawtransaction", entry.tx.serialize().hex(), 0)
        assert self.core("getbestblockhash") == self.chain.tip_hash
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if all(index["best_block_height"] == self.chain.height for index in self.core("getindexinfo").values()):
                return
            time.sleep(0.05)

    def mine(self, blocks: int = 1, script: bytes = FAUCET) -> None:
        self.chain.mine(blocks, script)
        self.settle()

    def undo(self, blocks: int) -> None:
        victim = self.chain.index.chain[-blocks].block.hash
        self.chain.invalidate(victim)
        if self.process is not None:
            self.core("invalidateblock", victim[::-1].hex())

    def tx(self, *outputs: tuple[bytes, int], fee: int = 1000, coins: list[OutPoint] | None = None) -> Transaction:
        index = self.chain.index
        if coins is None:
            free = (
                outpoint
                for outpoint in index.by_script[FAUCET]
                if index.coins[outpoint].height < self.chain.height - 99 and not self.chain.mempool.spender(outpoint)
            )
            coins = [next(free)]
        total = sum(found.value for coin in coins if (found := self.chain.coin(coin)))
        paid = [TxOut(Sats(amount), script) for script, amount in outputs]
        paid.append(TxOut(Sats(total - fee - sum(amount for _, amount in outputs)), FAUCET))
        return Transaction(2, [TxIn(coin, b"", 0xFFFFFFFD, (b"\x51",)) for coin in coins], paid)

    def send(self, *outputs: tuple[bytes, int], **options: Any) -> Transaction:
        tx = self.tx(*outputs, **options)
        self.chain.submit(tx)
        self.settle()
        return tx

    def backend(self, **options: Any) -> BitcoindBackend:
        return BitcoindBackend(self.url, network=Network.REGTEST, cookie=self.cookie, **options)

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        self.sandbox.close()


CORE = os.environ.get("BURSAR_BITCOIND")
KINDS = ["embedded", "embedded with indexes", *(["bitcoind", "bitcoind with indexes"] if CORE else [])]


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    options = ("-txindex", "-blockfilterindex") if "indexes" in request.param else ()
    core = Path(CORE) if CORE and not request.param.startswith("embedded") else None
    made = World(core, tmp_path, *options)
    yield made
    made.close()


@pytest.fixture
def backend(world: World) -> Iterator[BitcoindBackend]:
    made = world.backend()
    yield made
    made.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "node.pem"
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*pem) + made.public_bytes(serialization.Encoding.PEM))
    return path
