"""``bursar-hwi`` with simulated devices over their wires: every command, and what each refusal is called."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")
pytest.importorskip("bursar_devices.ledger")

from bursar_devices.humans import approve, reject
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor import add_checksum
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.message import verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import ScriptType, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.cli.hwi import front, prompting
from bursar.crypto.hashes import hash160
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme

TREZORS = ("T1B1", "T3T1")
TREZOR_KEYS, LEDGER_KEYS = "5c9e228d", "73c5da0a"
PIN = "1379"


def unasked(question: str) -> str:
    raise AssertionError(f"nobody expected to be asked {question!r}")


class Typist:
    """The human at the terminal: answers a question by a function of it."""

    def __init__(self) -> None:
        self.answer: Callable[[str], str] = unasked

    def ask_hidden(self, question: str) -> str:
        return self.answer(question)

    ask = ask_hidden

    def tell(self, text: str) -> None:
        """Nothing is remembered of it."""


class Hwi:
    """Runs commands in process; ``err`` is what the last one said to the human."""

    def __init__(self, capsys: pytest.CaptureFixture[str], typist: Typist) -> None:
        self.capsys, self.typist, self.err = capsys, typist, ""

    def __call__(self, *words: str) -> Any:
        assert front.run(list(words)) in (0, 2)
        told = self.capsys.readouterr()
        self.err = told.err
        return json.loads(told.out)

    def of(self, device: Any, *words: str) -> Any:
        return self("-t", device.family, "-d", device.location, "--chain", "test", *words)


@pytest.fixture
def hwi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hwi:
    typist = Typist()
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.setattr("bursar.cli.terminal.Terminal", lambda: typist)
    monkeypatch.setattr(prompting, "has_terminal", lambda: True)
    return Hwi(capsys, typist)


@pytest.fixture
def trezor() -> Iterator[Callable[..., TrezorSimulator]]:
    started: list[TrezorSimulator] = []

    def start(**options: Any) -> TrezorSimulator:
        started.append(TrezorSimulator(**{"human": approve(), **options}).start())
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(params=["trezor-one", "trezor-safe-5", "ledger"])
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    models = {"trezor-one": "T1B1", "trezor-safe-5": "T3T1"}
    ledger = request.param == "ledger"
    made: Any = (
        LedgerSimulator(human=approve()) if ledger else TrezorSimulator(model=models[request.param], human=approve())
    )
    with made:
        yield made


def positions(device: TrezorSimulator, digits: str) -> str:
    return "".join(str(device.board.matrix.index(digit) + 1) for digit in digits)


# --- keys, addresses, signatures ---


def fingerprint(device: Any) -> Fingerprint:
    return Fingerprint.from_text(LEDGER_KEYS if device.family == "ledger" else TREZOR_KEYS)


def account(hwi: Hwi, device: Any, scheme: Scheme) -> BitcoinAccount:
    path = DerivationPath.from_text(f"m/{scheme.value}h/1h/0h")
    xpub = ExtendedPublicKey.from_text(hwi.of(device, "getxpub", str(path))["xpub"])
    return BitcoinAccount(Network.TESTNET, scheme, KeyOrigin(fingerprint(device), path), xpub)


TYPES = {"legacy": Scheme.BIP44, "sh_wit": Scheme.BIP49, "wit": Scheme.BIP84, "tap": Scheme.BIP86}


def test_descriptors_and_keypool(hwi: Hwi, device: Any) -> None:
    both = hwi.of(device, "getdescriptors", "--account", "3")
    assert [text.split("[")[0] for text in both["receive"]] == ["pkh(", "wpkh(", "sh(wpkh(", "tr("]
    pool = hwi.of(device, "getkeypool", "--all", "--account", "3", "0", "7")
    assert {row["desc"] for row in pool} == {*both["receive"], *both["internal"]}
    assert all(str(fingerprint(device)) in text for text in both["internal"])


@pytest.mark.parametrize("kind", TYPES)
def test_an_address_by_path_and_by_descriptor(hwi: Hwi, device: Any, kind: str) -> None:
    held = account(hwi, device, TYPES[kind])
    expected = {"address": str(held.address(0, 3))}
    assert hwi.of(device, "displayaddress", "--path", str(held.path(0, 3)), "--addr-type", kind) == expected
    assert hwi.err
    assert hwi.of(device, "displayaddress", "--desc", held.descriptor(0).split("#")[0].replace("*", "3")) == expected
    key = held.key(0, 3)
    inferred = {  # as Bitcoin Core's getaddressinfo gives it, which it hands on to its signer
        "legacy": f"pkh([{held.key_origin(0, 3)}]{key.hex()})",
        "sh_wit": f"sh(wpkh([{held.key_origin(0, 3)}]{key.hex()}))",
        "wit": f"wpkh([{held.key_origin(0, 3)}]{key.hex()})",
        "tap": f"tr([{held.key_origin(0, 3)}]{key[1:].hex()})",
    }[kind]
    assert hwi.of(device, "displayaddress", "--desc", add_checksum(inferred)) == expected
    stranger = inferred.replace(str(fingerprint(device)), "00000001")
    assert hwi.of(device, "displayaddress", "--desc", stranger)["code"] == -7
    lying = inferred.replace(str(held.key_origin(0, 3)), str(held.key_origin(0, 4)))
    assert hwi.of(device, "displayaddress", "--desc", lying)["code"] == -7


@pytest.mark.parametrize("kind", ["legacy", "sh_wit", "wit"])
def test_a_message(hwi: Hwi, device: Any, kind: str) -> None:
    held = account(hwi, device, TYPES[kind])
    made = hwi.of(device, "signmessage", "Guten Tag", str(held.path(0, 0)))
    legacy = BitcoinAccount(held.network, Scheme.BIP44, held.origin, held.xpub)  # the form that Core verifies
    verify_message(legacy.address(0, 0), b"Guten Tag", made["signature"])


def psbt_of(*held: BitcoinAccount) -> Psbt:
    """One coin of each account, paid to a stranger, with change to the first."""
    funding = [
        Transaction(
            2,
            (TxIn(OutPoint(Txid(bytes([number + 1] * 32)), 0), b"", 0xFFFFFFFF),),
            (TxOut(Sats(100_000), one.script(0, number)),),
            0,
        )
        for number, one in enumerate(held)
    ]
    payee = Address.from_text("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network.TESTNET)
    change = held[0]
    spending = Transaction(
        2,
        tuple(TxIn(OutPoint(one.txid, 0), b"", 0xFFFFFFFD) for one in funding),
        (TxOut(Sats(60_000), payee.script), TxOut(Sats(100_000 * len(held) - 61_500), change.script(1, 3))),
        0,
    )
    psbt = Psbt(spending)
    for number, (one, before) in enumerate(zip(held, funding, strict=True)):
        field, key, origin = psbt.inputs[number], one.key(0, number), one.key_origin(0, number)
        field.non_witness_utxo = before
        if one.script_type is not ScriptType.P2PKH:
            field.witness_utxo = before.outputs[0]
        if one.script_type is ScriptType.P2TR:
            field.tap_internal_key = key[1:]
            field.tap_bip32_derivations[key[1:]] = ((), origin)
        else:
            field.bip32_derivations[key] = origin
        if one.scheme is Scheme.BIP49:
            field.redeem_script = p2wpkh(hash160(key))
    key, origin = change.key(1, 3), change.key_origin(1, 3)
    if change.script_type is ScriptType.P2TR:
        psbt.outputs[1].tap_internal_key = key[1:]
        psbt.outputs[1].tap_bip32_derivations[key[1:]] = ((), origin)
    else:
        psbt.outputs[1].bip32_derivations[key] = origin
    if change.scheme is Scheme.BIP49:
        psbt.outputs[1].redeem_script = p2wpkh(hash160(key))
    return psbt


@pytest.mark.parametrize(
    "kinds", [("legacy",), ("sh_wit",), ("wit",), ("tap",), ("wit", "tap"), ("legacy", "sh_wit", "wit", "tap")]
)
def test_a_transaction(hwi: Hwi, device: Any, kinds: tuple[str, ...]) -> None:
    question = psbt_of(*(account(hwi, device, TYPES[kind]) for kind in kinds))
    answer = hwi.of(device, "signtx", str(question))
    assert answer.get("signed") is True, answer
    extract(finalize(Psbt.from_text(answer["psbt"])))  # which verifies every signature


def test_a_stranger_pays_along(hwi: Hwi, device: Any) -> None:
    """An input of somebody else: never signed, and no device is talked into taking it for ours."""
    held = account(hwi, device, Scheme.BIP84)
    question = psbt_of(held, held)
    question.inputs[1].bip32_derivations.clear()
    question.inputs[1].bip32_derivations[held.key(0, 1)] = KeyOrigin(Fingerprint.from_text("00000001"), held.path(0, 1))
    refused = hwi.of(device, "signtx", str(question))
    assert refused["code"] == -5
    assert "--external-inputs" in refused["error"]
    answer = hwi.of(device, "--external-inputs", "signtx", str(question))
    if "error" in answer:
        assert answer["code"] in (-5, -7, -9), answer
    else:
        signed = Psbt.from_text(answer["psbt"])
        assert signed.inputs[0].partial_sigs
        assert not signed.inputs[1].partial_sigs


# --- refusals and what they are called ---


def test_a_refusal_on_the_device(hwi: Hwi, device: Any) -> None:
    held = account(hwi, device, Scheme.BIP84)
    question = psbt_of(held)
    device.human = reject()
    assert hwi.of(device, "signtx", str(question))["code"] == -14
    assert hwi.of(device, "signmessage", "x", "m/44h/1h/0h/0/0")["code"] == -14
    assert hwi.of(device, "displayaddress", "--path", "m/84h/1h/0h/0/0")["code"] == -14
    device.human = approve()
    assert hwi.of(device, "signtx", str(question))["signed"] is True


def test_another_device_than_meant(hwi: Hwi, device: Any) -> None:
    assert hwi.of(device, "-f", str(fingerprint(device)), "getmasterxpub")["xpub"]
    assert hwi.of(device, "-f", "00000001", "getmasterxpub")["code"] == -3


def test_the_wrong_app(hwi: Hwi) -> None:
    with LedgerSimulator(app="Ethereum", human=approve()) as device:
        assert hwi.of(device, "getdescriptors")["code"] in (-9, -12)
    with LedgerSimulator(human=approve()) as device:
        assert hwi("-t", "ledger", "-d", device.location, "--chain", "main", "getdescriptors")["code"] == -12


def test_a_ledger_is_set_up_on_its_own_screen(hwi: Hwi) -> None:
    with LedgerSimulator(human=approve()) as device:
        for words in (
            ("-i", "setup"),
            ("-i", "restore"),
            ("wipe",),
            ("backup",),
            ("promptpin",),
            ("togglepassphrase",),
        ):
            assert hwi.of(device, *words)["code"] == -9, words
        assert hwi.of(device, "sendpin", "1234")["code"] == -9


def test_busy(hwi: Hwi, trezor: Any) -> None:
    from bursar.backends.device_lock import DeviceLock

    device = trezor()
    with DeviceLock(device.location):
        assert hwi.of(device, "getmasterxpub")["code"] == -15
        assert hwi.of(device, "sendpin", "1")["code"] == -15


@pytest.mark.parametrize("model", TREZORS)
def test_an_empty_trezor(hwi: Hwi, trezor: Any, model: str) -> None:
    device = trezor(model=model, initialized=False)
    assert hwi.of(device, "getmasterxpub")["code"] == -18
    assert hwi.of(device, "togglepassphrase")["code"] == -18
    assert hwi.of(device, "promptpin")["code"] == -18


# --- the PIN in two commands ---


def test_the_pin_of_a_one_by_two_programs(hwi: Hwi, trezor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = trezor(pin=PIN)
    monkeypatch.setattr(prompting, "has_terminal", lambda: False)
    assert hwi.of(device, "getmasterxpub")["code"] == -12
    assert "promptpin" in json.dumps(hwi.of(device, "getmasterxpub"))
    assert hwi.of(device, "sendpin", "1234")["code"] == -12
    assert hwi.of(device, "promptpin") == {"success": True}
    assert "7 8 9" in hwi.err
    assert hwi.of(device, "sendpin", positions(device, "9999")) == {"success": False}
    assert hwi.of(device, "sendpin", "12a4")["code"] == -7
    assert hwi.of(device, "promptpin") == {"success": True}
    assert hwi.of(device, "sendpin", positions(device, PIN)) == {"success": True}
    assert "xpub" in hwi.of(device, "getmasterxpub")
    assert hwi.of(device, "promptpin")["code"] == -11
    assert hwi.of(device, "sendpin", "1234")["code"] == -11


def test_two_processes_in_fact(trezor: Any, tmp_path: Path) -> None:
    device = trezor(pin=PIN)
    program = "import sys; from bursar.cli.hwi import main; sys.exit(main())"

    def run(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", program, "-t", "trezor", "-d", device.location, *words],
            env={**os.environ, "BURSAR_HOME": str(tmp_path)},
            capture_output=True,
            check=True,
            start_new_session=True,
            timeout=60,
        )
        return json.loads(done.stdout)

    assert run("promptpin") == {"success": True}
    assert run("sendpin", positions(device, PIN)) == {"success": True}
    assert run("getxpub", "m/84h/0h/0h")["xpub"].startswith("xpub")


def test_a_pin_typed_on_the_device_or_on_the_terminal(hwi: Hwi, trezor: Any) -> None:
    safe = trezor(model="T3T1", pin=PIN)
    assert hwi.of(safe, "promptpin") == {"success": True}
    assert hwi.of(safe, "promptpin")["code"] == -11
    old = trezor(pin=PIN)
    hwi.typist.answer = lambda _: positions(old, PIN)
    assert "xpub" in hwi.of(old, "getmasterxpub")
    assert hwi.of(trezor(), "promptpin")["code"] == -11


# --- enumerate ---


@pytest.fixture
def standard_port(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """A simulator answers where emulators are looked for; the true ports belong to whoever uses this machine."""

    def place(device: Any) -> None:
        monkeypatch.setattr("bursar.backends.trezor.places.STANDARD_EMULATOR", device.location)
        defaults = LedgerBackend.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "emulator_port", 1)

    return place


def row(hwi: Hwi, *words: str) -> dict[str, Any]:
    (found,) = [one for one in hwi("--emulators", *words, "enumerate") if one["type"] == "trezor"]
    return dict(found)


def test_enumerate_names_models_as_hwi_does(hwi: Hwi, trezor: Any, standard_port: Any) -> None:
    for model, name in (
        ("T1B1", "trezor_1"),
        ("T2T1", "trezor_t"),
        ("T3T1", "trezor_safe 5"),
    ):
        device = trezor(model=model, label="Mine")
        standard_port(device)
        assert row(hwi) == {
            "type": "trezor",
            "model": f"{name}_simulator",
            "label": "Mine",
            "path": device.location,
            "fingerprint": TREZOR_KEYS,
            "needs_pin_sent": False,
            "needs_passphrase_sent": False,
        }
    assert "xpub" in hwi("--emulators", "-f", TREZOR_KEYS, "getmasterxpub")
    assert "xpub" in hwi("--emulators", "-t", "trezor_safe 5_simulator", "getmasterxpub")
    assert hwi("-f", TREZOR_KEYS, "getmasterxpub")["code"] == -3, "emulators are looked for when asked only"
    assert hwi("enumerate") == []


def test_enumerate_says_what_is_missing(hwi: Hwi, trezor: Any, standard_port: Any) -> None:
    standard_port(trezor(pin=PIN))
    locked = row(hwi)
    assert (locked["needs_pin_sent"], locked["code"], "fingerprint" in locked) == (True, -12, False)
    standard_port(trezor(initialized=False))
    assert row(hwi)["code"] == -18


def test_enumerate_with_and_without_the_passphrase(hwi: Hwi, trezor: Any, standard_port: Any, tmp_path: Path) -> None:
    device = trezor(passphrase_protection=True)
    standard_port(device)
    closed = row(hwi)
    assert (closed["needs_passphrase_sent"], closed["code"], "fingerprint" in closed) == (True, -6, False)
    assert row(hwi, "-p", "")["fingerprint"] == TREZOR_KEYS
    assert row(hwi, "--passphrase", "none")["fingerprint"] == TREZOR_KEYS
    secret = tmp_path / "passphrase"
    secret.write_text("TREZOR\n")
    secret.chmod(0o600)
    other = row(hwi, "--password-file", str(secret))
    assert other["needs_passphrase_sent"] is False
    assert other["fingerprint"] not in (TREZOR_KEYS, None)
    meant = ("--password-file", str(secret), "--emulators", "-f", other["fingerprint"])
    assert "xpub" in hwi(*meant, "getmasterxpub")
    assert hwi("--emulators", "-f", other["fingerprint"], "-p", "", "getmasterxpub")["code"] == -3
    assert [one["fingerprint"] for one in hwi(*meant, "enumerate")] == [other["fingerprint"]]
    assert hwi("--emulators", "-t", "ledger", "enumerate") == []


def test_a_passphrase_by_standard_input_was_seen_by_nobody(
    hwi: Hwi, trezor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = trezor(passphrase_protection=True)
    monkeypatch.setattr("sys.stdin", io.StringIO("-p TREZOR getmasterxpub\n\n"))
    piped = hwi.of(device, "--stdin")
    hwi.typist.answer = lambda _: "TREZOR"
    assert piped == hwi.of(device, "getmasterxpub") == hwi.of(device, "--stdinpass", "getmasterxpub")
    assert piped != hwi.of(device, "-p", "", "getmasterxpub")
    assert hwi.of(device, "-p", "TREZOR", "getmasterxpub")["code"] == -7


def test_a_passphrase_entered_on_the_device(hwi: Hwi, trezor: Any) -> None:
    device = trezor(model="T3T1", passphrase_protection=True, typed=["TREZOR"])
    there = hwi.of(device, "--passphrase", "device", "getmasterxpub")
    hwi.typist.answer = lambda _: "TREZOR"
    assert there == hwi.of(device, "getmasterxpub")
    assert hwi.of(trezor(passphrase_protection=True), "--passphrase", "device", "getmasterxpub")["code"] == -9


# --- administration ---


@pytest.mark.parametrize("model", TREZORS)
def test_setup_backup_and_wipe(hwi: Hwi, trezor: Any, model: str) -> None:
    device = trezor(model=model, initialized=False, typed=[PIN, PIN])
    hwi.typist.answer = lambda _: positions(device, PIN)
    assert hwi.of(device, "setup")["code"] == -9, "not without --interactive"
    assert hwi.of(device, "-i", "setup", "-l", "Mine") == {"success": True}
    assert hwi.of(device, "-i", "setup")["code"] == -10
    assert hwi.of(device, "-i", "restore")["code"] == -10
    assert "xpub" in hwi.of(device, "getmasterxpub")
    assert hwi.of(device, "backup")["code"] == -9
    assert hwi.of(device, "wipe") == {"success": True}
    assert hwi.of(device, "getmasterxpub")["code"] == -18


@pytest.mark.parametrize("model", TREZORS)
def test_a_backup_that_is_due(hwi: Hwi, trezor: Any, model: str) -> None:
    device = trezor(model=model, needs_backup=True)
    assert hwi.of(device, "getmasterxpub")["code"] == -12
    assert hwi.of(device, "backup") == {"success": True}
    assert "xpub" in hwi.of(device, "getmasterxpub")


@pytest.mark.parametrize("model", TREZORS)
def test_passphrases_on_and_off(hwi: Hwi, trezor: Any, model: str) -> None:
    device = trezor(model=model, pin=PIN)
    hwi.typist.answer = lambda _: positions(device, PIN)
    assert hwi.of(device, "togglepassphrase") == {"success": True}
    assert "on now" in hwi.err
    assert hwi.of(device, "togglepassphrase") == {"success": True}
    assert "off now" in hwi.err
    device.human = reject()
    assert hwi.of(device, "togglepassphrase")["code"] == -14


def test_restore(hwi: Hwi, trezor: Any) -> None:
    device = trezor(model="T3T1", initialized=False, typed=[PIN, PIN, "12", *["all"] * 12])
    assert hwi.of(device, "restore")["code"] == -9
    assert hwi.of(device, "-i", "restore", "-w", "12", "-l", "Again") == {"success": True}
    assert "xpub" in hwi.of(device, "-f", TREZOR_KEYS, "getmasterxpub")


def test_setup_with_a_passphrase(hwi: Hwi, trezor: Any) -> None:
    device = trezor(model="T3T1", initialized=False, typed=[PIN, PIN])
    hwi.typist.answer = lambda _: "anything"
    assert hwi.of(device, "-i", "--stdinpass", "setup") == {"success": True}
    assert device.board.storage.passphrase_protection is True
    assert device.board.storage.label == "Trezor Safe 5"
