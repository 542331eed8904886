"""Ledger's Ethereum app on paper: any transaction in pieces, hostile replies of every length, refusals before it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.ledger import ethereum
from bursar.backends.ledger.apdu import Command, Exchange, Reply
from bursar.backends.ledger.ethereum_key import EthereumKey, ethereum_key, extended_key
from bursar.backends.ledger.ethereum_status import ethereum_refusal
from bursar.backends.ledger.ethereum_token import TokenDescriptor
from bursar.crypto.hashes import keccak256, sha256
from bursar.crypto.secp256k1 import ORDER, ecdsa_sign_der, ecdsa_sign_recoverable, public_key, uncompressed
from bursar.errors import (
    BursarError,
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature, personal_digest
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.transaction import MAX_NONCE, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import HARDENED, DerivationPath

SECRET = b"\x07" * 32
ADDRESS = Address.from_public_key(public_key(SECRET))
PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
TO = Address(b"\x11" * 20)
OK, MORE = 0x9000, Reply(0x9000)


class Paper:
    """The app's side of a conversation: collects the pieces and answers the last as the real one does."""

    def __init__(self, flags: int = 3, version: tuple[int, int, int] = (1, 22, 0)) -> None:
        self.settings = bytes((flags, *version))
        self.heard = b""
        self.commands: list[Command] = []
        self.tokens: list[bytes] = []

    def answer(self, command: Command) -> Reply:
        self.commands.append(command)
        assert command.cla == 0xE0
        assert len(command.data) <= 255
        match command.ins:
            case 0x02:
                point, name = uncompressed(public_key(SECRET)), str(ADDRESS)[2:].encode()
                return Reply(OK, b"\x41" + point + b"\x28" + name + bytes(32) * command.p2)
            case 0x06:
                return Reply(OK, self.settings)
            case 0x0A:
                self.tokens.append(command.data)
                return Reply(OK, b"\x00")
            case 0x04 | 0x08:
                assert command.p1 == (0x80 if self.heard else 0x00)
                self.heard += command.data
                steps = 1 + 4 * self.heard[0]
                if command.confirm is None:
                    return MORE
                return Reply(OK, (self.sign if command.ins == 4 else self.sign_message)(self.heard[steps:]))
        return Reply(0x6D00)

    def sign(self, payload: bytes) -> bytes:
        tx = UnsignedTransaction.parse(payload)
        signature = ecdsa_sign_recoverable(SECRET, keccak256(payload))
        first = 0
        if tx.type == 0:
            minimal = tx.chain_id.to_bytes((tx.chain_id.bit_length() + 7) // 8, "big")
            first = int.from_bytes(minimal[:4], "big") * 2 + 35
        return bytes(((first + (signature.y_parity or 0)) & 0xFF,)) + signature.compact()

    def sign_message(self, payload: bytes) -> bytes:
        assert int.from_bytes(payload[:4], "big") == len(payload) - 4
        signature = ecdsa_sign_recoverable(SECRET, personal_digest(payload[4:]))
        return bytes((27 + (signature.y_parity or 0),)) + signature.compact()


def converse(conversation: Exchange[Any], answer: Callable[[Command], Reply]) -> Any:
    try:
        command = next(conversation)
        while True:
            command = conversation.send(answer(command))
    except StopIteration as end:
        return end.value


def transaction(kind: int = 2, **changes: Any) -> UnsignedTransaction:
    fees = {"gas_price": Wei(2)} if kind != 2 else {"max_fee_per_gas": Wei(2), "max_priority_fee_per_gas": Wei(1)}
    fields = {"type": kind, "chain_id": 1, "nonce": 7, "to": TO, "value": Wei(5), "gas_limit": 21000, **fees}
    return UnsignedTransaction(**{**fields, **changes})


ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
ENTRIES = st.builds(AccessListEntry, ADDRESSES, st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple))


