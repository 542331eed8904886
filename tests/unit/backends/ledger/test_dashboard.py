from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.backends.ledger.apdu import Reply
from bursar.backends.ledger.dashboard import (
    AppInfo,
    DeviceVersion,
    app_info,
    close_app,
    device_version,
    open_app,
    parse_app_info,
)
from bursar.backends.ledger.models import model_of_product, model_of_target
from bursar.backends.ledger.status import refusal
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UserCancelledError,
)


def test_the_open_app_is_told_as_the_real_one_does(scripted: Any) -> None:
    link, transport = scripted(bytes.fromhex("010c426974636f696e205465737405322e342e3601009000"))
    assert link.run(app_info()) == AppInfo("Bitcoin Test", "2.4.6", b"\0")
    assert transport.sent == [bytes.fromhex("b001000000")]


def test_names_of_apps_hold_nothing_a_terminal_obeys(app_answer: Callable[..., bytes]) -> None:
    found = parse_app_info(Reply.parse(app_answer("Bit\x1b[2Jcoin", "2\n1")))
    assert (found.name, found.version) == ("Bit?[2Jcoin", "2?1")


@given(st.binary(max_size=60), st.sampled_from([0x9000, 0x6985]))
def test_garbage_names_no_app(data: bytes, status: int) -> None:
    try:
        found = parse_app_info(Reply(status, data))
    except SignerMisbehavedError:
        return
    assert data[0] == 1
    assert found.name.isprintable()
    assert found.version


def test_the_dashboards_version(scripted: Any) -> None:
    link, transport = scripted(bytes.fromhex("33100004") + b"\x051.1.1\x04\xe6\0\0\0\x042.30\x90\0", b"123\x90\0")
    assert link.run(device_version()) == DeviceVersion("Ledger Nano S Plus", "1.1.1")
    assert transport.sent == [bytes.fromhex("e001000000")]
    with pytest.raises(SignerMisbehavedError):
        link.run(device_version())


def test_opening_an_app_is_confirmed_by_a_human(scripted: Any, human: Any) -> None:
    link, transport = scripted(b"\x90\0", b"\x55\x01", b"\x68\x07", b"\x67\0", b"\x90\0", b"\x6e\0")
    link.run(open_app("Bitcoin"))
    assert transport.sent == [bytes.fromhex("e0d8000007") + b"Bitcoin"]
    assert human.kinds == ["confirm"]
    with pytest.raises(UserCancelledError):
        link.run(open_app("Bitcoin"))
    with pytest.raises(SignerUnavailableError, match="no app called Ethereum"):
        link.run(open_app("Ethereum"))
    with pytest.raises(SignerError, match="6700"):
        link.run(open_app("Ethereum"))
    link.run(close_app())
    with pytest.raises(SignerUnavailableError):
        link.run(close_app())
    with pytest.raises(InvalidInputError):
        link.run(open_app("Bitc\xf6in"))


@pytest.mark.parametrize(
    ("product", "model"),
    [
        (0x1011, "Ledger Nano S"),
        (0x4015, "Ledger Nano X"),
        (0x5011, "Ledger Nano S Plus"),
        (0x6011, "Ledger Stax"),
        (0x7011, "Ledger Flex"),
        (0x8011, "Ledger Nano Gen5"),
        (0x0001, "Ledger Nano S"),
        (0x9011, "unknown Ledger (9011)"),
    ],
)
def test_models_by_product(product: int, model: str) -> None:
    assert model_of_product(product) == model


def test_models_by_target() -> None:
    assert model_of_target(0x33300004) == "Ledger Flex"
    assert model_of_target(0x12345678) == "unknown Ledger (target 12345678)"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (0x6985, UserCancelledError, "signer.cancelled"),
        (0x5515, SignerUnavailableError, "signer.locked"),
        (0x6901, SignerUnavailableError, "signer.busy"),
        (0x6E00, SignerUnavailableError, "signer.app"),
        (0x6F42, SignerError, "signer.refused"),
        (0x0001, SignerMisbehavedError, "signer.misbehaved"),
    ],
)
def test_statuses_in_words(status: int, kind: type[SignerError], code: str) -> None:
    error = refusal(Reply(status, b"\x00\x03"), "the transaction")
    assert type(error) is kind
    assert error.code == code
