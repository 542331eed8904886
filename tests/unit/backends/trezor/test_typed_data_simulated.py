"""Typed data on simulated Trezors: field by field, or by its hashes; and devices that ask for other things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.device import Lie
from bursar_devices.humans import approve, reject
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator
from trezorlib import messages as m

from bursar.backends.trezor import TrezorBackend
from bursar.backends.trezor.abilities import Firmware
from bursar.backends.trezor.conversation import Patience
from bursar.backends.trezor.ethereum_typed_data import sign_typed_data
from bursar.errors import BursarError, SignerMisbehavedError, UnsupportedError, UserCancelledError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data import TypedData
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_typed_data
from bursar.signing.conformance import CASES, Profile, run_case

HOME = DerivationPath.from_text("m/44h/60h/0h")
PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
TYPES = {
    "EIP712Domain": DOMAIN,
    "Person": [("name", "string"), ("wallets", "address[]")],
    "Mail": [("from", "Person"), ("to", "Person[]"), ("amount", "int64"), ("flags", "bool[2]"), ("mark", "bytes4")],
}
VALUES = {"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": Address(b"\xcc" * 20)}
COW = {"name": "Cow ☃", "wallets": (Address(b"\x11" * 20), Address(b"\x22" * 20))}
MESSAGE = {"from": COW, "to": (COW, {"name": "", "wallets": ()}), "amount": -5, "flags": (True, False), "mark": b"abcd"}
MAIL = TypedData.of(TYPES, "Mail", VALUES, MESSAGE)
MODERN = Firmware("T3T1", (2, 8, 9))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def make(**options: Any) -> SimpleNamespace:
        simulator = TrezorSimulator(**{"human": approve(), **options}).start()
        opened.append(simulator)
        backend = TrezorBackend(locks=tmp_path / "locks", patience=Patience(device=5, human=5, whole=60))
        found = backend.locate(simulator.location)
        assert found is not None
        prompt = BenchPrompt()
        signer = backend.open(found, prompt)
        opened.append(signer)
        account = EthereumAccount(1, KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
        return SimpleNamespace(signer=signer, simulator=simulator, prompt=prompt, account=account)

    yield make
    for one in reversed(opened):
        one.close()


def sign(device: Any, typed: TypedData = MAIL) -> Any:
    return request_typed_data(
        device.signer, device.account.path(3), typed, sender=device.account.address(3), chain_id=1
    )


@pytest.mark.parametrize("model", ["T1B1", "T2T1", "T3T1"])
def test_it_signs_and_the_human_knows_what_is_shown(device: Callable[..., Any], model: str) -> None:
    one = device(model=model)
    sign(one)
    told = [event.text for event in one.prompt.heard if "hashes" in event.text]
    shown = "".join("".join(page.lines) for page in one.simulator.pages)
    if model == "T1B1":
        assert len(told) == 1
        assert MAIL.message_hash.hex().upper() in told[0]
        assert MAIL.message_hash.hex() in shown.lower()
        assert MAIL.domain_separator.hex() in shown.lower()
    else:
        assert told == []
        assert {page.title for page in one.simulator.pages} >= {"Mail.from.name", "Mail.to[0].wallets[1]", "Mail.mark"}
        assert "Ether Mail" in shown


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
def test_the_kit(device: Callable[..., Any], model: str) -> None:
    for case in CASES:
        if "typed" in case.name or case.name.startswith("nested"):
            one = device(model=model)
            assert run_case(case, lambda one=one: one.signer, profile=Profile(nested_arrays=model == "T1B1"))


def test_newer_firmware_compares_the_hash_and_shows_it(device: Callable[..., Any]) -> None:
    one = device(model="T3T1", firmware="2.9.1")
    sign(one)
    assert "Message hash" in {page.title for page in one.simulator.pages}


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
def test_refused_on_the_device(device: Callable[..., Any], model: str) -> None:
    one = device(model=model)
    one.simulator.human = reject()
    with pytest.raises(UserCancelledError):
        sign(one)
    one.simulator.human = approve()
    sign(one)


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
@pytest.mark.parametrize("lie", [Lie.CHANGED_TRANSACTION, Lie.WRONG_SIGNATURE, Lie.WRONG_KEY, Lie.HIGH_S])
def test_a_lying_device(device: Callable[..., Any], model: str, lie: Lie) -> None:
    one = device(model=model)
    one.simulator.lies.add(lie)
    with pytest.raises(SignerMisbehavedError):
        sign(one)


# --- the conversation alone ---


def converse(*replies: Any, typed: TypedData = MAIL, firmware: Firmware = MODERN) -> list[Any]:
    exchange = sign_typed_data(m, PATH, typed, firmware=firmware)
    asked = [next(exchange)]
    asked += [exchange.send(reply) for reply in replies]
    return asked


def ask(*path: int) -> Any:
    return m.EthereumTypedDataValueRequest(member_path=list(path))


def test_values_are_found_by_their_paths() -> None:
    paths = [
        (0, 0),
        (0, 2),
        (0, 3),
        (1, 0, 0),
        (1, 0, 1),
        (1, 0, 1, 1),
        (1, 1),
        (1, 1, 1, 0),
        (1, 2),
        (1, 3, 0),
        (1, 4),
    ]
    found = [reply.value for reply in converse(*[ask(*path) for path in paths])[1:]]
    assert found == [
        b"Ether Mail", bytes(31) + b"\1", b"\xcc" * 20, "Cow ☃".encode(), b"\0\2", b"\x22" * 20, b"\0\2", b"",
        b"\xff" * 7 + b"\xfb", b"\1", b"abcd",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "reply",
    [
        ask(),
        ask(0),
        ask(1),
        ask(2, 0),
        ask(0, 4),
        ask(1, 5),
        ask(1, 0),
        ask(1, 1, 0),
        ask(1, 1, 2, 0),
        ask(1, 0, 1, 2),
        ask(1, 2, 0),
        ask(1, 0, 0, 0),
        m.EthereumTypedDataStructRequest(name="Nobody"),
        m.EthereumTypedDataStructRequest(name="uint256"),
        m.Success(),
        m.EthereumTypedDataSignature(signature=b"\1" * 64, address=""),
        m.EthereumTypedDataSignature(signature=b"\1" * 64 + b"\x40", address=""),
        m.EthereumTypedDataSignature(signature=bytes(64) + b"\x1b", address=""),
        m.EthereumMessageSignature(signature=b"\1" * 65, address=""),
    ],
)
def test_a_device_that_asks_for_what_is_not_there(reply: Any) -> None:
    with pytest.raises(SignerMisbehavedError):
        converse(reply)


@pytest.mark.parametrize("reply", [ask(0, 0), m.EthereumTypedDataStructRequest(name="Mail")])
def test_a_device_that_asks_without_end(reply: Any) -> None:
    with pytest.raises(SignerMisbehavedError, match="more than the typed data holds"):
        converse(*[reply] * 10_000)


def test_what_it_cannot_sign() -> None:
    grid = TypedData.of(
        {"EIP712Domain": DOMAIN[2:3], "Grid": [("cells", "uint8[2][]")]}, "Grid", {"chainId": 1}, {"cells": ((1, 2),)}
    )
    for typed, firmware in ((grid, MODERN), (MAIL, Firmware("T2T1", (2, 5, 3))), (MAIL, Firmware("T1B1", (1, 10, 4)))):
        with pytest.raises(UnsupportedError) as caught:
            converse(typed=typed, firmware=firmware)
        assert caught.value.operation == "sign_typed_data"
    asked = converse(typed=grid, firmware=Firmware("T1B1", (1, 14, 1)))
    assert asked[0].message_hash == grid.message_hash
    with pytest.raises(BursarError):
        next(sign_typed_data(m, DerivationPath.from_text("m/44h/0h/0h/0/0"), MAIL, firmware=MODERN))