@st.composite
def transactions(draw: st.DrawFn) -> UnsignedTransaction:
    kind = draw(st.sampled_from((0, 1, 2)))
    data = draw(st.binary(max_size=900))
    price = draw(st.integers(0, 2**190))
    fees = {"gas_price": Wei(price)}
    if kind == 2:
        fees = {"max_fee_per_gas": Wei(price), "max_priority_fee_per_gas": Wei(draw(st.integers(0, price)))}
    return UnsignedTransaction(
        type=kind,
        chain_id=draw(st.one_of(st.integers(1, 300), st.integers(1, 2**63 - 1 - 36))),
        nonce=draw(st.integers(0, MAX_NONCE)),
        to=draw(ADDRESSES) if not data else draw(st.one_of(st.none(), ADDRESSES)),
        value=Wei(draw(st.integers(0, 2**256 - 1))),
        data=data,
        gas_limit=draw(st.integers(0, 2**64 - 1)),
        access_list=tuple(draw(st.lists(ENTRIES, max_size=4))) if kind else (),
        **fees,
    )


PATHS = st.lists(st.integers(0, 2 * HARDENED - 1), max_size=8).map(
    lambda steps: DerivationPath((HARDENED + 44, HARDENED + 60, *steps))
)


@settings(max_examples=150)
@given(tx=transactions(), path=PATHS)
def test_any_transaction_reaches_the_app_whole_and_its_signature_comes_back(
    tx: UnsignedTransaction, path: DerivationPath
) -> None:
    paper = Paper()
    signed = tx.sign_with(converse(ethereum.sign_transaction(path, tx), paper.answer))
    assert signed.sender == ADDRESS
    assert Account.recover_transaction(signed.serialize()) == str(ADDRESS)
    streamed = [command for command in paper.commands if command.ins == 4]
    assert [command.confirm is not None for command in streamed] == [False] * (len(streamed) - 1) + [True]
    assert all(len(command.data) == 255 for command in streamed[:-1])


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_selector_of_a_call_is_never_cut_in_two(kind: int) -> None:
    """The app faults where a piece ends within a call's first four bytes: all before it fits the first piece."""
    longest = DerivationPath((HARDENED + 44, HARDENED + 60, *range(8)))
    fees = {"max_fee_per_gas": Wei(2**191), "max_priority_fee_per_gas": Wei(2**191)} if kind == 2 else {}
    tx = transaction(
        kind,
        chain_id=2**63 - 1 - 36,
        nonce=MAX_NONCE,
        gas_limit=2**64 - 1,
        value=Wei(2**256 - 1),
        data=b"\xde\xad\xbe\xef" * 40_00,
        **(fees or {"gas_price": Wei(2**191)}),
    )
    paper = Paper()
    converse(ethereum.sign_transaction(longest, tx), paper.answer)
    first = next(command for command in paper.commands if command.ins == 4)
    assert b"\xde\xad\xbe\xef" in first.data


@given(st.binary(max_size=1200))
def test_any_message_reaches_the_app_whole(message: bytes) -> None:
    signature = converse(ethereum.sign_personal_message(PATH, message), Paper().answer)
    assert Account.recover_message(encode_defunct(message), signature=encode_signature(signature)) == str(ADDRESS)


CONVERSATIONS: dict[str, Callable[[], Exchange[Any]]] = {
    "configuration": ethereum.configuration,
    "key": lambda: ethereum_key(PATH, chain_code=True),
    "address": lambda: ethereum_key(PATH, show=True, chain_id=1),
    "xpub": lambda: extended_key(PATH),
    "transaction": lambda: ethereum.sign_transaction(PATH, transaction()),
    "legacy": lambda: ethereum.sign_transaction(PATH, transaction(0)),
    "call": lambda: ethereum.sign_transaction(PATH, transaction(data=bytes(600), gas_limit=10**6)),
    "message": lambda: ethereum.sign_personal_message(PATH, b"x" * 600),
    "hashes": lambda: ethereum.sign_typed_hashes(PATH, bytes(32), bytes(32)),
}


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_hostile_replies_give_typed_errors(name: str, data: st.DataObject) -> None:
    paper = Paper()

    def hostile(command: Command) -> Reply:
        kind = data.draw(st.sampled_from(("honest", "any", "cut", "longer", "flipped", "empty", "status")))
        honest = paper.answer(command)
        match kind:
            case "honest":
                return honest
            case "any":
                return Reply(OK, data.draw(st.binary(max_size=300)))
            case "cut":
                return Reply(OK, honest.data[: data.draw(st.integers(0, len(honest.data)))])
            case "longer":
                return Reply(OK, honest.data + data.draw(st.binary(min_size=1, max_size=3)))
            case "flipped" if honest.data:
                place = data.draw(st.integers(0, len(honest.data) - 1))
                flipped = bytearray(honest.data)
                flipped[place] ^= data.draw(st.integers(1, 255))
                return Reply(OK, bytes(flipped))
            case "status":
                return Reply(data.draw(st.integers(0, 0xFFFF)), data.draw(st.binary(max_size=8)))
        return MORE

    try:
        converse(CONVERSATIONS[name](), hostile)
    except BursarError as error:
        assert str(error).isprintable()  # noqa: PT017


