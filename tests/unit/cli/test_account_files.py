"""Accounts from descriptors, and from and to the files of other wallets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bursar.crypto import base58
from bursar.errors import ConflictError, InvalidInputError

FORMATS = {
    "savings": ("core", "electrum", "specter-diy"),
    "board": ("descriptor", "bsms", "specter", "coldcard", "caravan"),
}


@pytest.mark.parametrize(("account", "form"), [(name, form) for name, forms in FORMATS.items() for form in forms])
def test_what_one_wallet_writes_the_other_reads(
    three_signers: Path, empty: Any, tmp_path: Path, account: str, form: str
) -> None:
    file = tmp_path / f"{form}.txt"
    there = type(empty)(three_signers)
    said = there.json("account", "export", account, "--format", form, "-o", str(file))["export"]
    (made,) = empty.json("account", "import", str(file), "--name", "copy")["accounts"]
    assert made["first"] == said["first"] == empty.json("address", "show", "copy", "0")["address"]["address"]
    here = there.json("account", "show", account)["account"]
    assert made["account"]["name"] == "copy"
    assert sorted(made["account"]["signers"]) == sorted(here["signers"])


def test_remarks_the_first_address_and_a_usable_name(wallet: Any, empty: Any, tmp_path: Path) -> None:
    file = tmp_path / "specter.json"
    told = wallet.text("account", "export", "savings", "--format", "specter", "-o", str(file))
    assert "First address: bcrt1q" in told
    document = json.loads(file.read_text())
    document["label"] = "vault (two)"
    file.write_text(json.dumps(document))
    with pytest.raises(ConflictError, match="savings"):
        wallet.text("account", "import", str(file))  # the same account under another name
    imported = empty.text("account", "import", str(file))
    assert "Account vault-two: BIP-84, P2WPKH on regtest; signer 73c5da0a" in imported
    assert "it names no change descriptor" in imported
    assert "wpkh([73c5da0a/84h/1h/0h]tpub" in wallet.text("account", "export", "savings")


def test_formats_refuse_what_they_cannot_hold(wallet: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Coldcard"):
        wallet.text("account", "export", "savings", "--format", "coldcard", "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(InvalidInputError, match="ethereum"):
        wallet.text("account", "export", "gas")
    (tmp_path / "nonsense").write_text("{}")
    with pytest.raises(InvalidInputError):
        wallet.text("account", "import", str(tmp_path / "nonsense"))


def test_a_descriptor_is_an_account(signers: Any, tmp_path: Path) -> None:
    text = signers.text("account", "export", "board").splitlines()[1]
    file = tmp_path / "board.txt"
    signers.text("account", "export", "board", "-o", str(file))
    with pytest.raises(InvalidInputError, match="bursar account import"):
        signers.text("account", "add", "all", "--descriptor", str(file))
    file.write_text(text.partition("#")[0].replace("sortedmulti(2", "multi(3"))
    added = signers.text("account", "add", "all", "--descriptor", str(file))
    assert "3 of 3, P2WSH" in added
    shown = signers.json("account", "show", "all")["account"]
    assert shown["signers"] == ["73c5da0a", "b8688df1", "28645006"]
    one = text.partition("#")[0].replace("multi(2", "multi(1")
    watched = signers.json("account", "add", "seen", "--descriptor", one, "--watch-only")
    assert watched["account"]["signers"] == []
    assert "watch only" in signers.text("account", "list")


def test_miniscript_is_told_in_words(signers: Any) -> None:
    key, other = (
        one.partition("]")[0] + "]" + one.partition("]")[2].partition("/")[0]
        for one in signers.text("account", "export", "board").splitlines()[1].partition("#")[0].split(",")[1:3]
    )
    text = f"wsh(or_d(pk({key}/<0;1>/*),and_v(v:pk({other.rstrip(')')}/<0;1>/*),older(144))))"
    added = signers.text("account", "add", "heir", "--descriptor", text)
    assert "144" in added
    assert "spent by" in signers.text("account", "show", "heir")


def test_an_extended_key_says_what_its_scripts_are_or_is_told(wallet: Any, empty: Any) -> None:
    tpub = wallet.text("account", "export", "savings").partition("]")[2].partition("/")[0]
    vpub = base58.encode_check(bytes.fromhex("045f1cf6") + base58.decode_check(tpub)[4:])  # SLIP-132: P2WPKH
    made = empty.json("account", "add", "bare", "--descriptor", vpub, "--watch-only")["account"]
    assert made["signers"] == []
    assert "wpkh(" in empty.json("account", "show", "bare")["account"]["descriptors"][0]
    with pytest.raises(InvalidInputError, match="--scheme"):
        empty.text("account", "add", "more", "--descriptor", tpub)
    empty.text("account", "add", "more", "--descriptor", tpub, "--scheme", "bip86", "--watch-only")
    with pytest.raises(InvalidInputError):
        empty.text("account", "add", "worse", "--descriptor", vpub, "--scheme", "bip86")


@pytest.mark.parametrize(
    "words",
    [
        ("--descriptor", "wpkh(nothing)"),
        ("--descriptor", "nothing"),
        ("--watch-only",),
        ("--descriptor", "wpkh(tpub)", "--number", "1"),
        ("--descriptor", "wpkh(tpub)", "--chain", "ethereum"),
        ("--descriptor", "wpkh(tpub)", "--scheme", "bip84"),
    ],
)
def test_what_is_no_account(wallet: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        wallet.text("account", "add", "new", *words)
