"""Attacks on the Ethereum half of the wallet and its nodes: liars, hostile tokens, races, chains that flap."""

from __future__ import annotations

import http.client
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.remote.channel import HttpChannel as SignerChannel
from bursar.backends.remote.places import RemotePlace
from bursar.errors import (
    BursarError,
    ChainError,
    ConflictError,
    InvalidInputError,
    SignerMisbehavedError,
    StoreError,
)
from bursar.ethereum.address import Address
from bursar.nodes.ethrpc import EthRpcBackend, QuorumBackend
from bursar.nodes.ethrpc.wire import Wire
from bursar.nodes.http_channel import HttpChannel, Place, TooLongError

_PLACE = Path(__file__).resolve().parents[1] / "unit" / "wallet" / "deposits" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("bursar_attack_deposits", _PLACE)
assert _SPEC is not None
assert _SPEC.loader is not None
_fixtures = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _fixtures
_SPEC.loader.exec_module(_fixtures)
watched, names = _fixtures.watched, _fixtures.names
_wallets: Any = sys.modules["bursar_safety_wallets"]
rich, ethereum, signer = _wallets.rich, _wallets.ethereum, _wallets.signer

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ETHER = 10**18
TST = 10**6
MB = 1 << 20


# the wire: an answer without an end, numbers without a size


class Flood:
    """Answers with one chunk of a claimed length, and then with as much as is taken."""

    def __init__(self, size: bytes) -> None:
        self._head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"
        self.sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(self._head)
                    for _ in range(200):
                        self.sent += connection.send(b" " * MB)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(params=[b"-1", b"-5"])
def flood(request: Any) -> Iterator[Flood]:
    running = Flood(request.param)
    yield running
    running.close()


def test_a_chunk_of_negative_length_is_not_read_to_its_end_by_the_client_of_nodes(flood: Flood) -> None:
    wire = Wire(f"http://127.0.0.1:{flood.port}", timeout=20)
    for ask in (lambda: wire.ask("eth_chainId", []), lambda: wire.ask_many([("eth_chainId", [])])):
        flood.sent = 0
        with pytest.raises(ChainError):
            ask()
        wire.close()
        assert flood.sent < 120 * MB


def test_nor_by_the_one_of_servers(flood: Flood) -> None:
    channel = HttpChannel(Place("127.0.0.1", flood.port, "/", tls=False), max_reply=MB)
    with pytest.raises((TooLongError, http.client.HTTPException)):
        channel.exchange("POST", "/", b"{}", {}, deadline=time.monotonic() + 20)
    channel.close()
    assert flood.sent < 20 * MB


def test_nor_by_the_one_of_remote_signers(flood: Flood) -> None:
    place = RemotePlace(kind="web3signer", address=Address(b"\x01" * 20), url=f"http://127.0.0.1:{flood.port}")
    with pytest.raises(BursarError) as caught:
        SignerChannel(place).ask("POST", "/", b"{}", seconds=20)
    assert isinstance(caught.value, SignerMisbehavedError) or caught.value.retryable
    assert flood.sent < 40 * MB


class Says:
    """A node's wire that answers from a table."""

    name = "liar.example"

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"eth_chainId": "0x1", **answers}

    def ask(self, method: str, params: list[Any]) -> Any:
        answer = self.answers[method]
        return answer(params) if callable(answer) else answer

    def ask_many(self, calls: Any, **bounds: int) -> list[Any]:
        return [self.ask(*one) for one in calls]

    def close(self) -> None: ...


def node_that(**answers: Any) -> EthRpcBackend:
    backend = EthRpcBackend("http://127.0.0.1:1", chain_id=1)
    backend._link.wire = Says(**answers)  # type: ignore[assignment]
    return backend


def test_what_no_store_can_hold_and_no_calendar_shows_is_no_answer() -> None:
    block = {"number": "0x5", "hash": "0x" + "bb" * 32, "timestamp": "0x6553f100"}
    for lie in ({"number": hex(2**63)}, {"timestamp": hex(2**63)}, {"timestamp": hex(253_402_300_800)}):
        with pytest.raises(ChainError) as caught:
            node_that(eth_getBlockByNumber={**block, **lie}).check_chain()
        assert caught.value.code == "chain.reply"
    liar = node_that(eth_getTransactionCount=hex(2**63))
    for ask in (lambda: liar.nonce(Address(b"\x01" * 20)), lambda: liar.nonces([Address(b"\x01" * 20)])):
        with pytest.raises(ChainError):
            ask()


