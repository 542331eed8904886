"""Ethereum's checklist where the signer is elsewhere: S2, with a web3signer and a clef that answer wrongly."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.errors import SignerMisbehavedError, UnsupportedError
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.transaction import FEE_MARKET, LEGACY, SET_CODE, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_transaction

_SERVERS = Path(__file__).resolve().parents[1] / "unit" / "backends" / "remote" / "conftest.py"
_spec = importlib.util.spec_from_file_location("bursar_safety_remote", _SERVERS)
assert _spec is not None
assert _spec.loader is not None
_remote = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_remote)
ROOT = DerivationPath()
KINDS = ("web3signer", "clef")
OTHER = Address(b"\x99" * 20)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    made = _remote.Bench(tmp_path)
    yield made
    for face in made.faces:
        face.close()


def as_legacy(tx: UnsignedTransaction) -> UnsignedTransaction:
    return dataclasses.replace(
        tx, type=LEGACY, gas_price=tx.max_fee_per_gas, max_fee_per_gas=None, max_priority_fee_per_gas=None
    )


BENT = {
    "to": lambda tx: dataclasses.replace(tx, to=OTHER),
    "value": lambda tx: dataclasses.replace(tx, value=Wei(tx.value + 1)),
    "nonce": lambda tx: dataclasses.replace(tx, nonce=tx.nonce + 1),
    "data": lambda tx: dataclasses.replace(tx, data=tx.data + b"\0"),
    "gas": lambda tx: dataclasses.replace(tx, gas_limit=tx.gas_limit + 1),
    "fee": lambda tx: dataclasses.replace(tx, max_fee_per_gas=Wei(tx.max_fee_per_gas + 1)),
    "chain": lambda tx: dataclasses.replace(tx, chain_id=1),
    "type": as_legacy,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", BENT)
def test_S2_a_changed_transaction_is_refused(bench: Any, kind: str, what: str) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    tx = bench.make(FEE_MARKET)
    request_transaction(signer, ROOT, tx, sender=bench.holder)
    fake.bend = BENT[what]
    with pytest.raises(SignerMisbehavedError, match="another transaction"):
        request_transaction(signer, ROOT, tx, sender=bench.holder)


@pytest.mark.parametrize("kind", KINDS)
def test_S2_the_right_transaction_by_another_key_is_refused(bench: Any, kind: str) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    fake.key = b"\x24" * 32
    with pytest.raises(SignerMisbehavedError, match="with the key of"):
        request_transaction(signer, ROOT, bench.make(FEE_MARKET), sender=bench.holder)


def delegating(bench: Any) -> UnsignedTransaction:
    one = Authorization(bench.chain, OTHER, 10)
    listed = one.sign_with(ecdsa_sign_recoverable(_remote.KEY, one.digest()))
    return bench.make(SET_CODE, authorization_list=(listed,), gas_limit=90_000)


@pytest.mark.parametrize("kind", KINDS)
def test_S2_who_would_drop_the_authorizations_is_not_asked(bench: Any, kind: str) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    asked = len(fake.asked)
    with pytest.raises(UnsupportedError):
        request_transaction(signer, ROOT, delegating(bench), sender=bench.holder)
    assert len(fake.asked) == asked


def test_S2_a_signature_without_the_authorizations_is_refused(bench: Any) -> None:
    tx = delegating(bench)
    dropped = dataclasses.replace(tx, type=FEE_MARKET, authorization_list=())
    info = SimpleNamespace(backend="test", location="here", model="test", label=None, fingerprint=None)
    signer = SimpleNamespace(
        info=info,
        xpub=None,
        close=lambda: None,
        sign_transaction=lambda path, asked: ecdsa_sign_recoverable(_remote.KEY, dropped.digest()),
    )
    with pytest.raises(SignerMisbehavedError):
        request_transaction(signer, ROOT, tx, sender=bench.holder)  # type: ignore[arg-type]
