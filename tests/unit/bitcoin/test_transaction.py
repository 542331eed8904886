"""Transactions: strict parsing, exact round trips, ids and weights as embit sees them."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from contextlib import suppress

import pytest
from embit.transaction import Transaction as EmbitTransaction
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.transaction import NULL_OUTPOINT, OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import MAX_MONEY, Sats
from bursar.errors import InvalidInputError

GENESIS_COINBASE = (
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65"
    "732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062"
    "616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4c"
    "ef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)

txids = st.binary(min_size=32, max_size=32).map(Txid)
inputs = st.builds(
    TxIn,
    st.builds(OutPoint, txids, st.integers(0, 2**32 - 1)),
    st.binary(max_size=300),
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=80), max_size=3).map(tuple),
)
outputs = st.builds(TxOut, st.integers(0, MAX_MONEY).map(Sats), st.binary(max_size=300))
transactions = st.builds(
    Transaction,
    st.integers(0, 2**32 - 1),
    st.lists(inputs, min_size=1, max_size=4),
    st.lists(outputs, max_size=4),
    st.integers(0, 2**32 - 1),
)


@given(transactions)
def test_transactions_round_trip_and_agree_with_embit(tx: Transaction) -> None:
    raw = tx.serialize()
    parsed = Transaction.parse(raw)
    assert parsed == tx
    assert parsed.inputs == tx.inputs
    assert parsed.outputs == tx.outputs
    assert parsed.serialize() == raw
    assert parsed.serialize(witness=False) == tx.serialize(witness=False)
    assert parsed.wtxid == tx.wtxid
    assert parsed.weight == tx.weight == 3 * len(tx.serialize(witness=False)) + len(raw)
    other = EmbitTransaction.parse(raw)
    assert str(tx.txid) == other.txid().hex()
    assert hash(parsed) == hash(tx)


@given(transactions)
def test_the_form_without_witness_parses_as_such(tx: Transaction) -> None:
    bare = Transaction.parse(tx.serialize(witness=False), witness=False)
    assert bare.txid == tx.txid
    assert not any(one.witness for one in bare.inputs)


@given(transactions)
def test_proofs_are_put_in_place(tx: Transaction) -> None:
    from bursar.bitcoin.wire import stack

    unsigned = Transaction(
        tx.version, [TxIn(one.outpoint, b"", one.sequence) for one in tx.inputs], tx.outputs, tx.locktime
    )
    lazy = Transaction.parse_unsigned(unsigned.serialize(witness=False))
    assert lazy.input_count == len(tx.inputs)
    assert lazy.pieces() == unsigned.pieces()
    scripts = [one.script_sig for one in tx.inputs]
    stacks = [stack(one.witness) for one in tx.inputs]
    assert lazy.with_proofs(scripts, stacks) == tx
    assert unsigned.with_proofs(scripts, stacks).inputs == tx.inputs
    assert lazy.inputs == unsigned.inputs
    assert lazy.with_proofs(scripts, stacks).txid == tx.txid


@given(st.binary(max_size=200))
def test_garbage_is_a_typed_error(data: bytes) -> None:
    for witness in (True, False):
        with suppress(InvalidInputError):
            assert Transaction.parse(data, witness=witness).serialize(witness=witness) == data
    with suppress(InvalidInputError):
        assert Transaction.parse_unsigned(data).serialize() == data


@given(transactions, st.data())
def test_truncated_and_trailing_bytes_are_refused(tx: Transaction, data: st.DataObject) -> None:
    raw = tx.serialize()
    with pytest.raises(InvalidInputError):
        Transaction.parse(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(InvalidInputError):
        Transaction.parse(raw + b"\0")


def test_genesis_coinbase() -> None:
    tx = Transaction.parse(bytes.fromhex(GENESIS_COINBASE))
    assert str(tx.txid) == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert tx.is_coinbase
    assert tx.outputs[0].value == 50 * 10**8
    assert tx.weight == 4 * 204
    assert not tx.replaceable
    with pytest.raises(InvalidInputError) as caught:
        Transaction.parse_unsigned(bytes.fromhex(GENESIS_COINBASE))
    assert caught.value.code == "input.transaction.signed"


HEAD = "02000000"
INPUT = "aa" * 32 + "00000000" + "00" + "ffffffff"
OUTPUT = "0100000000000000" + "0151"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (HEAD + "0001" + "01" + INPUT + "01" + OUTPUT + "00" + "00000000", "flag without a witness"),
        (HEAD + "0002" + "01" + INPUT + "01" + OUTPUT + "0101aa" + "00000000", "unknown flag"),
        (HEAD + "0003" + "01" + INPUT + "01" + OUTPUT + "0101aa" + "00000000", "unknown flag bits"),
        (HEAD + "fd0100" + INPUT + "01" + OUTPUT + "00000000", "count not in its shortest form"),
        (HEAD + "01" + INPUT + "01" + "ffffffffffffffff" + "0151" + "00000000", "negative amount"),
        (HEAD + "01" + INPUT + "01" + "0140075af0750700" + "0151" + "00000000", "more than 21 million BTC"),
        (HEAD + "01" + INPUT + "02" + OUTPUT + "00000000", "fewer outputs than counted"),
        (HEAD + "0001" + "01" + INPUT + "01" + OUTPUT + "02" + "00000000", "fewer witness items than counted"),
    ],
)
def test_malformed_transactions_are_refused(raw: str, why: str) -> None:
    with pytest.raises(InvalidInputError):
        Transaction.parse(bytes.fromhex(raw))


@pytest.mark.parametrize("size", [0, 1, 252, 253, 254, 0xFFFF, 0x10000])
def test_lengths_around_each_form_of_a_count(size: int) -> None:
    data = b"\x51" * size
    spending = TxIn(OutPoint(Txid(bytes(32)), 0), data, 7, (data,))
    tx = Transaction(2, [spending], [TxOut(Sats(1), data)], 0)
    again = Transaction.parse(tx.serialize())
    assert again == tx
    assert (again.inputs, again.outputs) == (tx.inputs, tx.outputs)
    assert EmbitTransaction.parse(tx.serialize()).vin[0].script_sig.data == data


def test_counts_do_not_allocate() -> None:
    bombs = [
        HEAD + "feffffffff" + INPUT,
        HEAD + "01" + INPUT + "ffffffffffffffffff",
        HEAD + "01" + "aa" * 36 + "ffffffffffffffffff" + "00" * 50,  # a script longer than any offset
        HEAD + "01" + "aa" * 36 + "ff" + "00" * 7 + "80" + "00" * 50,
        HEAD + "01" + INPUT + "01" + "0100000000000000" + "feffffff7f",
        HEAD + "0001" + "01" + INPUT + "01" + OUTPUT + "feffffff7f" + "00000000",
    ]
    tracemalloc.start()
    for bomb in bombs:
        with pytest.raises(InvalidInputError):
            Transaction.parse(bytes.fromhex(bomb))
        with pytest.raises(InvalidInputError):
            Transaction.parse_unsigned(bytes.fromhex(bomb))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_outpoints_and_txids_as_text() -> None:
    text = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    outpoint = OutPoint.from_text(f"{text}:7")
    assert str(outpoint) == f"{text}:7"
    assert outpoint.txid[::-1].hex() == text
    assert len(outpoint.serialize()) == 36
    for bad in (text, f"{text}:", f"{text}:-1", f"{text}:4294967296", f"{text[:-1]}:0", f"{text}:1 ", "zz" * 32 + ":0"):
        with pytest.raises(InvalidInputError):
            OutPoint.from_text(bad)
    with pytest.raises(InvalidInputError):
        Txid(bytes(31))


def test_the_last_output_index_has_ten_digits() -> None:
    text = "ab" * 32 + ":4294967295"
    assert str(OutPoint.from_text(text)) == text
    for wrong in ("4294967296", "04294967295", "-1", "+1", "\u0661", "", "1 "):
        with pytest.raises(InvalidInputError):
            OutPoint.from_text("ab" * 32 + ":" + wrong)


def test_transactions_do_not_change() -> None:
    tx = Transaction.parse(bytes.fromhex(GENESIS_COINBASE))
    with pytest.raises(AttributeError):
        tx.version = 3
    assert copy.deepcopy(tx) == tx
    assert pickle.loads(pickle.dumps(tx)) == tx
    with pytest.raises(InvalidInputError):
        Transaction(-1, [], [])
    assert tx.inputs[0].outpoint == NULL_OUTPOINT
