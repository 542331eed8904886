from __future__ import annotations

import pytest

from bursar.backends.ledger.apdu import Reply
from bursar.backends.ledger.bitcoin_app import is_usual_path, vendor_path
from bursar.backends.ledger.bitcoin_errors import MESSAGE, REGISTER, SIGN, bitcoin_refusal
from bursar.errors import (
    BursarError,
    InvalidInputError,
    SignerError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.path import DerivationPath


@pytest.mark.parametrize(
    ("status", "data", "doing", "kind", "words"),
    [
        (0x6A80, "0003", SIGN, InvalidInputError, "add the previous transaction (status 6a80, detail 0003)"),
        (0x6A80, "0000", SIGN, InvalidInputError, "register it first"),
        (0x6A80, "0000", REGISTER, InvalidInputError, "the name of the policy"),
        (0x6A80, "", SIGN, InvalidInputError, "something in the request that it does not accept (status 6a80)"),
        (0x6A80, "7777", SIGN, InvalidInputError, "does not accept (status 6a80, detail 7777)"),
        (0x6A80, "0003", MESSAGE, InvalidInputError, "does not accept (status 6a80, detail 0003)"),
        (0x6A82, "0009", SIGN, UnsupportedError, "more change outputs"),
        (0x6A82, "", SIGN, UnsupportedError, "does not allow these paths"),
        (0xB008, "", SIGN, UnsupportedError, "register the policy again"),
        (0xB007, "", SIGN, SignerError, "close the app"),
        (0x6985, "", SIGN, UserCancelledError, "the transaction was refused on the ledger"),
        (0x5515, "", SIGN, SignerUnavailableError, "enter the PIN"),
        (0x6D00, "", SIGN, SignerUnavailableError, "open the right app"),
    ],
)
def test_refusals_become_words(status: int, data: str, doing: str, kind: type[BursarError], words: str) -> None:
    error = bitcoin_refusal(Reply(status, bytes.fromhex(data)), doing, model="Bitcoin 2.4.6")
    assert type(error) is kind
    assert words in error.message


@pytest.mark.parametrize(
    ("path", "usual"),
    [
        ("m/84h/1h/0h", True),
        ("m/84h/1h/0h/1/7", True),
        ("m/44h/1h/100h", True),
        ("m/48h/1h/0h/2h", True),
        ("m/45h/1h/0h", True),
        ("m/48h/1h/0h", False),
        ("m/48h/1h/0h/3h", False),
        ("m/84h/0h/0h", False),
        ("m/84h/1h/101h", False),
        ("m/84h/1h", False),
        ("m/84h/1h/0", False),
        ("m/84h/1h/0h/1h", False),
        ("m/84/1h/0h", False),
        ("m", False),
    ],
)
def test_paths_the_app_gives_without_showing(path: str, usual: bool) -> None:
    assert is_usual_path(DerivationPath.from_text(path), 1) is usual


def test_the_vendors_mark_of_hardening() -> None:
    assert vendor_path(DerivationPath.from_text("m/84h/1h/0h/0/7")) == "m/84'/1'/0'/0/7"
