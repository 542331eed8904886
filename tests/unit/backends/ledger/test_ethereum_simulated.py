"""The Ethereum app over its wire: the backend and the simulator, which share no code, and the checks on top of both."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from bursar_devices.device import Lie
from bursar_devices.humans import approve, reject
from bursar_devices.ledger import LedgerSimulator
from eth_account import Account

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.signer_ethereum import LedgerEthereumSigner
from bursar.errors import SignerError, SignerMisbehavedError, UnsupportedError, UserCancelledError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import UNKNOWN, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import confirm_address, request_personal_message, request_transaction

WORDS = " ".join(["all"] * 12)
HOME = DerivationPath.from_text("m/44h/60h/0h")
Open = Callable[..., tuple[LedgerEthereumSigner, LedgerSimulator]]


FILE = Path(__file__).parents[3] / "vectors" / "ledger_ethereum_app.json"
RECORDED = {one["name"]: one for one in json.loads(FILE.read_text())["exchanges"]}
UNLIKE = ("described", "descriptor", "numbers the screen", "message too long")  # it has not


class Silent:
    def ask(self, request: object) -> Any:
        raise AssertionError(f"a ledger asks for no secret here: {request}")

    def notify(self, event: object) -> None:
        pass


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(**options: Any) -> tuple[LedgerEthereumSigner, LedgerSimulator]:
            settings = {"mnemonic": WORDS, "app": "Ethereum", "human": approve(), **options}
            simulator = stack.enter_context(LedgerSimulator(**settings))
            backend = LedgerBackend(locks=tmp_path, device_seconds=5, human_seconds=20)
            info = backend.locate(simulator.location)
            assert info is not None
            signer = stack.enter_context(backend.open(info, Silent()))  # type: ignore[arg-type]
            assert isinstance(signer, LedgerEthereumSigner)
            return signer, simulator

        yield opened


def account_of(signer: LedgerEthereumSigner, chain_id: int = 1) -> EthereumAccount:
    return EthereumAccount(chain_id, KeyOrigin(UNKNOWN, HOME), signer.xpub(HOME))


def transaction(kind: int = 2, **changes: Any) -> UnsignedTransaction:
    fees = {"gas_price": Wei(2)} if kind != 2 else {"max_fee_per_gas": Wei(2), "max_priority_fee_per_gas": Wei(1)}
    fields = {"type": kind, "chain_id": 1, "nonce": 7, "to": Address(b"\x11" * 20), "value": Wei(5), "gas_limit": 21000}
    return UnsignedTransaction(**{**fields, **fees, **changes})


@pytest.mark.parametrize("chain", [1, 111, 31337, 5 * 10**9])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_transactions(device: Open, kind: int, chain: int) -> None:
    signer, _ = device()
    account = account_of(signer, chain)
    tx = transaction(kind, chain_id=chain)
    signed = request_transaction(signer, account.path(3), tx, sender=account.address(3))
    assert Account.recover_transaction(signed.serialize()) == str(account.address(3))


def test_calls_blind_and_not(device: Open) -> None:
    call = transaction(value=Wei(0), data=b"\x12\x34\x56\x78" + bytes(700), gas_limit=10**6)
    signer, _ = device(blind_signing=True)
    account = account_of(signer)
    request_transaction(signer, account.path(0), call, sender=account.address(0))
    cautious, simulator = device()
    with pytest.raises(UnsupportedError, match="turn on blind signing"):
        request_transaction(cautious, account.path(0), call, sender=account.address(0))
    assert not simulator.pages
    request_transaction(cautious, account.path(0), transaction(), sender=account.address(0))


def test_addresses_and_messages(device: Open) -> None:
    signer, simulator = device()
    account = account_of(signer)
    assert str(account.address(0)) == "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"
    assert confirm_address(signer, account, 2) == account.address(2)
    assert any(str(account.address(2)) in page.text for page in simulator.pages)
    for message in (b"hello", b"\x00\xff", b"long " * 200):
        request_personal_message(signer, account.path(1), message, sender=account.address(1))


def test_a_refusal_is_one_and_the_next_request_is_served(device: Open) -> None:
    signer, simulator = device(human=reject())
    account = account_of(signer)
    with pytest.raises(UserCancelledError):
        request_transaction(signer, account.path(0), transaction(), sender=account.address(0))
    simulator.human = approve()
    request_transaction(signer, account.path(0), transaction(), sender=account.address(0))


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.CHANGED_TRANSACTION, Lie.HIGH_S])
def test_lies_of_a_signature_are_found(device: Open, lie: Lie) -> None:
    signer, simulator = device()
    account = account_of(signer)
    simulator.lies.add(lie)
    with pytest.raises(SignerMisbehavedError):
        request_transaction(signer, account.path(0), transaction(), sender=account.address(0))


def test_a_wrong_address_is_found(device: Open) -> None:
    signer, simulator = device()
    account = account_of(signer)
    simulator.lies.add(Lie.WRONG_ADDRESS)
    with pytest.raises(SignerError):
        confirm_address(signer, account, 2)


@pytest.mark.parametrize("name", [name for name in RECORDED if not any(part in name for part in UNLIKE)])
def test_the_simulator_answers_what_the_real_app_answered(name: str) -> None:
    recorded = RECORDED[name]
    human = reject() if "refused" in name else approve()
    with (
        LedgerSimulator(
            mnemonic=WORDS, app="Ethereum", human=human, blind_signing=recorded["blind_signing"]
        ) as simulator,
        socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as connection,
    ):
        for command, reply in recorded["exchange"]:
            asked = bytes.fromhex(command)
            connection.sendall(len(asked).to_bytes(4, "big") + asked)
            size = int.from_bytes(read(connection, 4), "big")
            assert read(connection, size + 2).hex() == reply


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, "the simulator closed the connection"
        data += more
    return data


def test_versions_that_do_not_do_it_rightly_are_refused(device: Open) -> None:
    signer, simulator = device(version="1.21.3")
    sender = account_of(signer).address(0)
    request_transaction(signer, HOME / 0 / 0, transaction(2), sender=sender)
    before = len(simulator.pages)
    with pytest.raises(SignerError, match="blind signing setting") as caught:
        request_transaction(
            signer, HOME / 0 / 0, transaction(2, data=b"\x01\x02\x03\x04", gas_limit=90_000), sender=sender
        )
    assert caught.value.code == "signer.firmware"
    assert len(simulator.pages) == before
