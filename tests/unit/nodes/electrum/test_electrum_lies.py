"""The client against a server that lies about the chain: nothing unproven is believed, nothing foreign is raised."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import SyncRequest
from bursar.crypto.hashes import sha256, sha256d
from bursar.errors import ChainError, ChainUnavailableError, WrongChainError
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.electrum.methods import FaultError

from .conftest import SCRIPTS, HangUp, Liar, Raw, World, backend_at, balance

if TYPE_CHECKING:
    from bursar.nodes.electrum import ElectrumBackend

ALL = SyncRequest(SCRIPTS)
GET, MERKLE = "blockchain.transaction.get", "blockchain.transaction.get_merkle"
STATUS, HISTORY = "blockchain.scripthash.subscribe", "blockchain.scripthash.get_history"
TIP, HEADER, HEADERS = "blockchain.headers.subscribe", "blockchain.block.header", "blockchain.block.headers"


def name(script: bytes) -> str:
    return sha256(script)[::-1].hex()


def status(history: list[dict[str, Any]]) -> str:
    return sha256("".join(f"{item['tx_hash']}:{item['height']}:" for item in history).encode()).hex()


def lie_about(wanted: str, change: Callable[[list[Any], Any], Any]) -> Callable[[str, list[Any], Any], Any]:
    """Change the results of one method."""
    return lambda method, params, result: change(params, result) if method == wanted else result


def refused(backend: ElectrumBackend, request: SyncRequest = ALL) -> ChainError:
    with pytest.raises(ChainError) as caught:
        backend.sync(request)
    return caught.value


class Storyteller:
    """Invents a history for one script, statuses included, and answers for the transactions in it."""

    def __init__(self, liar: Liar, script: bytes, history: list[dict[str, Any]]) -> None:
        self.liar, self.script, self.history = liar, script, history
        self.known: dict[str, str] = {}
        self.proof: Any = None
        liar.tamper = self

    def __call__(self, method: str, params: list[Any], result: Any) -> Any:
        if params and params[0] == name(self.script):
            return {STATUS: status(self.history), HISTORY: self.history}.get(method, result)
        if method == MERKLE and self.proof is not None and params[0] == self.history[-1]["tx_hash"]:
            return self.proof
        return result


def answer_for(liar: Liar, tx: Transaction) -> None:
    """Have the server know a transaction that the chain does not."""
    honest = liar.honest

    def known(method: str, params: list[Any]) -> Any:
        if method == GET and params[0] == str(tx.txid):
            return tx.serialize().hex()
        if method == MERKLE and params[0] == str(tx.txid):
            first = liar.answers.chain.index.chain[params[1]].block.transactions[0]
            return honest(MERKLE, [str(first.txid), params[1]])
        return honest(method, params)

    liar.honest = known  # type: ignore[method-assign]


def fortune(script: bytes = SCRIPTS[0]) -> Transaction:
    return Transaction(2, [TxIn(OutPoint(Txid(b"\x01" * 32), 0), b"\x51")], [TxOut(Sats(21_000_000 * 10**8), script)])


def test_the_truth_comes_through(client: ElectrumBackend, still: World) -> None:
    update = client.sync(ALL)
    assert balance(update) == 200_000
    assert [item.block for item in update.transactions].count(None) == 1


def test_a_confirmed_balance_out_of_nothing(client: ElectrumBackend, liar: Liar) -> None:
    tx = fortune()
    answer_for(liar, tx)
    told = Storyteller(liar, SCRIPTS[0], [{"tx_hash": str(tx.txid), "height": 100}])
    for proof in (
        None,  # the branch of the coinbase
        {"block_height": 100, "merkle": [], "pos": 0},
        {"block_height": 100, "merkle": [], "pos": 1},
        {"block_height": 100, "merkle": ["00" * 32] * 15, "pos": 5},
        {"block_height": 100, "merkle": ["00" * 32] * 16, "pos": 5},
        {"block_height": 100, "merkle": ["00" * 32], "pos": 1 << 29},
    ):
        told.proof = proof
        error = refused(client)
        assert error.code == "chain.proof"
        assert not error.retryable
    # the same as a mere rumour shows as unconfirmed, and is no coin
    told.history = [{"tx_hash": str(tx.txid), "height": 0, "fee": 5}]
    update = client.sync(ALL)
    assert SCRIPTS[0] not in {coin.output.script for coin in update.coins}
    assert {item.block for item in update.transactions if item.tx == tx} == {None}


def test_a_waiting_payment_called_confirmed(client: ElectrumBackend, liar: Liar, still: World) -> None:
    (entry,) = still.chain.mempool
    told = Storyteller(liar, SCRIPTS[3], [{"tx_hash": str(entry.txid), "height": 111}])
    error = refused(client)
    assert isinstance(error, ChainUnavailableError)  # the honest half says it is not in that block
    answer_for(liar, entry.tx)
    told.proof = {"block_height": 111, "merkle": ["11" * 32], "pos": 1}
    assert refused(client).code == "chain.proof"


@pytest.mark.parametrize(
    "change",
    [
        lambda params, reply: {**reply, "pos": reply["pos"] ^ 1},
        lambda params, reply: {**reply, "merkle": [*reply["merkle"], "00" * 32]},
        lambda params, reply: {**reply, "merkle": reply["merkle"][1:]},
        lambda params, reply: {**reply, "merkle": ["00" * 32 for _ in reply["merkle"]]},
    ],
)
def test_false_branches(client: ElectrumBackend, liar: Liar, change: Any) -> None:
    liar.tamper = lie_about(MERKLE, change)
    assert refused(client).code == "chain.proof"


def test_another_transactions_bytes(client: ElectrumBackend, liar: Liar, still: World) -> None:
    other = still.chain.index.chain[5].block.transactions[0].serialize().hex()
    liar.tamper = lie_about(GET, lambda params, reply: other)
    error = refused(client)
    assert error.code == "chain.proof"
    assert "was asked for" in error.message
    with pytest.raises(ChainError, match="was asked for"):
        client.transaction(still.chain.index.chain[9].block.transactions[0].txid)


def test_another_amount(client: ElectrumBackend, liar: Liar) -> None:
    def richer(params: list[Any], reply: str) -> str:
        tx = Transaction.parse(bytes.fromhex(reply))
        outputs = [TxOut(Sats(output.value + 1), output.script) for output in tx.outputs]
        return Transaction(tx.version, tx.inputs, outputs, tx.locktime).serialize().hex()

    liar.tamper = lie_about(GET, richer)
    assert refused(client).code == "chain.proof"


def test_a_transaction_that_does_not_concern_the_script(client: ElectrumBackend, liar: Liar, still: World) -> None:
    theirs = still.chain.index.chain[50].block.transactions[0]
    Storyteller(liar, SCRIPTS[0], [{"tx_hash": str(theirs.txid), "height": 50}])
    error = refused(client)
    assert error.code == "chain.reply"
    assert "does not concern" in error.message


def test_a_transaction_hidden_from_one_of_two_scripts(client: ElectrumBackend, liar: Liar) -> None:
    """Leaving out cannot be seen in general; it can where another history brings it to light."""
    liar.tamper = lambda method, params, result: None if method == STATUS and params[0] == name(SCRIPTS[0]) else result
    assert balance(client.sync(ALL)) == 150_000
    error = refused(client, SyncRequest((*SCRIPTS, FAUCET)))
    assert "missing from the history" in error.message


def test_histories_that_contradict_each_other(client: ElectrumBackend, liar: Liar, still: World) -> None:
    index = still.chain.index
    (paid,) = (tx for tx in index.chain[111].block.transactions[1:])
    history = [{"tx_hash": str(paid.txid), "height": 0}]
    Storyteller(liar, SCRIPTS[0], history)
    assert "one height in one history" in refused(client, SyncRequest((SCRIPTS[0], FAUCET))).message


@pytest.mark.parametrize(
    "change",
    [
        lambda history: history + history,
        lambda history: [{**history[0], "height": -2}],
        lambda history: [{**history[0], "height": True}],
        lambda history: [{**history[0], "height": 1.0}],
        lambda history: [{**history[0], "height": 1 << 40}],
        lambda history: [{**history[0], "tx_hash": "00"}],
        lambda history: [{**history[0], "tx_hash": "zz" * 32}],
        lambda history: [{"height": 5}],
        lambda history: ["x"],
        lambda history: {"x": 1},
        lambda history: None,
        lambda history: "[" * 40,
    ],
)
def test_histories_that_are_none(client: ElectrumBackend, liar: Liar, change: Any) -> None:
    liar.tamper = lie_about(HISTORY, lambda params, reply: change(reply))
    assert refused(client).code == "chain.reply"


def test_histories_that_do_not_fit_their_status(client: ElectrumBackend, liar: Liar) -> None:
    liar.tamper = lie_about(HISTORY, lambda params, reply: [])
    assert refused(client).retryable
    liar.tamper = lie_about(STATUS, lambda params, reply: "00" * 31)
    assert refused(client).code == "chain.reply"
    liar.tamper = lie_about(HISTORY, lambda params, reply: [{**item, "height": 5000} for item in reply])
    assert refused(client).retryable
    liar.tamper = lambda method, params, result: result
    assert balance(client.sync(ALL)) == 200_000


def header_on(liar: Liar, *, work: bool = True, bits: int = 0x207FFFFF, height: int = -1) -> str:
    below = liar.answers.chain.index.chain[height].block
    for nonce in itertools.count():
        raw = struct.pack("<i32s32sIII", 4, below.hash, b"\x09" * 32, below.header.time + 1, bits, nonce)
        if (int.from_bytes(sha256d(raw), "little") < 0x7FFFFF << 232) is work:
            return raw.hex()
    raise AssertionError


def test_headers_without_proof_of_work(client: ElectrumBackend, liar: Liar, still: World) -> None:
    def forge(made: str) -> Callable[[str, list[Any], Any], Any]:
        def tamper(method: str, params: list[Any], result: Any) -> Any:
            if method == TIP:
                return {"height": still.chain.height + 1, "hex": made}
            if method == HEADERS and params[0] + params[1] > still.chain.height + 1:
                return {**result, "hex": result["hex"] + made, "count": result["count"] + 1}
            return result

        return tamper

    for made in (header_on(liar, work=False), header_on(liar, bits=0x207FFFFE), header_on(liar, height=3)):
        liar.tamper = forge(made)
        error = refused(client)
        assert error.code == "chain.proof"
        with pytest.raises(ChainError):
            client.check_network()
    liar.tamper = lambda method, params, result: result
    assert client.check_network().height == still.chain.height


def test_headers_of_another_length_or_none(client: ElectrumBackend, liar: Liar) -> None:
    for change in (
        lambda params, reply: {**reply, "count": reply["count"] + 1},
        lambda params, reply: {**reply, "hex": reply["hex"][2:]},
        lambda params, reply: {**reply, "hex": "z"},
        lambda params, reply: {"count": -1, "hex": "", "max": 5},
        lambda params, reply: {"count": params[1] + 1, "hex": "00" * 80 * (params[1] + 1)},
        lambda params, reply: None,
    ):
        liar.tamper = lie_about(HEADERS, change)
        with pytest.raises(ChainError) as caught:
            client.check_network()
        assert caught.value.code == "chain.reply"
    liar.tamper = lie_about(HEADERS, lambda params, reply: {"count": 0, "hex": "", "max": 2016})
    with pytest.raises(ChainUnavailableError):
        client.check_network()
    # fewer at once than asked for is allowed
    liar.tamper = lie_about(
        HEADERS, lambda params, reply: {"count": 30, "hex": reply["hex"][: 30 * 160]} if params[1] > 30 else reply
    )
    assert client.check_network().height == liar.answers.chain.height


def test_a_tip_that_never_stands_still(client: ElectrumBackend, liar: Liar, still: World) -> None:
    heights = itertools.cycle((still.chain.height, still.chain.height - 1))

    def flip(params: list[Any], reply: Any) -> Any:
        height = next(heights)
        return {"height": height, "hex": still.chain.index.chain[height].block.raw[:80].hex()}

    liar.tamper = lie_about(TIP, flip)
    assert refused(client).retryable


@pytest.mark.parametrize(
    "reply", [None, {}, {"height": 5}, {"height": "5", "hex": "00" * 80}, {"height": 3, "hex": "00" * 79}]
)
def test_tips_that_are_none(client: ElectrumBackend, liar: Liar, reply: Any) -> None:
    liar.tamper = lie_about(TIP, lambda params, honest: reply)
    assert refused(client).code == "chain.reply"


def test_a_tip_that_is_not_on_its_own_chain(client: ElectrumBackend, liar: Liar, still: World) -> None:
    liar.tamper = lie_about(TIP, lambda params, reply: {**reply, "hex": header_on(liar)})
    assert refused(client).retryable
    liar.tamper = lie_about(TIP, lambda params, reply: {**reply, "height": 1 << 29})
    assert refused(client).retryable


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("00" * 80, "genesis"),
        ("00" * 79, "80 bytes"),
        (None, "not a text"),
    ],
)
def test_another_genesis(client: ElectrumBackend, liar: Liar, reply: Any, words: str) -> None:
    liar.tamper = lie_about(HEADER, lambda params, honest: reply)
    with pytest.raises(ChainError, match=words) as caught:
        client.check_network()
    assert isinstance(caught.value, WrongChainError) is (words == "genesis")
    assert refused(client).message == caught.value.message  # and again on the next connection


@pytest.mark.parametrize(
    "reply", [None, [], ["x"], ["x", 1.4], ["x", "1.3"], ["x", "2.0"], ["x", "one"], ["x", "9" * 50]]
)
def test_versions(client: ElectrumBackend, liar: Liar, reply: Any) -> None:
    liar.tamper = lie_about("server.version", lambda params, honest: reply)
    with pytest.raises(ChainError) as caught:
        client.min_fee_rate()
    assert not caught.value.retryable


def test_fees(client: ElectrumBackend, liar: Liar) -> None:
    for reply, rate in ((-1, None), (0.0001, 10_000), (1.2345e-5, 1235), (0, 0)):
        liar.tamper = lie_about("blockchain.estimatefee", lambda params, honest, reply=reply: reply)
        assert client.fee_rate(target_blocks=6) == (None if rate is None else FeeRate(rate))
    for reply in (5, "0.1", None, True, [1], 1e300):
        for method, ask in (
            ("blockchain.estimatefee", lambda: client.fee_rate(target_blocks=2)),
            ("blockchain.relayfee", client.min_fee_rate),
        ):
            liar.tamper = lie_about(method, lambda params, honest, reply=reply: reply)
            with pytest.raises(ChainError):
                ask()

    def no_estimate(params: list[Any], result: Any) -> Any:
        raise FaultError(2, "no estimate")

    liar.tamper = lie_about("blockchain.estimatefee", no_estimate)
    assert client.fee_rate(target_blocks=2) is None


def test_refusals(client: ElectrumBackend, liar: Liar, still: World) -> None:
    def refuse(wanted: str, code: int, words: str) -> None:
        def tamper(method: str, params: list[Any], result: Any) -> Any:
            if method == wanted:
                raise FaultError(code, words)
            return result

        liar.tamper = tamper

    refuse(HISTORY, 1, "history too large")
    assert refused(client).code == "chain.refused"
    refuse(STATUS, -101, "excessive resource usage")
    assert refused(client).retryable
    refuse(GET, -102, "server busy")
    assert refused(client).retryable
    refuse(MERKLE, 1, "not in block")
    assert refused(client).retryable
    refuse(GET, 2, "daemon error: something new")
    known = still.chain.index.chain[9].block.transactions[0].txid
    with pytest.raises(ChainError, match="something new"):
        client.transaction(known)
    refuse(GET, 2, "missing transaction")
    assert client.transaction(known) is None


def test_a_broadcast_is_sent_once(client: ElectrumBackend, liar: Liar) -> None:
    tx = fortune()

    def hang_up(method: str, params: list[Any], result: Any) -> Any:
        if method == "blockchain.transaction.broadcast":
            raise HangUp
        return result

    liar.honest = lambda method, params, honest=liar.honest: (  # type: ignore[method-assign]
        "00" * 32 if method == "blockchain.transaction.broadcast" else honest(method, params)
    )
    liar.tamper = hang_up
    with pytest.raises(ChainUnavailableError):
        client.broadcast(tx)
    assert liar.count("blockchain.transaction.broadcast") == 1
    liar.tamper = lambda method, params, result: result
    with pytest.raises(ChainError, match="came back"):
        client.broadcast(tx)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10) | st.just("00" * 32),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["height", "hex", "tx_hash", "merkle", "pos", "count"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(method=st.sampled_from([GET, MERKLE, STATUS, HISTORY, TIP, HEADER, HEADERS, "server.version"]), reply=JSON)
def test_any_json_for_any_answer(liar: Liar, method: str, reply: Any) -> None:
    client = backend_at(liar.url, timeout=1.0)
    liar.tamper = lie_about(method, lambda params, honest: reply)
    try:
        assert balance(client.sync(ALL)) <= 200_000
    except ChainError:
        pass
    finally:
        client.close()


def test_raw_lines_stand_in_for_answers(client: ElectrumBackend, liar: Liar) -> None:
    """The tool itself: a line sent as it is reaches the client."""
    liar.tamper = lie_about("blockchain.relayfee", lambda params, honest: Raw(b'{"id":<id>,"result":0.5}\n'))
    assert client.min_fee_rate().sat_per_kvb == 50_000_000
