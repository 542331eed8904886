"""``bursar-hwi`` as programs written for ``hwi`` call it: one JSON document, HWI's error numbers, no secret in argv."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from embit import bip32, descriptor
from embit.networks import NETWORKS

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.address import Address
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.message import verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.cli.hwi import codes, front
from bursar.cli.hwi.finding import Wanted, find
from bursar.errors import BursarError, SignerNotFoundError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.protocols import SignerInfo
from bursar.signing.registry import Registry

PASSWORD = "correct horse battery"
FINGERPRINT = "73c5da0a"
BASE = ("--fingerprint", FINGERPRINT, "--chain", "regtest")


@pytest.fixture
def hwi(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in process on the furnished wallet and gives its document."""
    monkeypatch.setenv("BURSAR_HOME", str(furnished))
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)

    def run(*words: str, stdin: str = "", unlocked: bool = True) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        options = ("--password-file", str(password)) if unlocked else ()
        code = front.run([*options, *words])
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        document = json.loads(out)
        assert code == (2 if isinstance(document, dict) and document.get("code") == -2 else 0)
        return document

    return run


def test_enumerate(hwi: Any) -> None:
    (found,) = [row for row in hwi("enumerate", unlocked=False) if row["type"] == "software"]
    assert found["fingerprint"] == FINGERPRINT
    assert found["needs_pin_sent"] is found["needs_passphrase_sent"] is False
    assert "error" not in found
    assert set(found) == {
        "type", "model", "label", "path", "fingerprint", "needs_pin_sent", "needs_passphrase_sent",
    }  # fmt: skip


def test_descriptors_are_those_another_library_derives(hwi: Any) -> None:
    found = hwi(*BASE, "getdescriptors", "--account", "2")
    root = bip32.HDKey.from_seed(embit_seed(), version=NETWORKS["regtest"]["xprv"])
    for branch, key in enumerate(("receive", "internal")):
        assert [text.split("(")[0] for text in found[key]] == ["pkh", "wpkh", "sh", "tr"]
        for text, purpose in zip(found[key], (44, 84, 49, 86), strict=True):
            other = descriptor.Descriptor.from_string(text)
            mine = root.derive(f"m/{purpose}h/1h/2h/{branch}/7").get_public_key()
            assert mine.sec() in {key.derive(7).sec() for key in other.keys}
            assert "'" not in text


def embit_seed() -> bytes:
    from embit import bip39

    words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
    return bip39.mnemonic_to_seed(words)  # type: ignore[no-any-return]


def test_xpubs(hwi: Any) -> None:
    root = bip32.HDKey.from_seed(embit_seed(), version=NETWORKS["regtest"]["xprv"])
    for path in ("m/84h/1h/0h", "m/84'/1'/0'/0/3", "m/48h/1h/0h/2h"):
        expected = root.derive(path.replace("'", "h")).to_public().to_base58()
        assert hwi(*BASE, "getxpub", path) == {"xpub": expected}
    assert hwi(*BASE, "getmasterxpub", "--addr-type", "tap") == hwi(*BASE, "getxpub", "m/86h/1h/0h")
    assert hwi("-f", FINGERPRINT, "getmasterxpub", "--addr-type", "legacy")["xpub"].startswith("xpub")
    expert = hwi("--expert", *BASE, "getxpub", "m/84h/1h/0h")
    assert expert["depth"] == 3
    assert expert["testnet"] is True
    assert expert["child_num"] == 1 << 31
    assert expert["xpub"] == hwi(*BASE, "getxpub", "m/84h/1h/0h")["xpub"]


def test_getkeypool(hwi: Any) -> None:
    both = hwi(*BASE, "getkeypool", "0", "20")
    assert [row["internal"] for row in both] == [False, True]
    assert [row["desc"] for row in both] == [hwi(*BASE, "getdescriptors")[key][1] for key in ("receive", "internal")]
    assert both[0]["range"] == [0, 20]
    assert both[0]["active"] is both[0]["keypool"] is True
    assert len(hwi(*BASE, "getkeypool", "--all", "--nokeypool", "0", "5")) == 8
    (one,) = hwi(*BASE, "getkeypool", "--path", "m/84h/1h/0h/1/*", "--internal", "0", "20")
    assert one["desc"] == both[1]["desc"]
    assert hwi(*BASE, "getkeypool", "--path", "84h/1h/0h/1/*", "0", "20")["code"] == -7
    assert hwi(*BASE, "getkeypool", "5", "2")["code"] == -7


