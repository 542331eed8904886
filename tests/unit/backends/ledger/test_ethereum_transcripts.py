"""The conversations with Ledger's Ethereum app, against what the real app 1.22.0 answered (tests/vectors)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import SignableMessage, encode_defunct

from bursar.backends.ledger import ethereum
from bursar.backends.ledger.apdu import Exchange, Reply
from bursar.backends.ledger.ethereum_key import EthereumKey, ethereum_key, extended_key
from bursar.backends.ledger.ethereum_status import ethereum_refusal
from bursar.backends.ledger.ethereum_token import TokenDescriptor
from bursar.backends.software import SoftwareSigner
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import BursarError, InvalidInputError, UnsupportedError, UserCancelledError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature
from bursar.ethereum.token import encode_approve, encode_transfer
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import UNKNOWN
from bursar.keys.path import DerivationPath

FILE = Path(__file__).parents[3] / "vectors" / "ledger_ethereum_app.json"
RECORDED = {one["name"]: one for one in json.loads(FILE.read_text())["exchanges"]}
PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
ADDRESS = "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"
TO = Address(b"\x11" * 20)
DATA = bytes(range(256)) * 6
TOKEN = TokenDescriptor.parse(bytes.fromhex(RECORDED["token transfer, described"]["exchange"][2][0])[5:])


def transaction(kind: int = 2, **changes: Any) -> UnsignedTransaction:
    fees = {"max_fee_per_gas": Wei(30 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    if kind != 2:
        fees = {"gas_price": Wei(20 * 10**9)}
    fields = {"type": kind, "chain_id": 1, "nonce": 7, "to": TO, "value": Wei(10**17), "gas_limit": 21000, **fees}
    return UnsignedTransaction(**{**fields, **changes})


def call(data: bytes, *, kind: int = 2, to: Address | None = TO, **changes: Any) -> UnsignedTransaction:
    return transaction(kind, data=data, to=to, **{"gas_limit": 500_000, **changes})


def token_call(data: bytes, kind: int = 2) -> UnsignedTransaction:
    return transaction(kind, to=TOKEN.contract, value=Wei(0), data=data, gas_limit=60_000)


SLOTS = (bytes(32), bytes([1]) * 32)
WIDE = tuple(AccessListEntry(Address(bytes([number]) * 20), SLOTS) for number in range(9))
SIGNED: dict[str, UnsignedTransaction] = {
    "type 2": transaction(),
    "type 1": transaction(1, access_list=(AccessListEntry(TO, SLOTS),)),
    "type 0": transaction(0),
    **{
        f"type 0 on chain {chain}": transaction(0, chain_id=chain)
        for chain in (10, 110, 111, 137, 31337, 2**31, 5 * 10**9, 2**32 - 1, 2**32, 2**40 + 12345, 2**62)
    },
    "type 2 on a chain of 8 bytes": transaction(chain_id=2**62 + 5),
    "token transfer, described": token_call(encode_transfer(TO, 123456789 * 10**9)),
    "token approval, described": token_call(encode_approve(TO, 2**256 - 1)),
    "token transfer of type 0, described": token_call(encode_transfer(TO, 5), 0),
    "call of 1536 bytes": call(DATA),
    "call of 1536 bytes, type 0": call(DATA, kind=0),
    "call of 1536 bytes, type 1": call(DATA, kind=1, access_list=WIDE),
    "data of one byte": call(b"\x01", gas_limit=21000),
    "creation of a contract": call(DATA[:300], to=None, value=Wei(0)),
    "token transfer, not described": token_call(encode_transfer(TO, 5)),
    "token transfer, described (blind signing on)": token_call(encode_transfer(TO, 5)),
    "call of a described token's contract": token_call(bytes.fromhex("deadbeef") + bytes(32)),
}
MESSAGES = {
    f"message of {len(message)} bytes": message
    for message in (b"hello", b"", b"\x00\xff\x01", b"A longer message. " * 40)
}


def replay(name: str, conversation: Exchange[Any]) -> Any:
    """Hold the conversation to the recorded commands and give it the recorded replies; its result or error."""
    pairs = iter(RECORDED[name]["exchange"])
    try:
        command = next(conversation)
        while True:
            asked, answered = next(pairs)
            assert command.serialize().hex() == asked
            command = conversation.send(Reply.parse(bytes.fromhex(answered)))
    except StopIteration as end:
        assert next(pairs, None) is None
        return end.value
    except BursarError as error:
        assert next(pairs, None) is None
        return error


def token_of(name: str) -> TokenDescriptor | None:
    return TOKEN if "described" in name and "not described" not in name else None


@pytest.mark.parametrize("name", SIGNED)
def test_transactions_recover_to_the_sender_by_two_libraries(name: str) -> None:
    tx = SIGNED[name]
    signature = replay(name, ethereum.sign_transaction(PATH, tx, token=token_of(name)))
    assert isinstance(signature, EcdsaSignature)
    signed = tx.sign_with(signature)
    assert str(signed.sender) == ADDRESS
    assert Account.recover_transaction(signed.serialize()) == ADDRESS
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(" ".join(["all"] * 12))) as ours:
        # some recorded gas limits are below what a block takes, which our own door refuses
        assert ours.unsafe_sign_digest(PATH, tx.digest()) == signature  # both RFC 6979, so equal byte for byte


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_recover_to_the_sender_by_two_libraries(name: str) -> None:
    signature = replay(name, ethereum.sign_personal_message(PATH, MESSAGES[name]))
    text = encode_signature(signature)
    assert Account.recover_message(encode_defunct(MESSAGES[name]), signature=text) == ADDRESS


def test_typed_data_by_its_hashes() -> None:
    domain, message = bytes([1]) * 32, bytes([2]) * 32
    signature = replay("typed data by hashes", ethereum.sign_typed_hashes(PATH, domain, message))
    signable = SignableMessage(b"\x01", domain, message)
    assert Account.recover_message(signable, signature=encode_signature(signature)) == ADDRESS


@pytest.mark.parametrize("path", ["m/44h/60h", "m/44h/60h/0h", "m/44h/60h/0h/0", "m/45h", "m/45h/1"])
def test_extended_keys_and_the_parents_that_can_be_known(path: str) -> None:
    from dataclasses import replace

    found = replay(f"extended key {path}", extended_key(DerivationPath.from_text(path)))
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(" ".join(["all"] * 12))) as ours:
        expected = ours.xpub(DerivationPath.from_text(path))
    if path in ("m/44h/60h", "m/45h"):
        assert found.parent == UNKNOWN
        expected = replace(expected, parent=UNKNOWN)
    assert found == expected


@pytest.mark.parametrize(
    ("name", "options"),
    [("key", {}), ("key shown on chain 1", {"chain_id": 1}), ("key shown on chain 137", {"chain_id": 137})],
)
def test_addresses(name: str, options: dict[str, int]) -> None:
    key = replay(name, ethereum_key(PATH, show="shown" in name, **options))  # type: ignore[arg-type]
    assert isinstance(key, EthereumKey)
    assert str(key.address) == ADDRESS
    assert key.chain_code is None


def test_configurations() -> None:
    off = replay("configuration", ethereum.configuration())
    on = replay("configuration with blind signing", ethereum.configuration())
    assert (off.blind_signing, on.blind_signing) == (False, True)
    assert off.version_text == on.version_text == "1.22.0"


@pytest.mark.parametrize(
    ("name", "conversation"),
    [
        ("key shown, refused", lambda: ethereum_key(PATH, show=True, chain_id=1)),
        ("refused", lambda: ethereum.sign_transaction(PATH, transaction())),
        ("call refused", lambda: ethereum.sign_transaction(PATH, transaction(data=DATA[:40]))),
        ("message refused", lambda: ethereum.sign_personal_message(PATH, b"hello")),
    ],
)
def test_a_refusal_on_the_device(name: str, conversation: Callable[[], Exchange[Any]]) -> None:
    assert isinstance(replay(name, conversation()), UserCancelledError)


@pytest.mark.parametrize(
    ("name", "conversation", "words"),
    [
        (
            "numbers the screen has no room for",
            lambda: ethereum.sign_transaction(
                PATH,
                transaction(
                    chain_id=2**62 + 5,
                    nonce=2**64 - 2,
                    gas_limit=2**63,
                    max_fee_per_gas=Wei(2**190),
                    max_priority_fee_per_gas=Wei(2**190),
                    value=Wei(2**256 - 1),
                ),
            ),
            "too long for its screen",
        ),
        ("message too long", lambda: ethereum.sign_personal_message(PATH, b"a" * 16000), "the device's memory"),
        (
            "data without blind signing",
            lambda: ethereum.sign_transaction(PATH, transaction(data=DATA)),
            "turn on blind signing",
        ),
        (
            "typed hashes without blind signing",
            lambda: ethereum.sign_typed_hashes(PATH, bytes(32), bytes(32)),
            "turn on blind signing",
        ),
    ],
)
def test_what_the_app_cannot_do_is_said_in_words(
    name: str, conversation: Callable[[], Exchange[Any]], words: str
) -> None:
    error = replay(name, conversation())
    assert isinstance(error, UnsupportedError)
    assert words in error.message


@pytest.mark.parametrize("name", [name for name in RECORDED if name.startswith("raw: ")])
def test_what_is_refused_here_is_refused_by_the_app_too(name: str) -> None:
    """Without our preflight; "9000" without data after the last piece is the app still waiting for more."""
    reply = Reply.parse(bytes.fromhex(RECORDED[name]["exchange"][-1][1]))
    assert not reply.data
    expected = {"raw: type 3": 0x6501, "raw: type 4": 0x9000, "raw: legacy without chain id": 0x9000}.get(name, 0x6A80)
    assert reply.status == expected
    if expected != 0x9000:
        assert isinstance(ethereum_refusal(reply, "the transaction"), UnsupportedError)


def test_the_vendors_own_descriptor_verifies_and_the_device_showed_what_it_says() -> None:
    assert (TOKEN.ticker, TOKEN.decimals, TOKEN.chain_id) == ("ZRX", 18, 1)
    assert str(TOKEN.contract) == "0xE41d2489571d322189246DaFA5ebDe1F4699F498"
    assert "Send | 0.123456789 ZRX" in RECORDED["token transfer, described"]["pages"]
    assert "Approve | Unlimited ZRX" in RECORDED["token approval, described"]["pages"]
    blind = " ".join(RECORDED["token transfer, not described"]["pages"])
    assert "Accept risk" in blind
    assert "0x1111" not in blind  # neither the recipient nor the amount is shown: hence the words of the prompt


def test_every_recorded_exchange_is_used() -> None:
    elsewhere = {"typed data", "typed data refused"}  # test_ethereum_typed_data.py
    named = {*SIGNED, *MESSAGES, *(f"extended key {path}" for path in ("m/44h/60h", "m/44h/60h/0h", "m/44h/60h/0h/0"))}
    named |= {"extended key m/45h", "extended key m/45h/1", "key", "key shown on chain 1", "key shown on chain 137"}
    named |= {"configuration", "configuration with blind signing", "typed data by hashes", "key shown, refused"}
    named |= {"refused", "call refused", "message refused", "message too long", "data without blind signing"}
    named |= {"numbers the screen has no room for", "typed hashes without blind signing"}
    assert named | elsewhere | {name for name in RECORDED if name.startswith("raw: ")} == set(RECORDED)


def test_the_errors_of_paths_come_before_the_device() -> None:
    for path in ("m", "m/44h", "m/44h/1h/0h", "m/44/60", "m/84h/0h/0h", "m/44h/60h" + "/0" * 9):
        for conversation in (
            ethereum_key(DerivationPath.from_text(path)),
            extended_key(DerivationPath.from_text(path)),
            ethereum.sign_transaction(DerivationPath.from_text(path), transaction()),
            ethereum.sign_personal_message(DerivationPath.from_text(path), b"x"),
        ):
            with pytest.raises(InvalidInputError) as caught:
                next(conversation)
            assert caught.value.code == "input.path"
