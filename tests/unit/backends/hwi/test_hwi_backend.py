"""The backend ``hwi`` over a real command with HWI's conventions, and over commands that fail or lie."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.hwi import HwiBackend, HwiSigner
from bursar.backends.hwi.command import HwiCommand
from bursar.backends.software import keystore
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.message import encode_signature, verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType
from bursar.crypto.kdf import Scrypt
from bursar.crypto.secret import Secret
from bursar.errors import (
    BursarError,
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerNotFoundError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_message
from bursar.signing.conformance import CASES, Case, run_case
from bursar.signing.protocols import DeviceEvent, SecretRequest, SignerInfo
from bursar.signing.registry import Registry

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
FINGERPRINT = "73c5da0a"
PASSWORD = 'it\'s a "password" with spaces'


class Person:
    """Answers every question with the same secret and keeps what was said."""

    def __init__(self, secret: str = PASSWORD) -> None:
        self.secret = secret
        self.heard: list[str] = []

    def ask(self, request: SecretRequest) -> Secret:
        self.heard.append(request.kind)
        return Secret.from_text(self.secret)

    def notify(self, event: DeviceEvent) -> None:
        self.heard.append(event.text)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bursar-hwi`` on a keystore whose password ``hwi`` would call a passphrase: a program with HWI's conventions."""
    folder = tmp_path_factory.mktemp("hwi")
    home = folder / "home"
    (home / "keystores").mkdir(parents=True)
    keystore.create(
        home / "keystores" / "main.json", Mnemonic.from_text(WORDS), Secret.from_text(PASSWORD), kdf=Scrypt(log_n=14)
    )
    program = folder / "hwi"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"os.environ['BURSAR_HOME'] = {str(home)!r}\n"
        "from bursar.cli.hwi import finding, front\n"
        "row = finding._row\n"
        "finding._row = lambda info: {**row(info), 'needs_passphrase_sent': True}\n"
        "sys.exit(front.run())\n"
    )
    program.chmod(0o755)
    return program


def backend(program: Path) -> HwiBackend:
    return HwiBackend(program=program, leave_out=frozenset({"trezor", "ledger", "hwi"}))


def opened(program: Path) -> HwiSigner:
    (info,) = backend(program).discover()
    return backend(program).open(info, Person())


def test_what_hwi_lists(command: Path) -> None:
    (info,) = backend(command).discover()
    assert info.backend == "hwi"
    assert info.location.startswith("software:")
    assert info.fingerprint == Fingerprint.from_text(FINGERPRINT)
    assert info.trouble is None
    assert HwiBackend(program=command).discover() == ()  # what is driven here directly is not listed twice
    assert Registry([backend(command)]).find(FINGERPRINT) == info


# Each question is a process, so of the kit only the cases that the translation could spoil.
CONFORMS = (
    "info-is-told",
    "mixed-schemes-sign-together",
    "refuses-outpoint-twice-bip84",
    "every-transaction-type-signs",
)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in CONFORMS], ids=lambda case: case.name)
def test_it_conforms(case: Case, command: Path) -> None:
    signer = opened(command)
    assert run_case(case, lambda: signer) is (case.name != "every-transaction-type-signs")


def test_messages_verify(command: Path) -> None:
    signer = opened(command)
    path = DerivationPath.from_text("m/44h/1h/0h")
    account = BitcoinAccount(
        Network.REGTEST, Scheme.BIP44, KeyOrigin(Fingerprint.from_text(FINGERPRINT), path), signer.xpub(path)
    )
    text = 'two\nlines, ünïcode and a "quote"'.encode()
    made = request_message(signer, account.path(0, 1), text, public_key=account.key(0, 1))
    verify_message(account.address(0, 1), text, encode_signature(made, ScriptType.P2PKH))
    with pytest.raises(UnsupportedError):
        signer.sign_message(account.path(0, 1), b"\xff")
    with pytest.raises(UnsupportedError):
        signer.display_address(account, 0, 1)
    signer.close()
    with pytest.raises(SignerUnavailableError):
        signer.xpub(path)


