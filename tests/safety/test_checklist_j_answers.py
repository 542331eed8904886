"""Checklist J, what devices say and what their signatures are good for (rows 94 to 100)."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("bursar_devices", reason="the package bursar-devices is not installed")
pytest.importorskip("trezorlib", reason="the extra bursar[trezor] is not installed")

import devices_at_hand
from bursar_devices import humans
from bursar_devices.device import Press
from bursar_devices.faults import Faults, cable
from devices_at_hand import FAMILIES, HOME, KEYS, Late, Plug, account_of, code_of, commands, opened

from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.message import encode_proof, encode_signature, message_psbt, verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.silent_payments import PayingInput, SilentPaymentKeys, send_outputs
from bursar.bitcoin.silent_payments.psbt import prove_silent_outputs
from bursar.bitcoin.transaction import TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.secp256k1 import ecdsa_verify
from bursar.errors import (
    BursarError,
    InvalidInputError,
    InvalidSignatureError,
    SignerUnavailableError,
    UserCancelledError,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import confirm_address, request_message, request_signatures
from bursar.signing.messages import request_proof

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

alone, hwi, plug, usual_places = (
    devices_at_hand.alone,
    devices_at_hand.hwi,
    devices_at_hand.plug,
    devices_at_hand.usual_places,
)


# --- 94 to 98: what is said, and to whom ---

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202eevil\r\n"


def test_row_94_a_label_that_commands_the_terminal(plug: Plug, usual_places: Any, empty: Any, hwi: Any) -> None:
    trezor = plug("trezor", label=HOSTILE, passphrase_protection=True)
    usual_places(trezor, plug("ledger"))
    listed = empty.run_or_raise("devices", "--emulators")
    shown = [*listed.output.split("\n"), *(str(one) for one in hwi("--emulators", "enumerate")[0].values())]
    empty.run("account", "add", "mine", "--signer", trezor.selector, answers=["x" * 51])
    with pytest.raises(BursarError) as caught:
        empty.text("account", "add", "mine", "--signer", trezor.selector, answers=["x" * 51])
    shown += [caught.value.message, *empty.answers.heard]
    assert any("evil" in line for line in shown)
    assert all(line.replace("\t", "").isprintable() for line in shown)


def test_row_95_no_secret_is_repeated(
    plug: Plug, hwi: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right or wrong, on the way in and in what is said of it."""
    caplog.set_level(logging.DEBUG)
    device = plug("trezor", pin="135792468", passphrase_protection=True)
    secrets = ("correct horse", "battery staple " * 4)
    answers: list[str] = []
    for passphrase in secrets:
        typed: list[str] = []

        def answer(asked: str, passphrase: str = passphrase, typed: list[str] = typed) -> str:
            typed.append(passphrase if "assphrase" in asked else commands.positions(device, "135792468"))
            return typed[-1]

        hwi.typist.answer = answer
        answers.append(json.dumps(hwi.of(device, "getmasterxpub")))
        answers += [hwi.err, json.dumps(hwi.of(device, "-p", passphrase, "getmasterxpub"))]
        assert passphrase in typed
    assert '"xpub"' in answers[0]
    assert "accepts 50" in answers[3]
    said = " ".join((*answers, caplog.text, *capsys.readouterr()))
    assert not [secret for secret in (*secrets, "135792468", "battery staple") if secret in said]


def test_row_95_no_argument_takes_a_secret() -> None:
    """Arguments stand in the shell's history and in the list of processes: secrets are asked for, or come by a file."""
    import click

    from bursar.cli.app import root

    def options(command: click.Command, ctx: click.Context, name: str) -> Iterator[tuple[str, click.Parameter]]:
        yield from ((name, one) for one in command.params)
        if isinstance(command, click.Group):
            for sub in command.list_commands(ctx):
                found = command.get_command(ctx, sub)
                assert found is not None
                yield from options(found, ctx, f"{name} {sub}")

    words = ("password", "passphrase", "pin", "mnemonic", "seed", "secret", "words", "private_key", "xprv")
    free = [
        f"{name} {one.name}"
        for name, one in options(root, click.Context(root), "bursar")
        if one.name in words and one.type is click.STRING
    ]
    assert free == []


