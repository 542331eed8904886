"""Single coins at the command line: listed, frozen, chosen; transfers taken back, lifted, joined; payment URIs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.uri import PaymentUri
from bursar.errors import ConflictError, InsufficientFundsError, InvalidInputError

PASSWORD = "correct horse battery"
PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def coins(line: Any, account: str) -> list[dict[str, Any]]:
    return [one for one in line.json("coins", "list", account)["coins"] if one["state"] == "confirmed"]


def test_coins_are_listed_frozen_and_labelled(treasury: Any) -> None:
    first, *others = coins(treasury, "pots")
    assert others
    treasury.text("coins", "label", "pots", first["outpoint"], "rent, November")
    treasury.text("coins", "freeze", "pots", first["outpoint"], others[0]["address"])
    after = {one["outpoint"]: one for one in treasury.json("coins", "list", "pots", "--offline")["coins"]}
    assert after[first["outpoint"]]["frozen"] is True
    assert after[first["outpoint"]]["label"] == "rent, November"
    assert after[others[0]["outpoint"]]["frozen"] is True
    assert "frozen" in treasury.text("coins", "list", "pots", "--offline")
    with pytest.raises(InvalidInputError):
        treasury.text("send", "pots", PAYEE, "1000sat", "--coin", first["outpoint"], "--dry-run")
    treasury.text("coins", "unfreeze", "pots", first["outpoint"])
    assert treasury.json("labels", "list", "pots")["labels"][0]["label"] == "rent, November"
    with pytest.raises(InvalidInputError):
        treasury.text("coins", "freeze", "pots", "nothing")
    assert "No coins" in treasury.text("coins", "list", "vault")


def test_coins_are_chosen(treasury: Any) -> None:
    found = sorted(coins(treasury, "pots"), key=lambda one: int(one["value"]))
    small, large = found[0], found[-1]

    def dry(*words: str) -> Any:
        return treasury.json("send", "pots", PAYEE, *words, "--dry-run")["review"]

    only = dry("0.001btc", "--coin", small["outpoint"], "--only-coins", "--fee-rate", "2sat/vb")
    change = int(only["change"][0]["amount"])
    assert change == int(small["value"]) - 100_000 - int(only["fee"])
    with pytest.raises(InsufficientFundsError):
        dry("0.15btc", "--coin", small["outpoint"], "--only-coins")
    with pytest.raises(InsufficientFundsError):
        dry("0.15btc", "--exclude", large["outpoint"], "--exclude", large["address"])
    borne = dry("0.001btc", "--subtract-fee", "--strategy", "oldest", "--min-confirmations", "1")
    assert int(borne["payments"][0]["amount"]) == 100_000 - int(borne["fee"])
    noted = dry("0.001btc", "--data", "0xc0ffee", "--strategy", "privacy")
    assert "c0ffee" in str(noted)
    for words in (("--data", "0xzz"), ("--coin", "nothing"), ("--min-confirmations", "9999")):
        with pytest.raises((InvalidInputError, InsufficientFundsError)):
            dry("0.001btc", *words)
    with pytest.raises(InvalidInputError, match="bitcoin accounts"):
        treasury.text("send", "gas", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "1wei", "--subtract-fee")


def test_taken_back_lifted_and_joined(treasury: Any, box: Any) -> None:
    pay = ("send", "pots", PAYEE, "0.001btc", "--fee-rate", "2sat/vb", "--yes")
    sent = treasury.json(*pay, answers=[PASSWORD])["transfer"]
    child = treasury.json("cpfp", sent["id"][:8], "--fee-rate", "20sat/vb", "--yes", answers=[PASSWORD])
    assert child["review"]["payments"] == []
    assert child["transfer"]["state"] == "sent"
    box.mine(1)
    late = treasury.json(*pay, answers=[PASSWORD])["transfer"]
    gone = treasury.json("cancel", late["txid"], "--fee-rate", "20sat/vb", "--yes", answers=[PASSWORD])
    assert gone["review"]["replaces"] == late["txid"]
    box.mine(1)
    states = {one["id"]: one["state"] for one in treasury.json("history", "pots", "--transfers")["transfers"]}
    assert (states[sent["id"]], states[child["transfer"]["id"]]) == ("confirmed", "confirmed")
    assert (states[late["id"]], states[gone["transfer"]["id"]]) == ("replaced", "confirmed")
    with pytest.raises(ConflictError):
        treasury.text("cancel", sent["id"], "--yes")
    before = len(coins(treasury, "pots"))
    joined = treasury.json("consolidate", "pots", "--most", "2", "--fee-rate", "1sat/vb", "--yes", answers=[PASSWORD])
    assert joined["review"]["payments"] == []
    box.mine(1)
    assert len(coins(treasury, "pots")) == before - 1


def test_a_payment_to_us_is_lifted_by_its_txid(treasury: Any, box: Any) -> None:
    address = treasury.json("address", "new", "board")["address"]["address"]
    sent = treasury.json("send", "pots", address, "0.004btc", "--yes", "--fee-rate", "2sat/vb", answers=[PASSWORD])
    txid = sent["transfer"]["txid"]
    words = ("cpfp", txid, "--account", "board", "--fee-rate", "15sat/vb", "--yes", "--signer", "software:gamma")
    child = treasury.json(*words, "--cosigner", "28645006", "--cosigner", "73c5da0a", answers=[PASSWORD])
    assert child["signing"]["have"] == ["28645006"]
    released = treasury.run("cancel", child["transfer"]["id"])
    assert isinstance(released.exception, ConflictError)  # a signature exists
    box.mine(1)
    for words in (("cpfp", "f" * 64), ("cpfp", "abc", "--account", "board"), ("cpfp", "f" * 64, "--account", "gas")):
        with pytest.raises(InvalidInputError):
            treasury.text(*words, "--yes")
    with pytest.raises(InvalidInputError, match="ethereum"):
        treasury.text("consolidate", "gas")


def test_a_payment_uri_asks_and_is_paid(treasury: Any, tmp_path: Path) -> None:
    image = tmp_path / "request.png"
    words = ("--amount", "0.05btc", "--label", "Alice & Co", "--message", "invoice 12")
    asked = treasury.json("address", "uri", "vault", *words, "--png", str(image))["request"]
    uri = PaymentUri.from_text(asked["uri"], Network.REGTEST)
    assert (int(uri.amount or 0), uri.label, uri.message) == (5_000_000, "Alice & Co", "invoice 12")
    assert image.read_bytes()[:4] == b"\x89PNG"
    assert "█" in treasury.text("address", "uri", "vault", "--qr")
    again = treasury.json("address", "uri", "vault", "--address", asked["address"]["address"])["request"]
    assert again["uri"] == f"bitcoin:{asked['address']['address']}"
    assert again["qr_text"] == again["uri"].upper()
    review = treasury.json("send", "pots", asked["uri"], PAYEE, "0.001btc", "--dry-run")["review"]
    assert [one["amount"] for one in review["payments"]] == ["5000000", "100000"]
    bare = treasury.json("send", "pots", again["uri"], "0.002btc", "--dry-run")["review"]
    assert bare["payments"][0]["amount"] == "200000"


@pytest.mark.parametrize(
    "words",
    [
        ("send", "pots", f"bitcoin:{PAYEE}?amount=0.1", "0.2btc"),
        ("send", "pots", f"bitcoin:{PAYEE}"),
        ("send", "pots", f"bitcoin:{PAYEE}?amount=0.1&req-unheard=1"),
        ("send", "pots", "bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=0.1"),
        ("send", "gas", f"bitcoin:{PAYEE}?amount=0.1"),
        ("address", "uri", "pots", "--amount", "1"),
        ("address", "uri", "gas", "--label", "Corner Shop"),
        ("address", "uri", "gas", "--amount", "all"),
        ("address", "uri", "pots", "--address", PAYEE),
        ("address", "uri", "pots", "--label", "two\nlines"),
    ],
)
def test_what_no_uri_says(treasury: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        treasury.text(*words)
