"""The transactions of ethereum/tests: invalid ones are refused, valid ones are read, hash and sender included."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.crypto import rlp
from bursar.errors import InvalidInputError
from bursar.ethereum.fees import check_gas, intrinsic_gas
from bursar.ethereum.transaction import SignedTransaction

PROJECT = Path(__file__).resolve().parents[3]
FORKS = ("Prague", "Cancun", "Shanghai", "Paris", "London")  # the newest a case says something of
MAINNET = 1


def cases() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Name, bytes, and what the newest fork makes of them."""
    named = os.environ.get("BURSAR_ETHEREUM_TESTS")
    folder = Path(named) if named else PROJECT.parent / "shared/vectors/ethereum/TransactionTests"
    if (folder / "TransactionTests").is_dir():
        folder = folder / "TransactionTests"
    if not folder.is_dir():
        pytest.skip("ethereum/tests are not present: set BURSAR_ETHEREUM_TESTS to their folder")
    for path in sorted(folder.rglob("*.json")):
        for name, case in json.loads(path.read_text("utf-8")).items():
            result = next(case["result"][fork] for fork in FORKS if fork in case["result"])
            yield name, bytes.fromhex(case["txbytes"][2:]), result


def read(raw: bytes) -> SignedTransaction:
    """A transaction that could be mined on mainnet under the rules of that fork, which knew no limit of gas."""
    signed = SignedTransaction.parse(raw)
    assert signed.sender
    check_gas(signed.unsigned, most=None)
    if signed.unsigned.chain_id != MAINNET:
        raise InvalidInputError("it is for another chain", code="input.chain-id")
    return signed


def at_home(raw: bytes) -> bytes:
    """The same transaction with a v of EIP-155, for what chain there was to sign."""
    items = rlp.decode(raw)
    assert isinstance(items, list)
    items[6] = bytes([10 + items[6][0]])  # 27 and 28 become 37 and 38
    return rlp.encode(items)


def test_every_case_is_decided_as_it_should_be() -> None:
    counts: Counter[str] = Counter()
    for name, raw, result in cases():
        try:
            signed = read(raw)
        except InvalidInputError as error:
            refused = error
        else:
            refused = None
        if refused is not None and "exception" in result:
            counts["invalid, refused"] += 1
            continue
        if refused is not None:
            # valid on every chain, which is what EIP-155 ended: the one thing that is wrong with it
            assert refused.code == "input.chain-id", (name, refused.message)
            counts["valid, refused for want of a chain id"] += 1
            try:
                assert SignedTransaction.parse(at_home(raw)).unsigned.chain_id == MAINNET
            except InvalidInputError:
                items = rlp.decode(raw)
                counts["of these, also creating nothing" if items[3] == items[5] == b"" else name] += 1
            continue
        assert "exception" not in result, name
        assert (signed.hash, str(signed.sender).lower()) == (result["hash"], result["sender"]), name
        assert signed.serialize() == raw, name
        assert intrinsic_gas(signed.unsigned) >= int(result["intrinsicGas"], 16), name
        counts["valid, read"] += 1
    assert counts == {
        "invalid, refused": 160,
        "valid, read": 17,
        "valid, refused for want of a chain id": 33,
        "of these, also creating nothing": 1,
    }