def test_row_95_a_crash_leaves_no_memory_on_a_disk() -> None:
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "from bursar.cli.{door} import {name}\n"
        "sys.argv[1:] = ['--version']\n"
        "{name}()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0\n"
    )
    for door, name in (("app", "run"), ("hwi.front", "run")):
        subprocess.run([sys.executable, "-c", code.format(door=door, name=name)], check=True, capture_output=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_row_96_a_refusal_is_told_as_one(family: str, plug: Plug, empty: Any, hwi: Any) -> None:
    device = plug(family)
    empty.text("account", "add", "savings", "--signer", device.selector)
    empty.text("address", "new", "savings")
    payment = str(commands.psbt_of(commands.account(hwi, device, Scheme.BIP84)))
    device.human = humans.reject()
    for words in (
        ("address", "show", "savings", "0", "--on-device", "--signer", device.selector),
        ("message", "sign", "savings", "0", "hello", "--signer", device.selector),
    ):
        with pytest.raises(UserCancelledError):
            empty.text(*words)
    for line in (
        ("displayaddress", "--path", "m/84h/1h/0h/0/0"),
        ("displayaddress", "--desc", f"wpkh([{KEYS[family]}/84h/1h/0h]{account_key(hwi, device)}/0/0)"),
        ("signmessage", "hello", "m/84h/1h/0h/0/0"),
        ("signtx", payment),
    ):
        assert hwi.of(device, *line)["code"] == -14, line


def account_key(hwi: Any, device: Any) -> str:
    return str(hwi.of(device, "getxpub", str(HOME))["xpub"])


HOLDER = """
import sys
from bursar.backends.device_lock import DeviceLock
with DeviceLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_row_97_a_second_program_is_told_which_one_is_first(plug: Plug, empty: Any, hwi: Any) -> None:
    for family in FAMILIES:
        device = plug(family)
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, device.location], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "held\n"
            with pytest.raises(SignerUnavailableError, match=f"process {first.pid} is using it") as caught:
                empty.text("account", "add", "mine", "--signer", device.selector)
            assert code_of(caught) == "signer.busy"
            assert hwi.of(device, "getmasterxpub")["code"] == -15
            first.kill()
        empty.text("account", "add", family, "--number", str(len(family)), "--signer", device.selector)


def thinking(seconds: float) -> Any:
    """A human who reads the first page for a while."""
    yield Press.ACCEPT
    time.sleep(seconds)
    while True:
        yield Press.ACCEPT


@pytest.mark.parametrize("family", FAMILIES)
def test_row_98_the_wire_is_waited_for_briefly_and_a_human_for_long(family: str, plug: Plug) -> None:
    device, late = plug(family), Late()
    with (
        cable(device.location, Faults(rewrite=late)) as wire,
        contextlib.closing(opened(device, wire.location, wire=0.2)) as signer,
    ):
        account = account_of(signer)
        device.human = thinking(0.5)
        assert str(confirm_address(signer, account, 0)) == str(account.address(0, 0))
        late.keeping = True
        began = time.monotonic()
        with pytest.raises(SignerUnavailableError):
            signer.xpub(DerivationPath.from_text("m/84h/1h/5h"))
        assert time.monotonic() - began < 1
    device.human = None
    with contextlib.closing(opened(device, human=0.2)) as signer, pytest.raises(SignerUnavailableError):
        confirm_address(signer, account, 0)  # nobody came in the time that was set


# --- 99, 100: what a signature is good for ---


@pytest.mark.parametrize("scheme", Scheme)
def test_row_99_a_header_says_one_kind_of_address(scheme: Scheme, signer: Any, account: Any) -> None:
    """Bitcoin Core's header counts for every kind of key hash, BIP-137's for its own kind only, nothing for taproot."""
    ours = account(scheme)
    text = b"hello"
    made = request_message(signer, ours.path(0, 0), text, public_key=ours.key(0, 0))
    accepted = set()
    for header in range(256):
        try:
            verify_message(ours.address(0, 0), text, encoded(bytes((header,)) + made.compact()))
        except InvalidInputError:
            continue
        accepted.add(header - (made.y_parity or 0))
    assert (
        accepted
        == {
            Scheme.BIP44: {31},
            Scheme.BIP49: {31, 35},
            Scheme.BIP84: {31, 39},
            Scheme.BIP86: set(),
        }[scheme]
    )


def encoded(raw: bytes) -> str:
    import base64

    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("scheme", Scheme)
def test_row_99_a_proof_says_its_form(scheme: Scheme, signer: Any, account: Any) -> None:
    """With its prefix; without one it counts only as it was written before there were any: simple, native segwit."""
    ours = account(scheme)
    address, text = ours.address(0, 0), b"hello"
    signed = finalize(request_proof(signer, message_psbt(ours.spending(0, 0), text), text))
    full = encode_proof(signed, full=True)
    assert full.startswith("ful")
    verify_message(address, text, full)
    for wrong in (full[3:], "smp" + full[3:], "pof" + full[3:], "FUL" + full[3:]):
        with pytest.raises(InvalidSignatureError):
            verify_message(address, text, wrong)
    short = encode_proof(signed)
    assert short.startswith("smp" if scheme in (Scheme.BIP84, Scheme.BIP86) else "ful")
    for prefix in ("ful", "pof") if short.startswith("smp") else ("smp", "pof"):
        with pytest.raises(InvalidSignatureError):
            verify_message(address, text, prefix + short[3:])


def test_row_99_a_message_that_looks_like_a_transaction(signer: Any, account: Any, ask: SimpleNamespace) -> None:
    ours, psbt = account(), ask.one()
    digest = SighashCache(psbt.tx, [psbt.utxo(0)]).segwit_v0(
        0, b"\x76\xa9\x14" + ours.script(0, 0)[2:] + b"\x88\xac", psbt.utxo(0).value
    )
    key = ours.key(0, 0)
    ecdsa_verify(key, digest, signed_digest(request_signatures(signer, psbt, account=ours), key))
    for message in (digest, digest.hex().encode(), psbt.tx.serialize(), psbt.serialize()):
        made = request_message(signer, ours.path(0, 0), message, public_key=key)
        with pytest.raises(InvalidSignatureError):
            ecdsa_verify(key, digest, made.compact())
        verify_message(ours.address(0, 0), message, encode_signature(made, ours.script_type))
        with pytest.raises(InvalidInputError) as caught:
            request_proof(signer, psbt, message)  # a payment given out as the proof of a message
        assert code_of(caught) == "input.message"


def signed_digest(psbt: Psbt, key: bytes) -> bytes:
    from bursar.crypto.secp256k1 import EcdsaSignature

    return EcdsaSignature.from_der(psbt.inputs[0].partial_sigs[key][:-1]).compact()


def test_row_100_an_output_not_proven_to_pay_its_silent_address(
    signer: Any, account: Any, ask: SimpleNamespace, refused: Callable[..., str], rebuilt: Callable[..., Psbt]
) -> None:
    ours = account()
    plain = ask.one(change=None)
    words = Mnemonic.from_text("abandon " * 11 + "about")
    with words.to_seed() as seed, ExtendedPrivateKey.from_seed(seed, testnet=True) as root:
        paying = PayingInput(plain.tx.inputs[0].outpoint, ours.script(0, 0), root.derive(ours.path(0, 0)).secret())
    payee, thief = (
        SilentPaymentKeys.derive(ExtendedPrivateKey.from_seed(bytes((one,)) * 32, testnet=True), Network.REGTEST)
        for one in (1, 2)
    )
    scripts = [send_outputs([paying], [one.address()])[0] for one in (payee, thief)]

    def pays(script: bytes) -> Psbt:
        return rebuilt(plain, outputs=[TxOut(Sats(99_000), script)]).to_version(2)

    proven = prove_silent_outputs(pays(scripts[0]), [paying], {0: payee.address()})
    assert request_signatures(signer, proven, account=ours).inputs[0].partial_sigs
    stolen = pays(scripts[1])
    stolen.fields.update(proven.fields)
    stolen.outputs[0].fields.update({key: value for key, value in proven.outputs[0].fields.items() if key == b"\x09"})
    refused(stolen, "silent-payment")
    for kind in (7, 8):
        (field,) = [one for one in proven.fields if one[0] == kind]
        for changed in (None, proven.fields[field][:-1] + b"\0", proven.fields[field][1:]):
            wrong = proven.copy()
            if changed is None:
                del wrong.fields[field]
            else:
                wrong.fields[field] = changed
            refused(wrong, "silent-payment")
    for info in (b"", thief.address().scan + thief.address().spend, payee.address().scan):
        wrong = proven.copy()
        wrong.outputs[0].fields[b"\x09"] = info
        refused(wrong, "silent-payment")
