"""Ethereum on the simulated Trezor, its signatures judged by eth-account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.trezor import TrezorSimulator
from eth_account import Account
from eth_account.messages import encode_defunct
from hexbytes import HexBytes
from trezor_host import MODELS, path, session_of
from trezorlib import ethereum, exceptions, messages

OURS = "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"
PAYEE = "0x" + "11" * 20
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
WHERE = path("m/44h/60h/0h/0/0")

Start = Callable[..., TrezorSimulator]


def sender(fields: dict[str, Any], v: int, r: bytes, s: bytes) -> str:
    """Who signed it, by eth-account."""
    from eth_account._utils.legacy_transactions import encode_transaction, serializable_unsigned_transaction_from_dict

    unsigned = serializable_unsigned_transaction_from_dict(fields)
    raw = encode_transaction(unsigned, vrs=(v, int.from_bytes(r, "big"), int.from_bytes(s, "big")))
    return str(Account.recover_transaction(HexBytes(raw)))


@pytest.mark.parametrize("model", MODELS)
def test_the_published_address(model: str, trezor: Start) -> None:
    assert ethereum.get_address(session_of(trezor(model)), WHERE, show_display=True) == OURS


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("chain_id", [1, 61, 31337, 11155111, 2**40])
def test_type_0(model: str, chain_id: int, trezor: Start) -> None:
    where = path("m/44h/1h/0h/0/0") if chain_id == 11155111 and model != "T1B1" else WHERE
    session = session_of(trezor(model))
    ours = ethereum.get_address(session, where)
    fields = {"nonce": 7, "gasPrice": 10**10, "gas": 21_000, "to": PAYEE, "value": 10**18, "data": b""}
    v, r, s = ethereum.sign_tx(
        session, n=where, nonce=7, gas_price=10**10, gas_limit=21_000, to=PAYEE, value=10**18, chain_id=chain_id
    )
    assert sender({**fields, "chainId": chain_id}, v, r, s) == ours


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("length", [0, 1, 68, 1024, 1025, 5000])
def test_type_2_with_data_in_chunks(model: str, length: int, trezor: Start) -> None:
    data = bytes(range(256)) * 20
    entries = [messages.EthereumAccessList(address=PAYEE, storage_keys=[b"\x05" * 32])]
    v, r, s = ethereum.sign_tx_eip1559(
        session_of(trezor(model)),
        n=WHERE,
        nonce=0,
        gas_limit=90_000,
        to=PAYEE,
        value=5,
        chain_id=1,
        max_gas_fee=10**11,
        max_priority_fee=10**9,
        data=data[:length],
        access_list=entries,
    )
    fields = {
        "type": 2,
        "chainId": 1,
        "nonce": 0,
        "gas": 90_000,
        "to": PAYEE,
        "value": 5,
        "maxFeePerGas": 10**11,
        "maxPriorityFeePerGas": 10**9,
        "data": data[:length],
        "accessList": [{"address": PAYEE, "storageKeys": ["0x" + "05" * 32]}],
    }
    assert sender(fields, v, r, s) == OURS


@pytest.mark.parametrize("model", MODELS)
def test_a_known_token_is_shown_as_an_amount(model: str, trezor: Start) -> None:
    simulator = trezor(model)
    call = bytes.fromhex("a9059cbb") + bytes(12) + b"\x22" * 20 + (2_500_000).to_bytes(32, "big")
    ethereum.sign_tx_eip1559(
        session_of(simulator),
        n=WHERE,
        nonce=0,
        gas_limit=90_000,
        to=USDC,
        value=0,
        chain_id=1,
        max_gas_fee=10**10,
        max_priority_fee=1,
        data=call,
    )
    text = humans.told(simulator.pages)
    assert "2.5 USDC" in text
    assert "0x2222222" in text


@pytest.mark.parametrize("model", MODELS)
def test_personal_messages(model: str, trezor: Start) -> None:
    session = session_of(trezor(model))
    for text in ("hello", "x" * 300, "žluť"):
        signed = ethereum.sign_message(session, WHERE, text)
        assert signed.address == OURS
        assert Account.recover_message(encode_defunct(text=text), signature=signed.signature) == OURS
        assert ethereum.verify_message(session, OURS, signed.signature, text)
    assert not ethereum.verify_message(session, OURS, signed.signature, "other")


def test_typed_data_by_hash_is_all_a_trezor_one_can(trezor: Start) -> None:
    session = session_of(trezor("T1B1"))
    signed = ethereum.sign_typed_data_hash(session, WHERE, b"\x01" * 32, b"\x02" * 32)
    from eth_keys.datatypes import Signature
    from eth_utils import keccak

    digest = keccak(b"\x19\x01" + b"\x01" * 32 + b"\x02" * 32)
    recovered = Signature(signed.signature[:64] + bytes([signed.signature[64] - 27]))
    assert recovered.recover_public_key_from_msg_hash(digest).to_checksum_address() == OURS
    with pytest.raises(exceptions.TrezorFailure, match="Unknown message"):
        session.call(messages.EthereumSignTypedData(address_n=WHERE, primary_type="Mail"))
    with pytest.raises(exceptions.TrezorFailure, match="Unexpected message"):
        ethereum.sign_typed_data_hash(session_of(trezor("T3T1")), WHERE, b"\x01" * 32, b"\x02" * 32)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("where", ["m/44h/0h/0h/0/0", "m/84h/0h/0h/0/0", "m/44h/60h/101h/0/0"])
def test_foreign_paths_are_forbidden(model: str, where: str, trezor: Start) -> None:
    with pytest.raises(exceptions.TrezorFailure, match="Forbidden key path"):
        ethereum.get_address(session_of(trezor(model)), path(where))


@pytest.mark.parametrize("model", MODELS)
def test_a_refusal(model: str, trezor: Start) -> None:
    human = humans.reject_at_page("Summary" if model != "T1B1" else "Confirm fee")
    session = session_of(trezor(model, human=human))
    fees = {"max_gas_fee": 10**10, "max_priority_fee": 1}
    with pytest.raises(exceptions.Cancelled):
        ethereum.sign_tx_eip1559(session, n=WHERE, nonce=0, gas_limit=21_000, to=PAYEE, value=1, chain_id=1, **fees)
    humans.finish(human)


@pytest.mark.parametrize("model", MODELS)
def test_a_definition_nobody_signed_is_refused(model: str, trezor: Start) -> None:
    forged = b"trzd1\x00\x00\x00\x00\x00\x02\x00\x08\x05" + b"\x00" + b"\x03" + bytes(64)
    request = messages.EthereumSignTx(
        address_n=WHERE,
        gas_price=b"\x01",
        gas_limit=b"\x01",
        to=PAYEE,
        chain_id=5,
        definitions=messages.EthereumDefinitions(encoded_network=forged),
    )
    with pytest.raises(exceptions.TrezorFailure, match="Invalid definition signature"):
        session_of(trezor(model)).call(request)