@pytest.mark.parametrize("size", [*range(65), *range(66, 80), 255])
@pytest.mark.parametrize("name", ["transaction", "message", "hashes", "legacy"])
def test_a_signature_of_another_length_is_none(name: str, size: int) -> None:
    paper = Paper()

    def answer(command: Command) -> Reply:
        return paper.answer(command) if command.confirm is None else Reply(OK, bytes(size))

    with pytest.raises(SignerMisbehavedError):
        converse(CONVERSATIONS[name](), answer)


def test_yes_without_a_signature_is_an_error() -> None:
    paper = Paper()

    def answer(command: Command) -> Reply:
        return MORE if command.confirm else paper.answer(command)

    with pytest.raises(SignerMisbehavedError, match="gave no signature"):
        converse(ethereum.sign_transaction(PATH, transaction(0)), answer)


def test_an_answer_before_the_last_piece_is_an_error() -> None:
    paper = Paper()

    def answer(command: Command) -> Reply:
        return Reply(OK, bytes(65)) if command.ins == 4 else paper.answer(command)

    with pytest.raises(SignerMisbehavedError, match="before it had heard all"):
        converse(CONVERSATIONS["call"](), answer)


@pytest.mark.parametrize("v", [v for v in range(256) if v not in (37, 38)])
def test_a_v_of_another_chain_is_an_error(v: int) -> None:
    paper = Paper()

    def answer(command: Command) -> Reply:
        return Reply(OK, bytes((v,)) + paper.answer(command).data[1:])

    with pytest.raises(SignerMisbehavedError, match=f"has v {v}"):
        converse(ethereum.sign_transaction(PATH, transaction(0)), answer)


@pytest.mark.parametrize("numbers", [bytes(64), ORDER.to_bytes(32, "big") + bytes([1]) * 32, b"\xff" * 64])
def test_numbers_that_are_no_signature(numbers: bytes) -> None:
    with pytest.raises(SignerMisbehavedError, match="is none"):
        converse(ethereum.sign_transaction(PATH, transaction()), lambda _: Reply(OK, b"\0" + numbers))


@pytest.mark.parametrize("kind", [3, 4, 5, 0x7F])
def test_blobs_and_delegations_are_refused_before_the_device(kind: int) -> None:
    other: Any = SimpleNamespace(type=kind, data=b"")
    with pytest.raises(UnsupportedError, match=f"not of type {kind}"):
        next(ethereum.sign_transaction(PATH, other))


def test_blind_signing_that_is_off_is_told_before_anything_is_sent() -> None:
    creation = transaction(to=None, value=Wei(0), data=b"\x60", gas_limit=60_000)
    called = transaction(data=b"\x01\x02\x03\x04", gas_limit=60_000)
    moved = transaction(value=Wei(0), data=encode_transfer(TO, 5), gas_limit=60_000)
    for tx in (creation, called, moved):
        paper = Paper(flags=2)
        with pytest.raises(UnsupportedError, match="turn on blind signing") as caught:
            converse(ethereum.sign_transaction(PATH, tx), paper.answer)
        assert caught.value.code == "signer.blind-signing"
        assert [command.ins for command in paper.commands] == [0x06]
    plain = Paper(flags=2)
    converse(ethereum.sign_transaction(PATH, transaction()), plain.answer)
    assert [command.ins for command in plain.commands] == [0x04]


