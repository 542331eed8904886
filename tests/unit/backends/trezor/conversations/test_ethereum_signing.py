"""Ethereum transactions, messages and addresses told to a Trezor; devices that answer something else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trezorlib import messages as m

from bursar.backends.trezor.abilities import Firmware
from bursar.backends.trezor.addresses import show_ethereum_address
from bursar.backends.trezor.ethereum import Definitions, sign_transaction
from bursar.crypto.curve import ORDER
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import BursarError, InvalidInputError, SignerMisbehavedError, UnsupportedError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import confirm_address, request_personal_message, request_transaction

PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
SOMEBODY = Address(bytes(range(20)))


def transaction(kind: int = 2, **fields: Any) -> UnsignedTransaction:
    price = {"gas_price": Wei(2 * 10**9)}
    if kind == 2:
        price = {"max_fee_per_gas": Wei(3 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    known = {"chain_id": 1, "nonce": 0, "to": SOMEBODY, "value": Wei(1), "gas_limit": 1_000_000, **price, **fields}
    return UnsignedTransaction(type=kind, **known)


@pytest.fixture
def account(trezor: SimpleNamespace) -> EthereumAccount:
    path = DerivationPath.from_text("m/44h/60h/0h")
    return EthereumAccount(1, KeyOrigin(trezor.fingerprint, path), trezor.signer().xpub(path))


@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 2048, 5000])
def test_data_goes_in_pieces(trezor: SimpleNamespace, account: EthereumAccount, kind: int, size: int) -> None:
    tx = transaction(kind, data=bytes(number % 251 for number in range(size)))
    signer = trezor.signer()
    before = len(signer.device.heard)
    request_transaction(signer, account.path(3), tx, sender=account.address(3))
    assert len(signer.device.heard) - before == 1 + max(0, -(-size // 1024) - 1)


@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.parametrize("chain_id", [1, 109, 110, 2**31 - 19, 2**31 - 18, 2**31, 2**32, 5 * 10**9, 2**53, 2**63 - 37])
def test_any_chain(trezor: SimpleNamespace, account: EthereumAccount, kind: int, chain_id: int) -> None:
    for nonce in range(4):  # both parities
        tx = transaction(kind, chain_id=chain_id, nonce=nonce)
        request_transaction(trezor.signer(), account.path(0), tx, sender=account.address(0))


def test_contract_creation_and_access_lists(trezor: SimpleNamespace, account: EthereumAccount) -> None:
    entries = (AccessListEntry(SOMEBODY, (bytes(32),)), AccessListEntry(SOMEBODY))
    for tx in (transaction(0, to=None, data=b"\x60"), transaction(2, to=None, data=b"\x60", access_list=entries)):
        request_transaction(trezor.signer(), account.path(0), tx, sender=account.address(0))


def refused(trezor: SimpleNamespace, tx: UnsignedTransaction, firmware: Firmware, *words: str) -> None:
    exchange = sign_transaction(m, PATH, tx, firmware=firmware)
    with pytest.raises(UnsupportedError) as caught:
        next(exchange)
    assert all(word in caught.value.message for word in words), caught.value.message
    assert (caught.value.operation, caught.value.model) == ("sign_transaction", firmware.model)


def test_what_it_cannot_sign(trezor: SimpleNamespace) -> None:
    refused(trezor, transaction(1), trezor.modern, "type 1", "use type 2")
    refused(trezor, transaction(2), Firmware("T2T1", (2, 4, 1)), "type 2", "update")
    refused(trezor, transaction(2), Firmware("T1B1", (1, 10, 3)), "type 2")
    refused(trezor, transaction(0, data=bytes(16_000_001)), trezor.modern, "16000001 bytes")
    refused(trezor, transaction(0, gas_limit=2**40, gas_price=Wei(2**215 - 1)), trezor.modern, "gas")
    many = (AccessListEntry(SOMEBODY),) * 13
    refused(trezor, transaction(2, access_list=many), trezor.one, "more than 12")
    refused(trezor, transaction(2, access_list=many[:9]), Firmware("T1B1", (1, 13, 1)), "more than 8")
    refused(trezor, transaction(2, access_list=(AccessListEntry(SOMEBODY, (bytes(32),) * 13),)), trezor.one, "slots")
    assert next(sign_transaction(m, PATH, transaction(2, access_list=many), firmware=trezor.modern)) is not None


@pytest.mark.parametrize(
    ("path", "strict", "fits"),
    [
        ("m/44h/60h/0h/0/0", True, True),
        ("m/44h/60h/100h/1/1000000", True, True),
        ("m/44h/60h/0h", True, True),
        ("m/44h/60h/0h/7", True, True),
        ("m/44h/1h/0h/0/0", True, True),
        ("m/44h/61h/0h/0/0", True, True),
        ("m/45h/60/0/0/0", True, True),
        ("m/44h/60h/101h/0/0", True, False),
        ("m/44h/60h/0h/2/0", True, False),
        ("m/44h/60h/0h/0/1000001", True, False),
        ("m/44h/60h/1h/7", True, False),
        ("m/44h/60h/0h/0h/0", True, False),
        ("m/44h/60/0h/0/0", True, False),
        ("m/84h/60h/0h/0/0", True, False),
        ("m/44h/60h/0h/0/0/0", True, False),
        ("m/44h/60h", True, False),
        ("m", True, False),
        ("m", False, True),
        ("m/44h/60h/0h/0/0/0", False, True),
        ("m/44h/0h/0h/0/0", True, False),
        ("m/44h/0h/0h/0/0", False, False),
    ],
)
def test_paths(trezor: SimpleNamespace, path: str, strict: bool, fits: bool) -> None:
    place = DerivationPath.from_text(path)
    for exchange in (
        sign_transaction(m, place, transaction(), firmware=trezor.modern, strict=strict),
        show_ethereum_address(m, place, strict=strict),
    ):
        if fits:
            assert list(next(exchange).address_n) == list(place)
        else:
            with pytest.raises(InvalidInputError) as caught:
                next(exchange)
            assert caught.value.code == "input.path"


def test_definitions_are_relayed(trezor: SimpleNamespace) -> None:
    definitions = Definitions(network=b"net", token=b"token")
    said = next(sign_transaction(m, PATH, transaction(), firmware=trezor.modern, definitions=definitions))
    assert (said.definitions.encoded_network, said.definitions.encoded_token) == (b"net", b"token")
    assert next(show_ethereum_address(m, PATH, network=b"net")).encoded_network == b"net"


R32 = bytes(31) + b"\1"


@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.parametrize(
    "said",
    [
        m.EthereumTxRequest(),
        m.EthereumTxRequest(data_length=0),
        m.EthereumTxRequest(data_length=1025),
        m.EthereumTxRequest(data_length=2**32 - 1),
        m.EthereumTxRequest(signature_v=37, signature_r=R32, signature_s=R32),
        m.Success(),
    ],
    ids=range(6),
)
def test_a_device_that_reads_wrongly(trezor: SimpleNamespace, kind: int, said: Any) -> None:
    exchange = sign_transaction(m, PATH, transaction(kind, data=bytes(3000)), firmware=trezor.modern)
    next(exchange)
    with pytest.raises(SignerMisbehavedError):
        exchange.send(said)


@pytest.mark.parametrize(
    ("kind", "v", "r", "s"),
    [
        (0, 36, R32, R32),
        (0, 39, R32, R32),
        (0, 27, R32, R32),
        (0, 2, R32, R32),
        (2, 2, R32, R32),
        (2, 27, R32, R32),
        (2, None, R32, R32),
        (2, 0, None, R32),
        (2, 0, R32, None),
        (2, 0, R32 + b"\0", R32),
        (2, 0, b"", R32),
        (2, 0, R32, bytes(32)),
        (2, 0, ORDER.to_bytes(32, "big"), R32),
    ],
)
def test_a_signature_that_is_none(trezor: SimpleNamespace, kind: int, v: Any, r: Any, s: Any) -> None:
    exchange = sign_transaction(m, PATH, transaction(kind), firmware=trezor.modern)
    next(exchange)
    with pytest.raises(SignerMisbehavedError):
        exchange.send(m.EthereumTxRequest(signature_v=v, signature_r=r, signature_s=s))


@given(
    said=st.lists(
        st.builds(
            m.EthereumTxRequest,
            data_length=st.one_of(st.none(), st.integers(0, 2**32)),
            signature_v=st.one_of(st.none(), st.integers(0, 100)),
            signature_r=st.one_of(st.none(), st.binary(max_size=40)),
            signature_s=st.one_of(st.none(), st.binary(max_size=40)),
        ),
        max_size=6,
    ),
    kind=st.sampled_from([0, 2]),
    size=st.integers(0, 5000),
)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_it_answers_ends_well(trezor: SimpleNamespace, said: list[Any], kind: int, size: int) -> None:
    exchange = sign_transaction(m, PATH, transaction(kind, data=bytes(size)), firmware=trezor.modern)
    told = len(next(exchange).data_initial_chunk)
    for one in said:
        try:
            answer = exchange.send(one)
        except StopIteration as done:
            signed = done.value
            break
        except BursarError:
            return
        told += len(answer.data_chunk)
        assert told <= size
    else:
        return
    assert told == size
    assert isinstance(signed, EcdsaSignature)


def test_personal_messages_and_addresses(trezor: SimpleNamespace, account: EthereumAccount) -> None:
    for message in (b"", b"hello", bytes(1024)):
        request_personal_message(trezor.signer(trezor.one), account.path(2), message, sender=account.address(2))
    assert confirm_address(trezor.signer(), account, 5) == account.address(5)
    with pytest.raises(UnsupportedError, match="1025 bytes"):
        trezor.signer(trezor.one).sign_personal_message(account.path(2), bytes(1025))
    request_personal_message(trezor.signer(), account.path(2), bytes(1025), sender=account.address(2))