def test_a_source_of_another_kind_that_says_them_gets_a_typed_error(rich: SimpleNamespace) -> None:
    account = _wallets.ethereum_account(words="zoo " * 11 + "wrong")
    rich.node.nonce = lambda address, *, pending=False: (2**64 - 2) * (address == account.address(0))
    rich.wallet.add_account("other", account, signer="test")
    with pytest.raises(StoreError, match="large"):
        rich.wallet.sync("other", rich.node)


# a node to which every address is used


def test_a_node_that_calls_every_address_used_does_not_keep_a_sync_for_ever(
    watched: Any, rich: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bursar.wallet import ethereum_deposits_sync, ethereum_sync

    monkeypatch.setattr(ethereum_sync, "MOST_FOUND", 60)
    monkeypatch.setattr(ethereum_deposits_sync, "MOST_FOUND", 60)
    other = _wallets.ethereum_account(words="zoo " * 11 + "wrong")
    rich.node.nonce = lambda address, *, pending=False: 1
    rich.wallet.add_account("other", other, signer="test")
    assert rich.wallet.sync("other", rich.node).addresses < 120
    watched.node.nonces = lambda owners: dict.fromkeys(owners, 1)
    assert watched.sync().addresses < 120


# hostile tokens: a sync goes on, and credits what is ours


def crowd(node: Any, height: int) -> Callable[..., Any]:
    """The node's ``logs``, which gives none of all contracts where block ``height`` is in the range."""
    honest = node.logs

    def logs(*, addresses: Any, topics: Any, from_block: int, to_block: int) -> Any:
        if from_block <= height <= to_block and not addresses:
            raise ChainError("too many logs", code="chain.too-many")
        found = honest(addresses=addresses, topics=topics, from_block=from_block, to_block=to_block)
        return tuple(one for one in found if not addresses or one.address in addresses)

    return logs


def test_a_block_full_of_events_of_a_stranger_does_not_hide_deposits(watched: Any, names: SimpleNamespace) -> None:
    node, spam = watched.node, Address(b"\x55" * 20)
    node.mine(3)
    node.send_token(watched.ours[0], 10**9, contract=spam)
    node.send_token(watched.ours[0], 5 * TST)
    crowded = node.mine().height
    node.send_token(watched.ours[1], 7 * TST)
    node.mine(6)
    node.logs = crowd(node, crowded)
    report = watched.sync()
    assert [text for text in report.alarms if f"block {crowded} holds more events" in text]
    assert sorted(watched.rows()) == [("token", "confirmed", 5 * TST), ("token", "confirmed", 7 * TST)]
    assert watched.sync().alarms == ()


def test_a_block_with_too_many_events_of_a_registered_token_is_left_unexplained(
    watched: Any, names: SimpleNamespace
) -> None:
    node = watched.node
    node.send_token(watched.ours[0], 5 * TST)
    node.mine(4)

    def logs(**more: Any) -> Any:
        raise ChainError("too many logs", code="chain.too-many")

    node.logs = logs
    report = watched.sync()
    assert report.unexplained == 1
    assert watched.held()["TST"] == 5 * TST


def test_a_receipt_or_a_trace_that_cannot_be_read_costs_its_explanation_only(
    watched: Any, names: SimpleNamespace
) -> None:
    node = watched.node
    bad = node.send_token(watched.ours[0], 5 * TST)
    good = node.send_token(watched.ours[1], 7 * TST)
    for _ in range(5):
        node.pay(watched.ours[2], names.ETHER)
    node.pay_inside(watched.ours[3], 3)
    node.mine(4)
    unreadable = ChainError("the node's answer cannot be trusted: it is longer than 1 bytes", code="chain.reply")
    honest = node.receipt

    def receipt(tx_hash: str) -> Any:
        if tx_hash == bad.hash:
            raise unreadable
        return honest(tx_hash)

    def refuse(block: Any) -> Any:
        raise unreadable

    node.receipt, node.block_receipts, node.internal_transfers = receipt, refuse, refuse
    report = watched.sync()
    assert any(bad.hash in text for text in report.alarms)
    assert any("what contracts paid" in text for text in report.alarms)
    assert watched.held() == {"ETH": 5 * names.ETHER + 3, "TST": 12 * TST}
    assert [one.txid for one in watched.wallet.deposits("eth") if one.kind == "token"] == [good.hash]
    node.mine(4)
    watched.sync()
    assert watched.credited() == {"ETH": 5 * names.ETHER + 3, "TST": 12 * TST}
    node.receipt = honest
    watched.wallet.rescan_deposits("eth", since=2)
    watched.sync()
    node.mine(4)
    watched.sync()
    assert watched.credited() == {"ETH": 5 * names.ETHER + 3, "TST": 12 * TST}


def test_a_receipt_of_many_thousand_events_beside_ours_is_read() -> None:
    block = {"number": "0x5", "hash": "0x" + "bb" * 32, "timestamp": "0x6553f100"}
    tx_hash = "0x" + "cc" * 32
    place = {"blockHash": block["hash"], "blockNumber": "0x5", "transactionHash": tx_hash}
    logs = [{**place, "address": PAYEE, "topics": [], "data": "0x", "logIndex": hex(n)} for n in range(12_000)]
    prices = {"status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": logs}
    node = node_that(eth_getTransactionReceipt={**place, **prices}, eth_getBlockByHash=block)
    found = node.receipt(tx_hash)
    assert found is not None
    assert len(found.logs) == 12_000


def test_many_unregistered_contracts_fill_no_store(
    watched: Any, names: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.wallet.ethereum_deposits_scan.FOREIGN_IN_ALL", 30)
    for number in range(80):
        watched.node.send_token(watched.ours[0], 2**255, contract=Address(number.to_bytes(20, "little")))
    watched.node.send_token(watched.ours[0], TST)
    watched.node.mine()
    assert watched.sync().ignored == 50
    assert len(watched.wallet.deposits("eth", hidden=True)) == 31
    assert watched.rows() == [("token", "seen", TST)]


def test_several_providers_that_cannot_read_the_same_say_so_with_one_code(watched: Any) -> None:
    def logs(**more: Any) -> Any:
        raise ChainError("too many logs", code="chain.too-many")

    watched.node.logs = logs
    quorum = QuorumBackend({"a": watched.node, "b": watched.node, "c": watched.node}, need=2)
    with pytest.raises(ChainError) as caught:
        quorum.logs(addresses=(), topics=(), from_block=0, to_block=1)
    assert caught.value.code == "chain.too-many"


# races: what is signed, sent and mined while a sync is looking


@pytest.mark.parametrize("by_blocks", [True, False])
def test_a_payment_made_and_mined_while_a_sync_begins_is_no_deposit_later(
    watched: Any, names: SimpleNamespace, policy: Any, signer: Any, by_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bursar.wallet.transfer import PaymentOrder, Transfer

    node, wallet = watched.node, watched.wallet
    if not by_blocks:
        monkeypatch.setattr("bursar.wallet.ethereum_sync.reads_blocks", lambda backend: False)
    node.pay(watched.ours[0], 10 * names.ETHER)
    node.mine(4)
    watched.sync()
    before = len(wallet.deposits("eth"))
    order = PaymentOrder(PAYEE, names.ETHER, "ETH")
    approved = wallet.approve(wallet.plan(Transfer("eth", (order,)), node), policy)
    first = "balances" if by_blocks else "check_chain"
    seen: list[str] = []

    def quick(name: str) -> None:
        if name == "check_chain" and not by_blocks and not seen:
            seen.append(name)  # of the check that the node is the account's
            return
        if name != first:
            return
        node.before = lambda name: None
        wallet.send(wallet.sign(approved, signer=signer, policy=policy), node)
        node.mine()

    node.before = quick
    for _ in range(3):
        watched.sync()
        node.mine(3)
    assert wallet.transfer(approved.plan.id).state == "confirmed"
    assert len(wallet.deposits("eth")) == before, wallet.deposits("eth")


# cancelled is cancelled


def _pay(rich: SimpleNamespace, policy: Any, signer: Any) -> Any:
    from bursar.wallet.transfer import PaymentOrder, Transfer

    plan = rich.wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, ETHER, "ETH"),)), rich.node)
    return rich.wallet.sign(rich.wallet.approve(plan, policy), signer=signer)


