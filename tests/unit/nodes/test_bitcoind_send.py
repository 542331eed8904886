"""Sending by the Bitcoin Core client, fee rates, networks, credentials and settings (see ``test_bitcoind``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import ChainTransaction, SyncRequest
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    WrongChainError,
)
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.sandbox.bitcoin.node import FAUCET, BitcoinSandbox

ONE, OTHER, EMPTY = p2tr(bytes(range(32))), p2wpkh(bytes(20)), p2wpkh(bytes(range(20)))


def test_broadcast(world, backend: BitcoindBackend) -> None:
    tx = world.tx((ONE, 10_000))
    assert backend.broadcast(tx) == tx.txid
    assert backend.broadcast(tx) == tx.txid  # waiting: fine
    assert backend.transaction(tx.txid) == ChainTransaction(tx, None)
    if tx.txid not in world.chain.mempool.entries:
        world.chain.submit(tx)
    world.mine()
    assert backend.broadcast(tx) == tx.txid  # confirmed: fine


def test_broadcast_of_a_confirmed_and_spent_transaction(world, backend: BitcoindBackend) -> None:
    first = world.send((FAUCET, 10_000))
    world.mine()
    backend.sync(SyncRequest((FAUCET,)))
    world.send(coins=[OutPoint(first.txid, 0), OutPoint(first.txid, 1)])
    world.mine()
    assert backend.broadcast(first) == first.txid


@pytest.mark.parametrize(
    ("bend", "code", "reason"),
    [
        (lambda world: world.tx((ONE, 100)), -26, "dust"),
        (lambda world: world.tx((b"\x51", 10_000)), -26, "scriptpubkey"),
        (lambda world: world.tx(fee=1), -26, "min relay fee not met"),
        (lambda world: world.tx(fee=-1), -26, "bad-txns-in-belowout"),
        (lambda world: Transaction(2, [TxIn(OutPoint(Txid(bytes(31) + b"\1"), 0))], [TxOut(Sats(1000), ONE)]), -25,
         "bad-txns-inputs-missingorspent"),
        (lambda world: Transaction(2, [world.tx().inputs[0]._replace(witness=(b"\x52",))], world.tx().outputs), -26,
         "mandatory-script-verify-flag-failed"),
        (lambda world: Transaction(2, world.tx().inputs, world.tx().outputs, 400), -26, "non-final"),
        (lambda world: world.tx(fee=10**8), -25,
         "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"),
    ],
)  # fmt: skip
def test_broadcast_refused(world, backend: BitcoindBackend, bend: Any, code: int, reason: str) -> None:
    with pytest.raises(BroadcastRejectedError) as caught:
        backend.broadcast(bend(world))
    assert caught.value.node_code == code
    assert caught.value.reason.startswith(reason)
    assert reason in caught.value.message


def test_broadcast_of_a_conflict(world, backend: BitcoindBackend) -> None:
    first = world.send((ONE, 10_000), fee=5_000)
    with pytest.raises(BroadcastRejectedError) as caught:
        backend.broadcast(world.tx((OTHER, 10_000), coins=[first.inputs[0].outpoint], fee=1_000))
    assert (caught.value.node_code, caught.value.reason) == (-26, "insufficient fee")


def test_fees(world, backend: BitcoindBackend) -> None:
    assert backend.min_fee_rate() == FeeRate(1000)
    for target in (-5, 0, 1, 6, 10**6):
        assert backend.fee_rate(target_blocks=target) in (None, FeeRate(1000))


def test_wrong_network(world) -> None:
    for network in (Network.MAIN, Network.SIGNET, Network.TESTNET, Network.TESTNET4):
        other = BitcoindBackend(world.url, network=network, cookie=world.cookie)
        for act in (
            other.check_network,
            lambda other=other: other.sync(SyncRequest((ONE,))),
            lambda other=other: other.broadcast(world.tx()),
        ):
            with pytest.raises(WrongChainError, match="serves regtest"):
                act()
        other.close()


def test_node_that_stops_and_returns(tmp_path: Path) -> None:
    with BitcoinSandbox(tmp_path) as node:
        port = node.server.port
        backend = BitcoindBackend(node.url, network=Network.REGTEST, cookie=node.cookie)
        backend.check_network()
    with pytest.raises(ChainUnavailableError):
        backend.check_network()
    with BitcoinSandbox(tmp_path, port=port):
        assert backend.check_network().height == 0  # a new cookie, a new connection
    backend.close()
    backend.close()


def test_credentials(world) -> None:
    from bursar.crypto.secret import Secret

    user, _, password = world.cookie.read_text().partition(":")
    right = BitcoindBackend(world.url, network=Network.REGTEST, user=user, password=Secret.from_text(password))
    assert right.check_network().height == 110
    right.close()
    for options in ({"user": user, "password": Secret.from_text("wrong")}, {}):
        wrong = BitcoindBackend(world.url, network=Network.REGTEST, **options)
        with pytest.raises(ChainError, match="refuses the credentials") as caught:
            wrong.check_network()
        assert password not in str(caught.value)
        wrong.close()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("127.0.0.1:8332", {}), ("ftp://127.0.0.1", {}), ("http://", {}), ("http://u:p@127.0.0.1", {}),
        ("http://127.0.0.1:99999", {}), ("http://127.0.0.1/?x=1", {}), ("http://127.0.0.1", {"user": "u"}),
        ("http://127.0.0.1", {"user": "u", "password": "p", "cookie": Path("x")}),
    ],
)  # fmt: skip
def test_settings_are_checked(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        BitcoindBackend(url, network=Network.REGTEST, **options)
    assert "u:p" not in str(caught.value)


def test_cookie_file_trouble(tmp_path: Path) -> None:
    missing = BitcoindBackend("http://127.0.0.1:1", network=Network.REGTEST, cookie=tmp_path / "none")
    with pytest.raises(ChainUnavailableError):
        missing.check_network()
    (tmp_path / "cookie").write_text("no colon")
    wrong = BitcoindBackend("http://127.0.0.1:1", network=Network.REGTEST, cookie=tmp_path / "cookie")
    with pytest.raises(ChainError):
        wrong.check_network()