@pytest.mark.parametrize("version", [(1, 21, 9), (0, 99, 0), (1, 9, 19)])
def test_contract_calls_want_a_current_app_and_payments_do_not(version: tuple[int, int, int]) -> None:
    with pytest.raises(UnsupportedError, match=r"update it to 1\.22\.0"):
        converse(ethereum.sign_transaction(PATH, transaction(data=b"\x01")), Paper(version=version).answer)
    converse(ethereum.sign_transaction(PATH, transaction()), Paper(version=version).answer)
    converse(ethereum.sign_transaction(PATH, transaction(data=b"\x01")), Paper(version=(2, 0, 0)).answer)


def test_what_is_signed_blind_is_said_to_the_human() -> None:
    def words(tx: UnsignedTransaction) -> str:
        paper = Paper()
        converse(ethereum.sign_transaction(PATH, tx), paper.answer)
        return paper.commands[-1].confirm or ""

    assert "Compare recipient, amount and fee" in words(transaction())
    called = transaction(data=b"\x01\x02\x03\x04", gas_limit=60_000)
    assert f"0x{called.digest().hex()}" in words(called)
    assert "contract creation" in words(transaction(to=None, value=Wei(0), data=b"\x60"))
    moved = words(transaction(value=Wei(0), data=encode_transfer(Address(b"\x22" * 20), 123), gas_limit=60_000))
    assert "transfer of 123 base units" in moved
    assert str(Address(b"\x22" * 20)) in moved


VENDOR = b"\x09" * 32
FIELDS = b"TOK" + TO.value + (6).to_bytes(4, "big") + (1).to_bytes(4, "big")
DESCRIPTOR = b"\x03" + FIELDS + ecdsa_sign_der(VENDOR, sha256(FIELDS))


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> TokenDescriptor:
    """A descriptor of our own, taken for the vendor's."""
    verify = TokenDescriptor.verify
    monkeypatch.setattr(TokenDescriptor, "verify", lambda self, signer=b"": verify(self, public_key(VENDOR)))
    return TokenDescriptor.parse(DESCRIPTOR, signer=public_key(VENDOR))


def test_a_descriptor_goes_right_before_its_call(token: TokenDescriptor) -> None:
    moved = transaction(value=Wei(0), data=encode_transfer(TO, 5), gas_limit=60_000)
    paper = Paper(flags=2)
    converse(ethereum.sign_transaction(PATH, moved, token=token), paper.answer)
    assert [command.ins for command in paper.commands] == [0x06, 0x02, 0x0A, 0x04]
    assert paper.tokens == [DESCRIPTOR]
    assert "Compare recipient, amount and fee" in (paper.commands[-1].confirm or "")


def test_a_descriptor_of_another_token_chain_or_call_is_refused(token: TokenDescriptor) -> None:
    data = encode_transfer(TO, 5)
    for tx in (
        transaction(value=Wei(0), to=Address(b"\x33" * 20), data=data),
        transaction(value=Wei(0), data=data, chain_id=5),
        transaction(to=None, value=Wei(0), data=data),
    ):
        with pytest.raises(InvalidInputError, match="describes TOK") as caught:
            next(ethereum.sign_transaction(PATH, tx, token=token))
        assert caught.value.code == "input.token"
    with pytest.raises(UnsupportedError, match="pays ether as well"):
        converse(ethereum.sign_transaction(PATH, transaction(data=data), token=token), Paper(flags=2).answer)
    for unshown in (data[:-1], data + b"\0", b"\xde\xad\xbe\xef" + data[4:]):
        with pytest.raises(UnsupportedError, match="turn on blind signing"):
            converse(
                ethereum.sign_transaction(PATH, transaction(value=Wei(0), data=unshown), token=token),
                Paper(flags=2).answer,
            )


def test_a_descriptor_the_vendor_did_not_sign_is_refused() -> None:
    for wrong in (
        DESCRIPTOR,
        DESCRIPTOR[:-1],
        b"\x02" + DESCRIPTOR[1:],
        b"",
        b"\xff",
        b"\x03\xff\xff\xff" + DESCRIPTOR[4:],
    ):
        with pytest.raises(InvalidInputError) as caught:
            TokenDescriptor.parse(wrong)
        assert caught.value.code in ("input.token", "input.chain-id")
    assert TokenDescriptor.parse(DESCRIPTOR, signer=public_key(VENDOR)).serialize() == DESCRIPTOR