def _cancelled(rich: SimpleNamespace, policy: Any, signer: Any, target: str) -> Any:
    from bursar.wallet.transfer import FeeChoice

    plan = rich.wallet.bump(target, rich.node, fee=FeeChoice(), cancel=True)
    return rich.wallet.sign(rich.wallet.approve(plan, policy), signer=signer)


def test_recover_does_not_send_the_payment_before_its_signed_cancellation(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    payment = _pay(rich, policy, signer)
    cancellation = _cancelled(rich, policy, signer, payment.id)
    broadcast, sent = rich.node.broadcast, []
    rich.node.broadcast = lambda raw: (sent.append(raw), broadcast(raw), rich.node.mine())[1]  # mined at once
    rich.wallet.recover(rich.node)
    assert sent == [cancellation.raw]
    rich.wallet.sync("eth", rich.node)
    assert rich.wallet.transfer(payment.id).state == "replaced"
    assert rich.wallet.transfer(cancellation.id).state == "confirmed"


def test_a_node_that_missed_the_cancellation_does_not_bring_the_payment_back(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    payment = _pay(rich, policy, signer)
    rich.wallet.send(payment, rich.node)
    cancellation = _cancelled(rich, policy, signer, payment.id)
    rich.wallet.send(cancellation, rich.node)
    pool = dict(rich.node.pool)
    rich.node.pool = {payment.txid: payment.raw}  # of another node, where the first is still waiting
    rich.wallet.sync("eth", rich.node)
    rich.node.pool = {}  # and that restarts
    rich.node.broadcasts.clear()
    rich.wallet.recover(rich.node)
    assert rich.node.broadcasts == [cancellation.raw], pool


# one of several providers lies about the last block


def test_the_last_block_of_a_quorum_is_none_that_one_provider_made_up(watched: Any, names: SimpleNamespace) -> None:
    honest, liar = watched.node, names.Chain()
    honest.mine(5)
    true = honest.tip
    lie = names.replace(true, hash="0x" + "66" * 32, time=true.time + 10**9)
    liar.check_chain = lambda: lie
    liar.block_at = lambda height: lie
    for order in ("abc", "bac", "bca"):
        providers = {name: liar if name == "b" else honest for name in order}
        assert QuorumBackend(providers, need=2).check_chain() == true
    behind = names.Chain()
    behind.check_chain = lambda: honest.blocks[-2].ref
    behind.block_at = lambda height: honest.block_at(height) if height < honest.tip.height else None
    for order in ("abc", "bac", "bca"):
        providers = {"a": honest, "b": liar, "c": behind}
        quorum = QuorumBackend({name: providers[name] for name in order}, need=2)
        assert quorum.check_chain() == honest.blocks[-2].ref
    assert QuorumBackend({"a": honest, "c": behind}, need=2).check_chain() == honest.blocks[-2].ref


# a false height does not stop an account for good


def test_after_a_lie_about_the_height_an_operator_can_go_on(watched: Any, names: SimpleNamespace) -> None:
    node = watched.node
    honest = node.balances
    far = names.replace(node.tip, height=5_000, hash="0x" + "66" * 32)
    node.balances = lambda owners, contracts: (far, honest(owners, contracts)[1])
    blocks = node.block_at
    node.block_at = lambda height: far if height == far.height else names.replace(node.tip, height=height)
    logs = node.logs
    node.logs = lambda **more: ()
    watched.sync()
    node.balances, node.block_at, node.logs = honest, blocks, logs
    node.pay(watched.ours[0], names.ETHER)
    node.mine(4)
    with pytest.raises(ChainError) as caught:
        watched.sync()
    assert caught.value.code == "chain.behind"
    watched.wallet.rescan_deposits("eth", since=1)
    watched.sync()
    assert watched.credited() == {"ETH": names.ETHER}
    assert watched.sync().unexplained == 0


# keys of idempotency and numbers of operators


def test_a_key_of_one_gap_does_not_stand_for_a_gap_of_another_sender(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    first = _pay(rich, policy, signer)
    waiting = _pay(rich, policy, signer)
    rich.wallet.send(waiting, rich.node)
    sender = str(_wallets.ethereum_account().address(0))
    assert rich.wallet.transfer(first.id).state == "signed"
    plan = rich.wallet.fill_gap("eth", 0, rich.node, sender=sender, idempotency_key="gap")
    assert rich.wallet.fill_gap("eth", 0, rich.node, sender=sender, idempotency_key="gap") == plan
    with pytest.raises(ConflictError):
        rich.wallet.fill_gap("eth", 0, rich.node, sender=PAYEE, idempotency_key="gap")


@pytest.mark.parametrize("count", [-5, 2**63, 2**70, True, 1.5])
def test_a_count_that_is_none_is_not_believed_even_an_operator(rich: SimpleNamespace, count: Any) -> None:
    with pytest.raises(InvalidInputError):
        rich.wallet.accept_nonce("eth", str(_wallets.ethereum_account().address(0)), count)
    with pytest.raises(InvalidInputError):
        rich.wallet.fill_gap("eth", count, rich.node, sender=str(_wallets.ethereum_account().address(0)))
