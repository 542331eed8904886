"""Silent payments: sent from a keystore in software, found by scanning, and not lost by a fee bump (BIP-352)."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from bursar.backends.software.signer import SoftwareSigner
from bursar.bitcoin.message import message_psbt
from bursar.bitcoin.network import Network
from bursar.bitcoin.silent_payments import PayingInput, SilentPaymentAddress, send_outputs
from bursar.cli.silent_book import Book
from bursar.crypto.kdf import Scrypt
from bursar.crypto.secp256k1 import taproot_tweak_secret
from bursar.crypto.secret import Secret
from bursar.errors import (
    BroadcastRejectedError,
    ChainUnavailableError,
    ConflictError,
    CorruptStoreError,
    InvalidInputError,
    PolicyDeniedError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.wallet.wallet import Wallet

PASSWORD = "correct horse battery"


def test_silent_payments_are_sent_found_and_protected(treasury: Any, box: Any) -> None:
    beta = ("--signer", "software:beta")
    assert "No silent payment address yet" in treasury.text("silent", "list")
    plain = treasury.text("silent", "address", *beta, answers=[PASSWORD]).strip()
    labelled = treasury.text("silent", "address", "--label", "3", *beta, answers=[PASSWORD]).strip()
    assert plain.startswith("tsp1")
    assert plain != labelled
    with pytest.raises(InvalidInputError, match="--from-height"):
        treasury.text("silent", "scan", *beta, answers=[PASSWORD])
    dry = treasury.json("send", "pots", plain, "0.002btc", "--dry-run", answers=[PASSWORD])
    assert "bcrt1p" in str(dry["review"]["payments"])
    sent = treasury.json("send", "pots", plain, "0.002btc", labelled, "0.003btc", "--yes", answers=[PASSWORD])
    assert plain in sent["transfer"]["transfer"]["memo"]
    bumped = treasury.json("bump", sent["transfer"]["id"], "--fee-rate", "9sat/vb", "--yes", answers=[PASSWORD])
    box.mine(1)
    (found,) = treasury.json("silent", "scan", "--from-height", "100", *beta, answers=[PASSWORD])["silent"]
    assert [(one["amount"], one["label"], one["unspent"]) for one in found["payments"]] == [
        ("200000", None, True),
        ("300000", 3, True),
    ]
    assert all(one["coin"].startswith(bumped["transfer"]["txid"]) for one in found["payments"])
    assert "0.00300000 BTC" in treasury.text("silent", "scan", *beta, answers=[PASSWORD])  # goes on where it stopped
    (again,) = treasury.json("silent", "list")["silent"]
    assert len(again["payments"]) == 2
    page = next((treasury.home / "silent").glob("*.json"))
    assert page.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("board", "PAYEE", "0.01btc"), UnsupportedError),
        (("gas", "PAYEE", "1wei"), UnsupportedError),
        (("pots", "PAYEE", "all"), InvalidInputError),
        (("pots", "PAYEE", "0.01btc", "--idempotency-key", "k"), InvalidInputError),
        (("pots", "tsp1qqnothing", "0.01btc"), InvalidInputError),
    ],
)
def test_whom_silent_payments_are_not_for(treasury: Any, words: tuple[str, ...], error: type[Exception]) -> None:
    payee = (  # of the keystore beta
        "tsp1qqw27q4xnw5zzpuk8jfqcgf2nu9dneljr7u0mqu2jlvm3jxhjjtnmvqejpgpxka0khkxr8cq2v79defepsp07ymtez52d64heu7g9q0rssg096"
        "ylq"
    )
    with pytest.raises(error):
        treasury.text("send", *(payee if word == "PAYEE" else word for word in words))


def test_the_scripts_are_those_of_the_inputs_keys_and_of_nobody_elses(treasury: Any) -> None:
    payee = SilentPaymentAddress.from_text(
        treasury.text("silent", "address", "--signer", "software:beta", answers=[PASSWORD]).strip(), Network.REGTEST
    )
    with Wallet.open(treasury.home / "wallet.db") as store:
        accounts: Any = [store.account(name).account for name in ("savings", "vault", "board")]
    words = Mnemonic.from_text("abandon " * 11 + "about")
    with SoftwareSigner.from_mnemonic(words) as main, words.to_seed(None) as seed:
        for account in accounts[:2]:
            psbt = message_psbt(account.spending(0, 3), b"any")
            with ExtendedPrivateKey.from_seed(seed) as root, root.derive(account.path(0, 3)) as node:
                secret = node.secret()
            if account is accounts[1]:
                secret = Secret(taproot_tweak_secret(secret.expose()))
            paying = PayingInput(psbt.tx.inputs[0].outpoint, account.script(0, 3), secret)
            assert main.silent_payment_scripts(psbt, [payee, payee]) == send_outputs([paying], [payee, payee])
        with pytest.raises(InvalidInputError, match="one key of this keystore"):
            main.silent_payment_scripts(message_psbt(accounts[2].spending(0, 3), b"any"), [payee])
    with (
        SoftwareSigner.from_mnemonic(Mnemonic.from_text("zoo " * 11 + "wrong")) as stranger,
        pytest.raises(InvalidInputError, match="one key of this keystore"),
    ):
        stranger.silent_payment_scripts(message_psbt(accounts[0].spending(0, 3), b"any"), [payee])


def test_a_bump_that_would_lose_a_silent_payment_is_refused(treasury: Any) -> None:
    payee = treasury.text("silent", "address", "--signer", "software:beta", answers=[PASSWORD]).strip()
    found = treasury.json("coins", "list", "pots")["coins"]
    least = min((one for one in found if one["spendable"]), key=lambda one: int(one["value"]))
    amount = f"{int(least['value']) - 2000}sat"
    words = ("--coin", least["outpoint"], "--only-coins", "--fee-rate", "2sat/vb", "--yes")
    sent = treasury.json("send", "pots", payee, amount, *words, answers=[PASSWORD])["transfer"]
    with pytest.raises(UnsupportedError, match="never find it"):
        treasury.text("bump", sent["id"], "--fee-rate", "80sat/vb", "--yes", answers=[PASSWORD])
    states = [one["state"] for one in treasury.json("history", "pots", "--transfers")["transfers"]]
    assert states[-2:] == ["sent", "cancelled"]


def found_payments(treasury: Any, box: Any, *amounts: str) -> list[str]:
    """Paid to the keystore beta from ``pots``, mined and scanned; the coins."""
    payee = treasury.text("silent", "address", "--signer", "software:beta", answers=[PASSWORD]).strip()
    pairs = [word for amount in amounts for word in (payee, amount)]
    box.mine(1)  # what other tests left waiting
    treasury.json("send", "pots", *pairs, "--yes", answers=[PASSWORD])
    box.mine(1)
    scan = ("silent", "scan", "--from-height", str(box.bitcoin.chain.height), "--signer", "software:beta")
    (found,) = treasury.json(*scan, answers=[PASSWORD])["silent"]
    return [one["coin"] for one in found["payments"]]


def test_found_payments_are_swept_into_an_account_once(treasury: Any, box: Any) -> None:
    with pytest.raises(InvalidInputError, match="no silent payment was found"):
        treasury.text("silent", "sweep", "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202")
    coins = found_payments(treasury, box, "0.004btc", "0.005btc", "0.0000033btc")
    where = treasury.json("address", "new", "savings")["address"]["address"]
    sweep = ("silent", "sweep", where)
    dry = treasury.json(*sweep, "--dry-run")["review"]
    assert [one["to"] for one in dry["payments"]] == [where]
    assert {"own-address", "linked-coins"} <= {one["code"] for one in dry["warnings"]}
    assert dry["account"].startswith("silent-")
    with pytest.raises(UserCancelledError):
        treasury.text(*sweep, answers=["n"])
    assert where in treasury.answers.heard[-2]
    assert "not worth its fee" in treasury.run_or_raise(*sweep, "--dry-run", "--fee-rate", "20sat/vb").output
    with pytest.raises(InvalidInputError) as dear:
        treasury.text(*sweep, "--max-fee", "10sat")
    assert dear.value.code == "input.fee.cap"
    one = treasury.json(*sweep, "--coin", coins[0], "--fee-rate", "3sat/vb", "--yes", answers=[PASSWORD])["sweep"]
    assert one["coins"] == coins[:1]
    with pytest.raises(ConflictError, match=one["txid"]) as taken:
        treasury.text(*sweep, "--coin", coins[0], "--yes")
    assert taken.value.code == "conflict.coin"
    both = treasury.run_or_raise(*sweep, "--fee-rate", "1sat/vb", answers=["y", PASSWORD])
    assert f"{coins[0]} is left alone" in treasury.answers.heard[-3]
    assert "Transaction " in both.output
    with pytest.raises(ConflictError):
        treasury.text(*sweep, "--yes")
    assert treasury.text("silent", "list").count("swept") == 3
    box.mine(1)
    with pytest.raises(InvalidInputError) as nothing:
        treasury.text(*sweep, "--yes")
    assert nothing.value.code == "input.silent-payment.spent"
    with pytest.raises(InvalidInputError) as spent:
        treasury.text(*sweep, "--coin", coins[0], "--yes")
    assert spent.value.code == "input.coin.fixed"
    treasury.text("balance", "savings")
    mine = {coin["outpoint"] for coin in treasury.json("coins", "list", "savings")["coins"]}
    assert {f"{one['txid']}:0", f"{both.output.split()[-1]}:0"} <= mine


def test_a_sweep_that_was_signed_and_not_sent_is_told_and_the_policy_decides(
    treasury: Any, box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bursar.nodes.bitcoind import BitcoindBackend

    found_payments(treasury, box, "0.004btc")
    where = treasury.json("address", "new", "savings")["address"]["address"]
    sweep = ("silent", "sweep", where, "--yes")
    page = next((treasury.home / "silent").glob("*.json"))
    for error in (ChainUnavailableError("gone"), BroadcastRejectedError("no", node_code=-26, reason="no")):
        with monkeypatch.context() as patch:

            def fail(*_: object, error: Exception = error) -> None:
                raise error

            patch.setattr(BitcoindBackend, "broadcast", fail)
            with pytest.raises(type(error)):
                treasury.text(*sweep, answers=[PASSWORD])
        (kept,) = json.loads(page.read_text())["found"]
        assert kept["spent"] is not None  # of the first, whose fate nobody knew
    rules = treasury.home / "policy.toml"
    kind = rules.read_text()
    rules.write_text(kind.replace('max = "1btc"', 'max = "0.001btc"'))
    with pytest.raises(PolicyDeniedError):
        treasury.text(*sweep)
    rules.write_text(kind)
    done = treasury.run_or_raise(*sweep, answers=[PASSWORD])
    assert f"Signed before: {kept['spent']}" in done.output


def test_a_record_that_lies_is_not_spent_from(treasury: Any, box: Any) -> None:
    coins = found_payments(treasury, box, "0.004btc", "0.005btc")
    where = treasury.json("address", "new", "savings")["address"]["address"]
    page = next((treasury.home / "silent").glob("*.json"))
    good = json.loads(page.read_text())
    first, second = good["found"]
    lies: list[tuple[dict[str, Any], type[Exception]]] = [
        ({**first, "amount": first["amount"] + 1}, CorruptStoreError),
        ({**first, "amount": -1}, CorruptStoreError),
        ({**first, "amount": "400000"}, CorruptStoreError),
        ({**first, "tweak": second["tweak"]}, CorruptStoreError),
        ({**first, "tweak": "zz"}, CorruptStoreError),
        ({**first, "tweak": 5}, CorruptStoreError),
        ({**first, "address": second["address"], "tweak": second["tweak"]}, InvalidInputError),
        ({**first, "address": 7}, CorruptStoreError),
        ({**first, "coin": "ff" * 32 + ":0"}, InvalidInputError),
    ]
    for lie, error in lies:
        page.write_text(json.dumps({**good, "found": [lie]}))
        with pytest.raises(error):
            treasury.text("silent", "sweep", where, "--yes")
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text("zoo " * 11 + "wrong")) as other:
        theirs = str(other.silent_payment_keys(Network.REGTEST).address())
    page.write_text(json.dumps({**good, "address": theirs}))
    with pytest.raises(CorruptStoreError):
        treasury.text("silent", "sweep", where, "--yes")
    page.write_text(json.dumps(good))
    swept = treasury.json("silent", "sweep", where, "--yes", answers=[PASSWORD])["sweep"]
    assert sorted(swept["coins"]) == sorted(coins)


def test_a_backup_takes_the_record_along(wallet: Any, cli: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.crypto.sealed.Scrypt", partial(Scrypt, log_n=14))
    wallet.text("silent", "address", "--label", "3", answers=[PASSWORD])
    file = str(tmp_path / "wallet.backup")
    wallet.text("backup", "write", file, answers=[PASSWORD, PASSWORD])
    assert wallet.json("backup", "check", file, answers=[PASSWORD])["check"]["missing"] == []
    wallet.text("silent", "address", "--label", "4", answers=[PASSWORD])
    (missing,) = wallet.json("backup", "check", file, answers=[PASSWORD])["check"]["missing"]
    assert "silent payment address" in missing
    assert wallet.json("backup", "restore", file, answers=[PASSWORD])["restored"]["silent"] == 0
    cli.home = tmp_path / "elsewhere"
    assert cli.json("backup", "restore", file, answers=[PASSWORD])["restored"]["silent"] == 1
    (again,) = cli.json("silent", "list")["silent"]
    assert again["labels"] == [3]
    good = json.loads(next((cli.home / "silent").glob("*.json")).read_text())
    for lie in ({"fingerprint": "../../x"}, {"network": "moon"}, {"number": None}, {"version": 2}, {"found": [5]}):
        with pytest.raises(CorruptStoreError) as raised:
            Book.adopt(tmp_path / "silent", [good, {**good, **lie}])
        assert raised.value.code == "store.backup"
    assert not (tmp_path / "silent").exists()