@given(st.binary(max_size=260))
def test_any_bytes_are_a_descriptor_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        TokenDescriptor.parse(data)


@given(change=st.integers(1, 255), place=st.integers(0, len(DESCRIPTOR) - 1))
def test_a_descriptor_changed_anywhere_is_refused(change: int, place: int) -> None:
    changed = bytearray(DESCRIPTOR)
    changed[place] ^= change
    with pytest.raises(InvalidInputError):
        TokenDescriptor.parse(bytes(changed), signer=public_key(VENDOR))


STATUSES: dict[int, type[BursarError]] = {
    0x6985: UserCancelledError,
    0x5501: UserCancelledError,
    0x5515: SignerUnavailableError,
    0x6982: SignerUnavailableError,
    0x6511: SignerUnavailableError,
    0x6D00: SignerUnavailableError,
    0x6E00: SignerUnavailableError,
    0x6901: SignerUnavailableError,
    0x6980: SignerUnavailableError,
    0x6A12: InvalidInputError,
    0x6A15: InvalidInputError,
    0x6001: UnsupportedError,
    0x6501: UnsupportedError,
    0x6807: UnsupportedError,
    0x6984: UnsupportedError,
    0x6A80: UnsupportedError,
    0x6A84: UnsupportedError,
    0x6A85: UnsupportedError,
    0x6B00: UnsupportedError,
    0x6F00: SignerError,
    0x0000: SignerMisbehavedError,
}


@pytest.mark.parametrize("status", STATUSES, ids=hex)
def test_each_status_is_the_error_of_what_to_do(status: int) -> None:
    error = ethereum_refusal(Reply(status), "the transaction", remedy="do this")
    assert type(error) is STATUSES[status]
    assert len(error.message) > 20
    if status == 0x6A80:
        assert "do this" in error.message


def test_a_key_that_does_not_descend_from_the_one_above_is_refused() -> None:
    honest = ExtendedPrivateKey.from_seed(bytes(32)).derive((HARDENED + 44, HARDENED + 60, HARDENED, 0)).public()
    liar = {4: (honest.key, honest.chain_code), 5: (public_key(SECRET), bytes(32))}
    for child in (liar[5], (honest.child(0).key, bytes(32)), (honest.child(1).key, honest.child(1).chain_code)):
        named = {4: liar[4], 5: child}

        def answer(command: Command, named: dict[int, tuple[bytes, bytes]] = named) -> Reply:
            key, chain_code = named[command.data[0]]
            name = str(Address.from_public_key(key))[2:].encode()
            return Reply(OK, b"\x41" + uncompressed(key) + b"\x28" + name + chain_code)

        with pytest.raises(SignerMisbehavedError, match="not derived"):
            converse(extended_key(PATH), answer)
    good = {4: liar[4], 5: (honest.child(0).key, honest.child(0).chain_code)}

    def right(command: Command) -> Reply:
        key, chain_code = good[command.data[0]]
        return Reply(
            OK, b"\x41" + uncompressed(key) + b"\x28" + str(Address.from_public_key(key))[2:].encode() + chain_code
        )

    assert converse(extended_key(PATH), right) == honest.child(0)


def test_an_address_that_is_not_its_keys_is_refused() -> None:
    def answer(command: Command) -> Reply:
        return Reply(OK, Paper().answer(command).data.replace(str(ADDRESS)[2:6].encode(), b"0000"))

    with pytest.raises(SignerMisbehavedError, match="another address"):
        converse(ethereum_key(PATH, show=True), answer)
    key = converse(ethereum_key(PATH, show=True), Paper().answer)
    assert isinstance(key, EthereumKey)


def test_a_message_longer_than_the_app_counts_is_refused_before_the_device() -> None:
    with pytest.raises(InvalidInputError, match="at most 32766") as caught:
        next(ethereum.sign_personal_message(PATH, bytes(32_767)))
    assert caught.value.code == "input.message"