def test_no_secret_in_any_argument(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    seen: list[list[str]] = []
    real = subprocess.Popen

    def watched(arguments: list[str], **options: Any) -> Any:
        seen.append(arguments)
        return real(arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", watched)
    signer = opened(command)
    signer.xpub(DerivationPath.from_text("m/84h/1h/0h"))
    assert seen
    assert all(sorted(words[1:]) in (["--stdin"], ["--stdin", "--stdinpass"]) for words in seen)


def test_another_passphrase_is_noticed(command: Path) -> None:
    (info,) = backend(command).discover()
    other = SignerInfo(backend="hwi", location=info.location, model="", fingerprint=Fingerprint(b"\1\2\3\4"))
    with pytest.raises(SignerError, match="another device, or another passphrase") as caught:
        backend(command).open(other, Person())
    assert caught.value.code == "signer.fingerprint"
    with pytest.raises(SignerUnavailableError):
        backend(command).open(info, Person("wrong"))


def fake(folder: Path, body: str) -> Path:
    program = folder / "fake-hwi"
    program.write_text(f"#!{sys.executable}\nimport json, sys, time\n{body}\n")
    program.chmod(0o755)
    return program


ROW = {"type": "coldcard", "model": "coldcard\x1b[2J", "path": "/dev/hidraw1", "fingerprint": FINGERPRINT}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ('print("no json")', SignerMisbehavedError),
        ("print('[' * 100000)", SignerMisbehavedError),
        ("print(7)", SignerMisbehavedError),
        ('print(json.dumps({"error": "x\\x07", "code": -13}))', SignerError),
        ('print(json.dumps({"error": "busy", "code": -15}))', SignerUnavailableError),
        ('print(json.dumps({"error": "no", "code": "-15"}))', SignerError),
        ("sys.exit(1)", SignerMisbehavedError),
    ],
)
def test_what_is_no_list_of_devices(tmp_path: Path, answer: str, kind: type[BursarError]) -> None:
    with pytest.raises(kind) as caught:
        HwiBackend(program=fake(tmp_path, answer)).discover()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-14, UserCancelledError),
        (-9, UnsupportedError),
        (-7, InvalidInputError),
        (-12, SignerUnavailableError),
        (-18, SignerUnavailableError),
        (-13, SignerError),
    ],
)
def test_errors_keep_their_kind(tmp_path: Path, code: int, kind: type[BursarError]) -> None:
    program = fake(
        tmp_path,
        f"words = sys.stdin.read()\n"
        f"print(json.dumps([{ROW!r}] if 'enumerate' in words else {{'error': 'so it is', 'code': {code}}}))",
    )
    (info,) = HwiBackend(program=program).discover()
    assert info.model == "coldcard[2J"
    with pytest.raises(kind, match="so it is"):
        HwiBackend(program=program).open(info, Person())


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.backends.hwi.backend.QUICK_SECONDS", 1.0)
    note = tmp_path / "pid"
    body = (
        "import os, subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(SignerUnavailableError, match="within 1 seconds"):
        HwiBackend(program=fake(tmp_path, body)).discover()
    assert time.monotonic() - begun < 10
    pid = int(note.read_text())
    until = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_no_secret_finds_its_way_into_the_arguments(tmp_path: Path) -> None:
    row = {**ROW, "needs_pin_sent": True, "needs_passphrase_sent": True, "fingerprint": None}
    body = f"print(json.dumps([{row!r}] if 'enumerate' in sys.stdin.read() else {{}}))"
    program = fake(tmp_path, body)
    (info,) = HwiBackend(program=program).discover()
    for pin in ("98\n76", "12ä", "", "0123"):
        with pytest.raises(InvalidInputError, match="positions"):
            HwiBackend(program=program).open(info, Person(pin))
    odd = SignerInfo("hwi", "coldcard:/dev/a\n-p x", "")
    with pytest.raises(InvalidInputError, match="several lines"):
        HwiCommand(program).run(["--device-path", odd.location, "sendpin", "1"], seconds=5)
    with pytest.raises(InvalidInputError, match="several lines"):
        HwiCommand(program).run(["enumerate"], seconds=5, password=Secret(b"hunter2\nsecond"))


def test_places_that_cannot_be_shown_are_not_listed(tmp_path: Path) -> None:
    rows = [{**ROW, "path": path} for path in ("/dev/\x1b[2J", "/dev/\u202e", "x" * 501, "", 7, "/dev/good")]
    found = HwiBackend(program=fake(tmp_path, f"sys.stdin.read(); print(json.dumps({rows!r}))")).discover()
    assert [info.location for info in found] == ["coldcard:/dev/good"]


def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(SignerMisbehavedError, match="16 MB"):
        HwiBackend(program=fake(tmp_path, "while True: sys.stdout.write('x' * 65536)")).discover()


def test_an_xpub_that_is_no_text(tmp_path: Path) -> None:
    body = f"print(json.dumps([{ROW!r}] if 'enumerate' in sys.stdin.read() else {{'xpub': 1}}))"
    program = fake(tmp_path, body)
    (info,) = HwiBackend(program=program).discover()
    with pytest.raises(SignerMisbehavedError, match="m/0h"):
        HwiBackend(program=program).open(info, Person())


def test_without_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BURSAR_HWI", raising=False)
    assert HwiBackend().discover() == ()
    with pytest.raises(SignerNotFoundError, match="not installed"):
        HwiBackend().open(SignerInfo("hwi", "jade:x", "Jade"), Person())
    monkeypatch.setenv("BURSAR_HWI", str(tmp_path / "absent"))
    with pytest.raises(InvalidInputError, match="BURSAR_HWI"):
        HwiBackend().discover()


def test_a_locked_device_gets_its_pin(tmp_path: Path) -> None:
    row = {**ROW, "type": "keepkey", "needs_pin_sent": True, "fingerprint": None}
    log = tmp_path / "log"
    xpub = "tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvF"
    xpub += "cAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba"
    program = fake(
        tmp_path,
        f"words = sys.stdin.read()\nopen({str(log)!r}, 'a').write(words)\n"
        f"answer = {[row]!r} if 'enumerate' in words else {{'xpub': {xpub!r}}} if 'getxpub' in words else {{}}\n"
        "print(json.dumps(answer))",
    )
    (info,) = HwiBackend(program=program).discover()
    assert info.trouble_code == "signer.locked"
    person = Person("1379")
    signer = HwiBackend(program=program).open(info, person)
    assert person.heard == ["pin"]
    assert "sendpin 1379" in log.read_text()
    assert signer.info.trouble is None
    assert signer.info.fingerprint is not None
    assert json.dumps(os.environ.copy()).count("1379") == 0


def test_the_command_is_never_this_package_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody linked ``hwi`` to ``bursar-hwi``: it looks for devices, and not for an hwi that is itself."""
    link = tmp_path / "hwi"
    link.write_text(f"#!{sys.executable}\nimport sys\nfrom bursar.cli.hwi.front import run\nsys.exit(run())\n")
    link.chmod(0o755)
    monkeypatch.setenv("BURSAR_HWI", str(link))
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path))
    assert HwiBackend().discover() == ()


def test_an_address_of_several_keys_is_asked_for_by_its_descriptor() -> None:
    class Told:
        def ask(self, words: list[str], **_: Any) -> dict[str, Any]:
            self.words = words
            return {"address": "tb1q…"}

    told = Told()
    info = SignerInfo("hwi", "coldcard:x", "coldcard", fingerprint=Fingerprint.from_text(FINGERPRINT))
    signer = HwiSigner(info, told, ["-t", "coldcard"], Person())  # type: ignore[arg-type]
    key = "[73c5da0a/48h/1h/0h/2h]"
    key += "tpubDFH9dgzveyD8zTbPUFuLrGmCydNvxehyNdUXKJAQN8x4aZ4j6UZqGfnq"
    key += "FrD4NqyaTVGKbvEW54tsvPTK2UoSbCC1PJY8iCNiwTL3RWZEheQ"
    account = DescriptorAccount.from_text(f"wsh(multi(1,{key}/<0;1>/*))", Network.TESTNET)
    assert signer.display_script_address(account, 1, 7) == "tb1q…"
    assert told.words[:-1] == ["-t", "coldcard", "--chain", "test", "displayaddress", "--desc"]
    asked = DescriptorAccount.from_text(told.words[-1], Network.TESTNET)
    assert asked.address(0, 0) == account.address(1, 7)
