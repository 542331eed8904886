"""Accounts of several signers: the set-up session, the first signature, the others here and by file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.errors import ConflictError, InvalidInputError, PolicyDeniedError, UserCancelledError

PASSWORD = "correct horse battery"
PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def test_a_set_up_session(signers: Any, tmp_path: Path) -> None:
    token, record = tmp_path / "session.token", tmp_path / "board.bsms"
    signers.text("multisig", "token", str(token))
    assert token.stat().st_mode & 0o077 == 0
    files = []
    for name in ("main", "beta"):
        file = tmp_path / f"{name}.dat"
        words = ("--kind", "sh-wsh", "--number", "3", "--token", str(token), "--describe", f"{name} in a drawer")
        made = signers.json(
            "multisig", "key", *words, "--signer", f"software:{name}", "-o", str(file), answers=[PASSWORD]
        )
        assert made["key"].split("]")[0].endswith("48h/1h/3h/1h")
        assert "tpub" not in file.read_text()  # encrypted
        files.append(str(file))
    create = ("multisig", "create", "pair", "2", *files, "--kind", "sh-wsh")
    with pytest.raises(InvalidInputError, match="--token"):
        signers.text(*create)
    created = signers.json(*create, "--token", str(token), "--record", str(record))
    assert created["first"].startswith("2")
    assert created["account"]["signers"] == ["73c5da0a", "b8688df1"]
    other = tmp_path / "other.token"
    signers.text("multisig", "token", str(other), "--extended")
    with pytest.raises(InvalidInputError):
        signers.text("multisig", "create", "more", "1", *files, "--token", str(other))
    assert "tpub" not in record.read_text()
    assert "2 of 2, P2SH-P2WSH" in signers.text("account", "list")


@pytest.mark.parametrize("words", [("9", "KEY"), ("1", "nothing"), ("2", "KEY", "KEY")])
def test_what_is_no_multisig(signers: Any, words: tuple[str, ...]) -> None:
    key = signers.json("multisig", "key", "--signer", "software:beta", "--number", "5", answers=[PASSWORD])["key"]
    with pytest.raises(InvalidInputError):
        signers.text("multisig", "create", "new", *(key if word == "KEY" else word for word in words))


def test_signatures_here_and_by_file(treasury: Any, box: Any, tmp_path: Path) -> None:
    pay = ("send", "board", f"bitcoin:{PAYEE}?amount=0.1", "--memo", "rent")
    first = treasury.json(*pay, "--signer", "software:main", answers=["y", PASSWORD])
    assert "Approve it for signing?" in "".join(treasury.answers.heard)
    transfer = first["transfer"]["id"]
    assert (first["transfer"]["state"], first["signing"]["have"]) == ("approved", ["73c5da0a"])
    with pytest.raises(InvalidInputError, match=r"name one with --signer \(software:beta, software:gamma\)"):
        treasury.text("sign", transfer, "--yes")
    with pytest.raises(UserCancelledError):
        treasury.text("sign", transfer, answers=["n"])
    out, back = tmp_path / "out.psbt", tmp_path / "back.psbt"
    treasury.text("sign", transfer[:8], "--export", str(out))
    treasury.text(
        "psbt", "sign", str(out), "--signer", "software:beta", "-o", str(back), answers=["y", PASSWORD]
    )  # as a cosigner elsewhere does, whose wallet knows the account and not the transfer
    assert "0.1 BTC  to" in "".join(treasury.answers.heard)
    held = treasury.json("sign", transfer, "--import", str(back), "--no-send")
    assert (held["transfer"]["state"], held["signing"]["count"]) == ("signed", 2)
    sent = treasury.json("sign", transfer, "--yes")
    assert sent["transfer"]["state"] == "sent"
    assert sent["review"]["payments"][0]["amount"] == "10000000"
    box.mine(1)
    assert treasury.json("history", "board", "--transfers")["transfers"][0]["state"] == "confirmed"


def test_a_transfer_some_signed_and_others_will_not(treasury: Any) -> None:
    pay = ("send", "board", PAYEE, "0.03btc", "--yes", "--signer", "software:main")
    transfer = treasury.json(*pay, answers=[PASSWORD])["transfer"]["id"]
    with pytest.raises(ConflictError):
        treasury.text("cancel", transfer)
    with pytest.raises(UserCancelledError):
        treasury.text("cancel", transfer, "--abandon", answers=["n"])
    assert "other hands" in "".join(treasury.answers.heard)
    assert treasury.json("cancel", transfer, "--abandon", answers=["y"])["transfer"]["state"] == "cancelled"
    assert not any(coin["reserved_by"] for coin in treasury.json("coins", "list", "board", "--offline")["coins"])


def test_one_signer_that_is_here_is_found(treasury: Any) -> None:
    (treasury.home / "keystores" / "gamma.json").unlink()
    pay = ("send", "board", PAYEE, "0.02btc", "--yes", "--signer", "software:main")
    transfer = treasury.json(*pay, answers=[PASSWORD])["transfer"]["id"]
    assert treasury.json("sign", transfer, "--yes", answers=[PASSWORD])["transfer"]["state"] == "sent"


def test_the_policy_decides_about_them_too(treasury: Any) -> None:
    policy = treasury.home / "policy.toml"
    policy.write_text(policy.read_text().replace('max = "1btc"', 'max = "1000sat"'))
    with pytest.raises(PolicyDeniedError):
        treasury.text("send", "board", PAYEE, "0.1btc", "--yes")


def test_sign_is_for_several(treasury: Any) -> None:
    made = treasury.json("send", "pots", PAYEE, "0.001btc", "--yes", answers=[PASSWORD])["transfer"]
    with pytest.raises(InvalidInputError, match="one signer"):
        treasury.text("sign", made["id"])
