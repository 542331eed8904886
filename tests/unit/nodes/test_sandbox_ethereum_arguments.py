"""Arguments of the sandbox's JSON-RPC methods: read strictly, refused with -32602."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.nodes.sandbox.ethereum import arguments
from bursar.nodes.sandbox.ethereum.words import RpcError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
ADDRESS = "0x" + "aB" * 20


def test_quantities() -> None:
    assert arguments.read_quantity(["0x0"], 0) == 0
    assert arguments.read_quantity(["0xfF"], 0) == 255
    assert arguments.read_quantity([7], 0) == 7
    for value in ("", "0x", "0x00", "0x01", "1", "0xg", "0x" + "f" * 65, -1, 1.0, None, True, "0x１"):
        with pytest.raises(RpcError) as caught:
            arguments.read_quantity([value], 0)
        assert caught.value.code == -32602


def test_blocks() -> None:
    assert arguments.read_block([], 0) == "latest"
    assert arguments.read_block(["pending"], 0) == "pending"
    assert arguments.read_block(["0x10"], 0) == 16
    assert arguments.read_block([{"blockNumber": "0x2"}], 0) == 2
    assert arguments.read_block([{"blockHash": "0x" + "11" * 32}], 0) == b"\x11" * 32
    for value in ("newest", {"blockHash": "0x11"}, [], 1.5):
        with pytest.raises(RpcError):
            arguments.read_block([value], 0)


def test_messages() -> None:
    message = arguments.read_message([{"to": ADDRESS, "data": "0xab", "value": "0x5", "gas": "0x6"}])
    assert (message.to, message.data, message.value, message.gas) == (b"\xab" * 20, b"\xab", 5, 6)
    assert message.sender == bytes(20)
    assert arguments.read_message([{"input": "0x01", "data": "0x01"}]).to is None
    for body in (
        None,
        [],
        {"to": "0x"},
        {"unknown": 1},
        {"input": "0x01", "data": "0x02"},
        {"data": "0xa"},
        {"gas": "6"},
    ):
        with pytest.raises(RpcError):
            arguments.read_message([body])


def test_log_filters() -> None:
    one, two = "0x" + "11" * 32, "0x" + "22" * 32
    wanted = arguments.read_filter([{"address": [ADDRESS], "topics": [None, [one, two]], "fromBlock": "0x1"}])
    log = {"address": ADDRESS.lower(), "topics": [two, one]}
    assert wanted.matches(log)
    assert not wanted.matches({**log, "topics": [one]})
    assert not wanted.matches({**log, "topics": [one, "0x" + "33" * 32]})
    assert not wanted.matches({**log, "address": "0x" + "00" * 20})
    assert arguments.read_filter([{"address": ADDRESS}]).matches(log)
    assert arguments.read_filter([{}]).matches(log)
    for body in (
        None, {"address": 5}, {"address": "0x"}, {"topics": "x"}, {"topics": [one] * 5}, {"topics": ["0x11"]},
        {"blockHash": one, "fromBlock": "0x0"}, {"blockHash": "0x"}, {"fromBlock": "x"},
    ):  # fmt: skip
        with pytest.raises(RpcError):
            arguments.read_filter([body])


def test_percentiles_and_tips() -> None:
    assert arguments.read_percentiles([[0, 50.5, 100]], 0) == [0.0, 50.5, 100.0]
    assert arguments.read_percentiles([], 0) == []
    for value in ([50, 10], [-1], [101], ["5"], "x", [True], [1] * 101):
        with pytest.raises(RpcError):
            arguments.read_percentiles([value], 0)
    paid = [(1, 10), (2, 80), (9, 10)]
    assert [arguments.at_most(paid, percentile) for percentile in (0, 10, 11, 90, 91, 100)] == [1, 1, 2, 2, 9, 9]
    assert arguments.at_most([], 50) == 0


@given(st.lists(JSON, max_size=3))
def test_garbage_is_refused_or_read(params: list[Any]) -> None:
    for read in (
        lambda: arguments.read_quantity(params, 0),
        lambda: arguments.read_bytes(params, 0),
        lambda: arguments.read_address(params, 0),
        lambda: arguments.read_hash(params, 0),
        lambda: arguments.read_bool(params, 0),
        lambda: arguments.read_block(params, 0),
        lambda: arguments.read_message(params),
        lambda: arguments.read_filter(params),
        lambda: arguments.read_percentiles(params, 0),
    ):
        try:
            read()
        except RpcError as error:
            refused = error.code
        else:
            refused = -32602
        assert refused == -32602