def account(hwi: Any, scheme: Scheme = Scheme.BIP84) -> BitcoinAccount:
    path = DerivationPath.from_text(f"m/{scheme.value}h/1h/0h")
    xpub = ExtendedPublicKey.from_text(hwi(*BASE, "getxpub", str(path))["xpub"])
    return BitcoinAccount(Network.REGTEST, scheme, KeyOrigin(Fingerprint.from_text(FINGERPRINT), path), xpub)


def question(held: BitcoinAccount, *, change_index: int = 3) -> Psbt:
    """A payment with change out of one coin of the account."""
    funding = Transaction(
        2,
        (TxIn(OutPoint(Txid(bytes(range(32))), 0), b"", 0xFFFFFFFF),),
        (TxOut(Sats(100_000), held.script(0, 0)),),
        0,
    )
    payee = Address.from_text("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network.REGTEST)
    spending = Transaction(
        2,
        (TxIn(OutPoint(funding.txid, 0), b"", 0xFFFFFFFD),),
        (TxOut(Sats(60_000), payee.script), TxOut(Sats(39_000), held.script(1, 3))),
        0,
    )
    psbt = Psbt(spending)
    psbt.inputs[0].non_witness_utxo = funding
    psbt.inputs[0].witness_utxo = funding.outputs[0]
    psbt.inputs[0].bip32_derivations[held.key(0, 0)] = held.key_origin(0, 0)
    psbt.outputs[1].bip32_derivations[held.key(1, 3)] = held.key_origin(1, change_index)
    return psbt


def test_signtx_by_argument_stdin_and_file(hwi: Any, tmp_path: Path) -> None:
    psbt = question(account(hwi))
    answer = hwi(*BASE, "signtx", str(psbt))
    assert answer["signed"] is True
    extract(finalize(Psbt.from_text(answer["psbt"])))  # verifies what it finalises
    piped = hwi(*BASE, "--stdin", stdin=f"signtx {psbt}\n\nnot read")
    assert piped["psbt"] == answer["psbt"]
    (tmp_path / "binary.psbt").write_bytes(psbt.serialize())
    out = tmp_path / "signed.psbt"
    filed = hwi(*BASE, "signtx", "--file", str(tmp_path / "binary.psbt"), "--output", str(out))
    assert filed["psbt"] == answer["psbt"]
    assert str(Psbt.parse(out.read_bytes())) == answer["psbt"]
    again = hwi(*BASE, "signtx", "--file", str(tmp_path / "binary.psbt"), "--output", str(out))
    assert again["code"] == -7


def test_signtx_refuses_what_a_signer_must(hwi: Any) -> None:
    held = account(hwi)
    assert hwi(*BASE, "signtx", "cHNidP8=")["code"] == -5
    assert hwi(*BASE, "signtx", "not base64")["code"] == -5
    lying = hwi(*BASE, "signtx", str(question(held, change_index=4)))
    assert lying["code"] == -5
    assert "change" in lying["error"] or "script" in lying["error"]
    far = hwi(*BASE, "signtx", str(question(held, change_index=2**31 - 1)))
    assert far["code"] == -5
    without = question(held)
    without.inputs[0].non_witness_utxo = None
    assert hwi(*BASE, "signtx", str(without))["code"] == -5
    stranger = question(held)
    stranger.inputs[0].bip32_derivations[held.key(0, 0)] = KeyOrigin(Fingerprint.from_text("00000001"), held.path(0, 0))
    nothing = hwi(*BASE, "signtx", str(stranger))
    assert nothing["code"] == -5
    assert "signed" not in nothing


def test_signmessage_is_what_core_verifies(hwi: Any) -> None:
    held = account(hwi, Scheme.BIP44)
    made = hwi(*BASE, "signmessage", "Guten Tag, Bank", str(held.path(0, 0)))
    verify_message(held.address(0, 0), b"Guten Tag, Bank", made["signature"])


def test_a_keystore_has_no_screen(hwi: Any) -> None:
    assert hwi(*BASE, "displayaddress", "--path", "m/84h/1h/0h/0/0")["code"] == -9
    assert hwi(*BASE, "wipe")["code"] == -9
    assert hwi(*BASE, "promptpin")["code"] == -9
    assert hwi(*BASE, "registerdescriptor", "name", "wpkh()")["code"] == -9


def test_who_is_meant(hwi: Any, furnished: Path) -> None:
    rows = [row for row in hwi("enumerate") if row["type"] == "software"]
    for words in (("-t", "software"), ("-t", "software", "-d", rows[0]["path"]), ("-t", rows[0]["model"])):
        assert "xpub" in hwi(*words, "getxpub", "m/84h/0h/0h"), words
    assert hwi("getxpub", "m/84h/0h/0h")["code"] == -1
    assert hwi("-f", "00000002", "getxpub", "m/84h/0h/0h")["code"] == -3
    assert hwi("-t", "toaster", "getxpub", "m/84h/0h/0h")["code"] == -3
    assert hwi("-t", "software", "-d", "nowhere", "getxpub", "m/84h/0h/0h")["code"] == -3
    assert hwi("-f", "xyz", "getxpub", "m/84h/0h/0h")["code"] == -7


def test_two_devices_are_never_the_first_of_them() -> None:
    class Two:
        name = "box"

        def discover(self, *, emulators: bool = False) -> list[SignerInfo]:
            return [SignerInfo("box", f"usb:{n}", "Box") for n in (1, 2)]

    known = Registry([Two()])  # type: ignore[list-item]
    with pytest.raises(SignerNotFoundError, match="box:usb:1, box:usb:2"):
        find(known, Wanted("box", None, None, False))
    assert find(known, Wanted("box", "usb:2", "d34db33f", False)).fingerprint == Fingerprint.from_text("d34db33f")


def test_passwords_come_by_no_argument(hwi: Any, tmp_path: Path) -> None:
    refused = hwi("-p", PASSWORD, *BASE, "getxpub", "m/84h/1h/0h", unlocked=False)
    assert refused["code"] == -7
    assert PASSWORD not in json.dumps(refused)
    open_to_all = tmp_path / "open"
    open_to_all.write_text(PASSWORD)
    open_to_all.chmod(0o644)
    shown = hwi("--password-file", str(open_to_all), *BASE, "getxpub", "m/84h/1h/0h", unlocked=False)
    assert shown["code"] == -7
    assert "chmod 600" in shown["error"]
    assert hwi("-p", "", *BASE, "getxpub", "m/84h/1h/0h", unlocked=False)["code"] == -6


def test_help_usage_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert front.run(["--help"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"error": "Help text requested", "code": -17}
    assert "displayaddress" in told.err
    for words in ([], ["nonsense"], ["-f", FINGERPRINT, "signtx"], ["--chain", "moon", "enumerate"]):
        assert front.run(words) == 2
        assert json.loads(capsys.readouterr().out)["code"] == -2
    assert front.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bursar-hwi ")


def test_as_a_program_without_a_terminal(furnished: Path) -> None:
    environment = {**os.environ, "BURSAR_HOME": str(furnished)}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from bursar.cli.hwi import main; sys.exit(main())", "--stdin", *BASE],
        input="getxpub m/84h/1h/0h\n",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["code"] == -6
    assert done.stderr == ""


def test_udev_rules_go_where_asked(hwi: Any, tmp_path: Path) -> None:
    assert hwi("installudevrules", "--location", str(tmp_path)) == {"success": True}
    assert "2c97" in (tmp_path / "70-bursar.rules").read_text()
    assert hwi("installudevrules", "--location", str(tmp_path / "absent"))["code"] == -16


def test_every_error_has_a_number() -> None:
    def kinds(kind: type[BursarError]) -> list[type[BursarError]]:
        return [kind, *(one for below in kind.__subclasses__() for one in kinds(below))]

    for kind in kinds(BursarError):
        error = kind.__new__(kind)
        error.code = kind.default_code
        assert -19 <= codes.code_of(error) <= -1


def test_an_unbalanced_quote_is_an_answer_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('signtx "cHNi\n\n'))
    assert front.run(["--stdin", *BASE]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == -2


def test_a_coin_of_ours_in_disguise_is_refused(hwi: Any) -> None:
    held = account(hwi)
    one, two = question(held), question(held)
    funding = Transaction(
        2, (TxIn(OutPoint(Txid(b"\x07" * 32), 0), b"", 0),), (TxOut(Sats(100_000), held.script(0, 9)),), 0
    )
    both = Psbt(
        Transaction(2, (*one.tx.inputs, TxIn(OutPoint(funding.txid, 0), b"", 0xFFFFFFFD)), two.tx.outputs[:1], 0)
    )
    both.inputs[0].fields.update(one.inputs[0].fields)
    both.inputs[1].non_witness_utxo, both.inputs[1].witness_utxo = funding, funding.outputs[0]
    for words in ((), ("--external-inputs",)):
        refused = hwi(*words, *BASE, "signtx", str(both))
        assert refused["code"] == -5, refused
