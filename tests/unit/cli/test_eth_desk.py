"""``bursar eth deposits``, and what a desk does by hand: gaps told and filled, tokens forgotten, strangers refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bursar.errors import InvalidInputError
from bursar.wallet.wallet import Wallet

from .test_eth_sending import PAYEE, SPENDER, desk, desk_home, holder, send

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

__all__ = ["desk", "desk_home"]  # fixtures


def test_a_gap_that_is_told_is_filled(desk: CommandLine, box: Any) -> None:
    sender = holder(desk)
    (before,) = [one for one in desk.json("eth", "nonces", "desk")["nonces"] if one["sender"] == sender]
    missing = before["next"]
    told = desk.text("eth", "nonces", "desk", "--accept", str(missing + 1))
    assert f"Nonce {missing} is left out" in told
    send(desk, "send", "desk", PAYEE, "0.01eth")
    assert "missing (free)" in desk.text("eth", "nonces", "desk")
    filled = send(desk, "nonces", "desk", "--fill", str(missing))
    assert filled["review"]["payments"] == []
    box.mine_ethereum(1)
    (after,) = [one for one in desk.json("eth", "nonces", "desk")["nonces"] if one["sender"] == sender]
    assert (after["mined"], after["gaps"]) == (missing + 2, [])


def test_strangers_addresses_and_twins_of_tokens_are_refused(desk: CommandLine, box: Any) -> None:
    token, unit = box.token, box.token.symbol.lower()
    desk.json("eth", "token", "add", "desk", token.contract, "--yes")
    for words in (
        ("eth", "nonces", "desk", "--from", PAYEE),
        ("eth", "nonces", "desk", "--fill", "3", "--accept", "4"),
        ("eth", "allowance", "show", "desk", unit, SPENDER, "--from", PAYEE),
        ("eth", "nft", "show", "desk", PAYEE, "7"),
        ("account", "token", "desk", SPENDER, token.symbol, "6"),
    ):
        with pytest.raises(InvalidInputError):
            desk.run_or_raise(*words)
    desk.text("account", "add", "theirs", "--chain", "ethereum", "--address", PAYEE)
    for group in (("eth",), ()):
        with pytest.raises(InvalidInputError, match="only watched"):
            desk.json(*group, "send", "theirs", SPENDER, "1wei", "--yes")
    with Wallet.open(desk.home / "wallet.db") as store:
        assert store.transfers("theirs") == ()


def test_a_token_is_forgotten(desk: CommandLine, box: Any) -> None:
    unit = box.token.symbol.lower()
    desk.json("eth", "token", "add", "desk", box.token.contract, "--yes")
    assert desk.json("eth", "token", "remove", "desk", unit)["removed"]["contract"] == box.token.contract
    assert desk.json("eth", "token", "list", "desk")["tokens"] == []
    desk.text("eth", "token", "add", "desk", box.token.contract, "--yes")
    assert "is forgotten" in desk.text("eth", "token", "remove", "desk", box.token.contract)


def test_deposits_are_listed_and_looked_for_again(desk: CommandLine, box: Any) -> None:
    desk.json("eth", "deposits", "desk")
    box.fund_ether(holder(desk), 3 * 10**18)
    box.fund_token(holder(desk), 7_000_000)  # not registered: kept, and not shown
    found = desk.json("eth", "deposits", "desk")
    (ether,) = [one for one in found["deposits"] if one["amount"] == str(3 * 10**18)]
    assert (ether["of"], ether["state"], found["not_shown"]) == ("ether", "seen", 1)
    text = desk.text("eth", "deposits", "desk", "--offline")
    assert "+3 ETH" in text
    assert "1 more is not shown" in text
    hidden = desk.text("eth", "deposits", "desk", "--offline", "--hidden")
    assert "token, unregistered" in hidden
    assert "not shown" not in hidden
    desk.text("eth", "token", "add", "desk", box.token.contract, "--yes")
    box.mine_ethereum(12)
    again = desk.json("eth", "deposits", "desk", "--rescan-from", str(ether["height"]))["deposits"]
    mine = [one for one in again if one["txid"] == ether["txid"] and one["state"] != "reversed"]
    assert [one["state"] for one in mine] == ["confirmed"]
    assert any(one["of"] == "token" and one["amount"] == "7000000" for one in again)
    with pytest.raises(InvalidInputError, match="on bitcoin"):
        desk.json("eth", "deposits", "savings")
    with pytest.raises(InvalidInputError, match="not synced"):
        desk.json("eth", "deposits", "desk", "--rescan-from", "999999999")


def test_a_contract_is_made_of_a_compilers_json_with_arguments(desk: CommandLine, box: Any, tmp_path: Path) -> None:
    stand_in = (
        Path(__file__).parents[3] / "examples" / "contracts" / "StandInSafe.json"
    )  # takes more than 1,000,000 gas
    words = ("call", "desk", "--create", str(stand_in), "constructor(address[],uint256)", f'["{PAYEE}"]', "1")
    review = desk.json("eth", *words, "--dry-run")["review"]
    assert review["extra"]["gas limit"] > 1_000_000
    (tmp_path / "none.json").write_text('{"abi": []}')
    for wrong in (
        ("--create", str(tmp_path / "none.json")),
        ("--create", str(stand_in), PAYEE),
        ("--create", str(stand_in), "setup(address)", PAYEE),
        ("--create", str(stand_in), "--data", "0x00"),
    ):
        with pytest.raises(InvalidInputError):
            desk.json("eth", "call", "desk", *wrong, "--dry-run")
