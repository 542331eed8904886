"""Messages by BIP-322 and proofs of funds: every kind of address, one signer or several, held against the chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.errors import InvalidInputError, InvalidSignatureError

PASSWORD = "correct horse battery"
PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MESSAGE = "We own this"


@pytest.mark.parametrize(
    ("account", "words", "beginning"),
    [
        ("savings", (), "H|I|J|K"),
        ("savings", ("--format", "bip322"), "smp"),
        ("savings", ("--full",), "ful"),
        ("vault", (), "smp"),
        ("vault", ("--change",), "smp"),
    ],
)
def test_one_key(wallet: Any, account: str, words: tuple[str, ...], beginning: str) -> None:
    signed = wallet.json("message", "sign", account, "3", MESSAGE, *words, answers=[PASSWORD])
    assert signed["signature"].startswith(tuple(beginning.split("|")))
    shown = wallet.json("address", "show", account, "3", *(("--change",) if words == ("--change",) else ()))
    assert signed["address"] == shown["address"]["address"]
    checked = wallet.json("message", "verify", signed["address"], signed["signature"], MESSAGE)
    assert (checked["verified"], checked["coins"]) == (True, [])
    with pytest.raises(InvalidSignatureError):
        wallet.text("message", "verify", signed["address"], signed["signature"], "We own that")


def test_two_of_three_by_file(signers: Any, tmp_path: Path) -> None:
    half = tmp_path / "half.psbt"
    sign = ("message", "sign", "board", "0", MESSAGE)
    with pytest.raises(InvalidInputError, match="name one with --signer"):
        signers.text(*sign)
    begun = signers.json(*sign, "--signer", "software:main", "--export", str(half), answers=[PASSWORD])
    assert (begun["complete"], begun["state"]) == (False, "1 of 2 signatures")
    done = signers.json(*sign, "--signer", "software:gamma", "--import", str(half), answers=[PASSWORD])
    assert signers.json("message", "verify", done["address"], done["signature"], MESSAGE)["format"] == "simple"
    with pytest.raises(InvalidInputError):  # signatures of another message
        signers.text("message", "sign", "board", "0", "other", "--import", str(half), "--signer", "software:gamma")
    for name in ("main", "beta", "gamma"):
        (signers.home / "keystores" / f"{name}.json").unlink()
    with pytest.raises(InvalidInputError, match="--export"):
        signers.text(*sign)
    unsigned = tmp_path / "unsigned.psbt"
    assert signers.json(*sign, "--export", str(unsigned))["state"] == "0 of 2 signatures"  # nobody is asked


@pytest.mark.parametrize(
    "words",
    [
        ("vault", "--format", "legacy"),
        ("board", "--format", "legacy"),
        ("savings", "--format", "legacy", "--full"),
        ("gas", "--full"),
        ("gas", "--change"),
    ],
)
def test_what_has_no_such_form(signers: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        signers.text("message", "sign", words[0], "0", MESSAGE, *words[1:])


def test_a_proof_of_funds_holds_until_the_coins_move(treasury: Any, box: Any, tmp_path: Path) -> None:
    proof, half, whole = (tmp_path / name for name in ("proof.txt", "half.psbt", "board.txt"))
    made = treasury.json("message", "prove", "pots", MESSAGE, "-o", str(proof), answers=[PASSWORD])
    assert proof.read_text().startswith("pof")
    checked = treasury.json("message", "verify-funds", made["address"], str(proof), MESSAGE)
    assert checked["coins_checked"] is True
    assert sum(int(one["amount"]) for one in checked["coins"]) == int(made["amount"])
    claimed = treasury.text("message", "verify", made["address"], str(proof), MESSAGE)
    assert "bursar message verify-funds" in claimed

    prove = ("message", "prove", "board", MESSAGE)
    treasury.text(*prove, "--signer", "software:beta", "--export", str(half), answers=[PASSWORD])
    answers = [PASSWORD]
    treasury.text(*prove, "--signer", "software:main", "--import", str(half), "-o", str(whole), answers=answers)
    board = treasury.json("address", "show", "board", "0")["address"]["address"]
    assert "unspent on the chain now" in treasury.text("message", "verify-funds", board, str(whole), MESSAGE)

    (one, *_) = made["coins"]
    treasury.text("send", "pots", PAYEE, "0.001btc", "--coin", one, "--only-coins", "--yes", answers=[PASSWORD])
    with pytest.raises(InvalidSignatureError, match="about to be spent"):
        treasury.text("message", "verify-funds", made["address"], str(proof), MESSAGE)
    box.mine(1)
    with pytest.raises(InvalidSignatureError, match="none of those known"):
        treasury.text("message", "verify-funds", made["address"], str(proof), MESSAGE)
    with pytest.raises(InvalidInputError, match="no confirmed coin"):
        treasury.text("message", "prove", "pots", MESSAGE, "--coin", one)


def test_what_shows_no_funds(treasury: Any) -> None:
    signed = treasury.json("message", "sign", "pots", "0", MESSAGE, "--full", answers=[PASSWORD])
    with pytest.raises(InvalidInputError, match="shows no coins"):
        treasury.text("message", "verify-funds", signed["address"], signed["signature"], MESSAGE)
    for account in ("vault", "gas"):
        with pytest.raises(InvalidInputError):
            treasury.text("message", "prove", account, MESSAGE)
