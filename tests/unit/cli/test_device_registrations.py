"""``bursar device register``, ``registrations`` and ``retire`` with a simulated Ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("bursar_devices.ledger")

from bursar_devices.humans import approve, reject
from bursar_devices.ledger import LedgerSimulator

from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
HOME = DerivationPath.from_text("m/48h/1h/0h/2h")


@pytest.fixture
def ledger() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(human=approve(), mnemonic=WORDS) as made:
        yield made


def stranger(number: int) -> str:
    with (
        ExtendedPrivateKey.from_seed(b"a stranger %02d of board" % number, testnet=True) as root,
        root.derive(HOME) as key,
    ):
        return f"[{KeyOrigin(root.fingerprint, HOME)}]{key.public()}"


def test_an_account_is_registered_shown_listed_and_retired(wallet: Any, ledger: LedgerSimulator) -> None:
    own = wallet.json("multisig", "key", "--signer", ledger.selector)["key"]
    made = wallet.json("multisig", "create", "board", "2", stranger(1), own, stranger(2))
    assert wallet.json("device", "registrations")["registrations"] == []
    assert "Nothing is registered" in wallet.text("device", "registrations")
    show = ("address", "show", "board", "0", "--on-device", "--signer", ledger.selector)
    with pytest.raises(UnsupportedError, match="bursar device register"):
        wallet.json(*show)
    told = wallet.run("device", "register", "board", "--name", "Board 2 of 3", "--signer", ledger.selector)
    assert told.exception is None
    assert "knows board as Board 2 of 3" in told.stdout
    assert made["first"] in told.stdout
    assert "@1 [" in told.stderr
    assert wallet.json(*show)["address"]["address"] == made["first"]
    (one,) = wallet.json("device", "registrations")["registrations"]
    assert (one["name"], one["template"], one["retired"]) == (
        "Board 2 of 3",
        "wsh(sortedmulti(2,@0/**,@1/**,@2/**))",
        False,
    )
    assert "hmac" not in one
    with pytest.raises(UserCancelledError):
        wallet.text("device", "retire", one["id"][:8], answers=["no"])
    wallet.text("device", "retire", one["id"][:8], answers=["retire"])
    assert "retired" in wallet.text("device", "registrations")
    with pytest.raises(UnsupportedError, match="was retired"):
        wallet.json(*show)
    again = wallet.json("device", "register", "board", "--signer", ledger.selector)
    assert again["registration"]["name"] == "board"
    assert wallet.json(*show)["address"]["confirmed_on_device"] is True
    with pytest.raises(InvalidInputError, match="no registrations begin with 'zz'"):
        wallet.json("device", "retire", "zz", "--confirm", "retire")


def test_what_is_not_registered(wallet: Any, ledger: LedgerSimulator) -> None:
    wallet.json("multisig", "create", "others", "1", stranger(1), stranger(2))
    with pytest.raises(InvalidInputError) as caught:
        wallet.json("device", "register", "others", "--signer", ledger.selector)
    assert caught.value.code == "input.signer.other"
    with pytest.raises(InvalidInputError, match="nothing to register"):
        wallet.json("device", "register", "gas", "--signer", ledger.selector)
    own = wallet.json("multisig", "key", "--signer", ledger.selector)["key"]
    wallet.json("multisig", "create", "board", "2", own, stranger(2))
    ledger.human = reject()
    with pytest.raises(UserCancelledError):
        wallet.json("device", "register", "board", "--signer", ledger.selector)
    with pytest.raises(InvalidInputError) as caught:
        wallet.json("device", "register", "board", "--name", "x" * 65, "--signer", ledger.selector)
    assert caught.value.code == "input.wallet-policy"
    assert wallet.json("device", "registrations")["registrations"] == []
