"""The whole backend against simulated Trezors on UDP: opening, signing, refusing, setting up."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.device import Lie
from bursar_devices.humans import approve, reject
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.trezor import HostPassphrase, PassphraseOnDevice, TrezorBackend
from bursar.backends.trezor.conversation import Patience
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.message import encode_signature, verify_message
from bursar.bitcoin.network import Network
from bursar.crypto.secret import Secret
from bursar.errors import (
    BursarError,
    SignerError,
    SignerMisbehavedError,
    SignerNotFoundError,
    SignerUnavailableError,
    UserCancelledError,
)
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import confirm_address, request_message

MODELS = ("T1B1", "T2T1", "T3T1")
PLAIN = Fingerprint.from_text("5c9e228d")
ACCOUNT = DerivationPath.from_text("m/84h/0h/0h")
PATIENCE = Patience(device=2, human=2, whole=60)


@pytest.fixture
def simulate() -> Iterator[Callable[..., TrezorSimulator]]:
    started: list[TrezorSimulator] = []

    def start(**options: Any) -> TrezorSimulator:
        options.setdefault("human", approve())
        started.append(TrezorSimulator(**options).start())
        return started[-1]

    yield start
    for simulator in started:
        simulator.close()


@pytest.fixture
def backend(tmp_path: Path) -> Callable[..., TrezorBackend]:
    return lambda **options: TrezorBackend(**{"locks": tmp_path / "locks", "patience": PATIENCE, **options})


def opened(backend: TrezorBackend, simulator: TrezorSimulator, prompt: BenchPrompt | None = None) -> Any:
    found = backend.locate(simulator.location)
    assert found is not None
    return backend.open(found, prompt or BenchPrompt())


def account_of(signer: Any) -> BitcoinAccount:
    return BitcoinAccount(Network.MAIN, Scheme.BIP84, KeyOrigin(PLAIN, ACCOUNT), signer.xpub(ACCOUNT))


def positions(simulator: TrezorSimulator, digits: str) -> str:
    return "".join(str(simulator.board.matrix.index(digit) + 1) for digit in digits)


@pytest.mark.parametrize("model", MODELS)
def test_keys_messages_and_addresses(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], model: str
) -> None:
    simulator = simulate(model=model)
    with opened(backend(), simulator) as signer:
        assert signer.info.fingerprint == PLAIN
        account = account_of(signer)
        assert str(confirm_address(signer, account, 0)) == "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"
        signature = request_message(signer, ACCOUNT / 0 / 0, b"hello", public_key=account.key(0, 0))
        text = encode_signature(signature, account.script_type)
        verify_message(account.address(0, 0), b"hello", text)


@pytest.mark.parametrize("model", MODELS)
def test_a_refusal_is_a_refusal_and_the_next_call_works(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], model: str
) -> None:
    simulator = simulate(model=model)
    with opened(backend(), simulator) as signer:
        account = account_of(signer)
        simulator.human = reject()
        with pytest.raises(UserCancelledError):
            signer.sign_message(ACCOUNT / 0 / 0, b"hello")
        with pytest.raises(UserCancelledError):
            signer.display_address(account, 0, 0)
        simulator.human = approve()
        assert signer.display_address(account, 0, 1) == str(account.address(0, 1))


@pytest.mark.parametrize("model", MODELS)
def test_a_pin(simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], model: str) -> None:
    simulator = simulate(model=model, pin="1379")
    prompt = BenchPrompt({"pin": lambda _: positions(simulator, "1379")})
    with opened(backend(), simulator, prompt) as signer:
        assert signer.info.fingerprint == PLAIN
    assert len(prompt.asked) == (1 if model == "T1B1" else 0)
    if model != "T1B1":
        assert [event.kind for event in prompt.heard if event.kind == "locked"]


def test_a_wrong_pin(simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend]) -> None:
    simulator = simulate(pin="1379")
    with pytest.raises(SignerError) as caught:
        opened(backend(), simulator, BenchPrompt({"pin": lambda _: positions(simulator, "1378")}))
    assert caught.value.code == "signer.pin"
    opened(backend(), simulator, BenchPrompt({"pin": lambda _: positions(simulator, "1379")})).close()


@pytest.mark.parametrize("model", MODELS)
def test_passphrases(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], model: str
) -> None:
    simulator = simulate(model=model, passphrase_protection=True, typed=["a"])
    asked = BenchPrompt({"passphrase": "a"})
    with opened(backend(), simulator, asked) as signer:
        first = signer.info.fingerprint
        assert signer.xpub(ACCOUNT)
    assert first != PLAIN
    with opened(backend(passphrase=HostPassphrase(Secret.from_text(" a"))), simulator) as signer:
        assert signer.info.fingerprint not in (first, PLAIN)
    if model == "T1B1":
        return
    with opened(backend(passphrase=PassphraseOnDevice()), simulator) as signer:
        assert signer.info.fingerprint == first


def test_another_program_on_the_port_is_noticed(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], tmp_path: Path
) -> None:
    """Ten sessions of another host evict ours: it is derived again and compared."""
    simulator = simulate()
    with opened(backend(), simulator) as signer:
        account = account_of(signer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.settimeout(2)
            other.connect(("127.0.0.1", simulator.port))
            for _ in range(12):
                other.send(b"?##\0\0\0\0\0\0".ljust(64, b"\0"))
                other.recv(64)
        assert signer.display_address(account, 0, 0) == str(account.address(0, 0))


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_ADDRESS, Lie.OLD_REPLY, Lie.WRONG_SIGNATURE])
def test_lies_are_found_out(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], lie: Lie
) -> None:
    simulator = simulate()
    with opened(backend(), simulator) as signer:
        account = account_of(signer)
        signer.display_address(account, 0, 5)
        simulator.lies.add(lie)
        with pytest.raises((SignerMisbehavedError, SignerUnavailableError)):
            ask_for_much(signer, account)


def ask_for_much(signer: Any, account: BitcoinAccount) -> None:
    for index in range(3):
        confirm_address(signer, account, index)
        request_message(signer, ACCOUNT / 0 / index, b"hello", public_key=account.key(0, index))


def test_silence_poisons_and_a_new_opening_hears_only_new_answers(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend]
) -> None:
    simulator = simulate(human=None)
    quick = backend(patience=Patience(device=1, human=0.3, whole=60))
    signer = opened(quick, simulator)
    account = account_of(signer)
    with pytest.raises(SignerUnavailableError, match=r"0\.3 seconds"):
        signer.display_address(account, 0, 0)
    with pytest.raises(SignerUnavailableError, match="open it again"):
        signer.display_address(account, 0, 0)
    simulator.human = approve()
    with opened(quick, simulator) as again:
        assert again.display_address(account, 0, 1) == str(account.address(0, 1))


class Relay:
    """A loopback relay in front of a simulator that stops passing packets after a number of them."""

    def __init__(self, port: int, packets: int) -> None:
        self._left = packets
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.connect(("127.0.0.1", port))
        self.location = f"udp:127.0.0.1:{self._front.getsockname()[1]}"
        self._host: Any = None
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._to_device, self._to_host)]
        for thread in self._threads:
            thread.start()

    def _take(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def _to_device(self) -> None:
        while True:
            try:
                packet, self._host = self._front.recvfrom(64)
                if self._take():
                    self._back.send(packet)
            except OSError:
                return
            if not packet:
                return

    def _to_host(self) -> None:
        while True:
            try:
                packet = self._back.recv(64)
                if self._take():
                    self._front.sendto(packet, self._host)
            except OSError:
                return
            if not packet:
                return

    def close(self) -> None:
        for wire in (self._front, self._back):
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
            wire.close()


def test_connections_that_die_at_any_packet(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend]
) -> None:
    """No hang, no half result, and the device is well afterwards."""
    simulator = simulate()
    hasty = backend(patience=Patience(device=0.15, human=0.15, whole=5))
    with opened(backend(), simulator) as signer:
        account = account_of(signer)
    chance = random.Random(1)
    shown = 0
    for _ in range(12):
        relay = Relay(simulator.port, chance.randrange(12, 60))
        try:
            found = hasty.locate(relay.location)
            if found is None or found.trouble:
                continue
            with hasty.open(found, BenchPrompt()) as signer:
                assert signer.display_address(account, 0, 3) == str(account.address(0, 3))
                shown += 1
        except (SignerUnavailableError, SignerNotFoundError):
            pass
        finally:
            relay.close()
    with opened(backend(), simulator) as signer:
        assert signer.display_address(account, 0, 4) == str(account.address(0, 4))
    assert shown < 12


@pytest.mark.parametrize("model", MODELS)
def test_set_up_and_looked_after(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], model: str
) -> None:
    simulator = simulate(model=model, initialized=False, typed=["1379", "1379"])
    prompt = BenchPrompt({"pin": lambda _: positions(simulator, "1379"), "passphrase": ""})
    found = backend().locate(simulator.location)
    assert found is not None
    with closing(backend().administer(found, prompt)) as admin:
        admin.set_up(label="Treasury 1", words=12, passphrase=True)
        assert admin.info.label == "Treasury 1"
        assert admin.info.trouble in (None, "locked: the PIN is asked for when it is opened")
        assert len((simulator.board.storage.mnemonic or "").split()) == 12
        admin.set_label("Treasury 2")
        admin.set_passphrase(enabled=False)
        admin.change_pin()
        admin.remove_pin()
        with pytest.raises(SignerError, match="once only"):
            admin.back_up()
        if model == "T3T1":
            with pytest.raises(SignerError):
                admin.check_genuine()
    with opened(backend(), simulator, prompt) as signer:
        assert signer.info.label == "Treasury 2"
        assert account_of(signer)
    with closing(backend().administer(found, prompt)) as admin:
        admin.wipe()
        assert admin.info.trouble_code == "signer.uninitialized"
    assert simulator.board.storage.mnemonic is None


@pytest.mark.parametrize("model", ["T2T1", "T3T1"])
def test_restored_on_its_own_screen(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend], model: str
) -> None:
    simulator = simulate(model=model, initialized=False, typed=["1379", "1379", "12", *["all"] * 12])
    found = backend().locate(simulator.location)
    assert found is not None
    with closing(backend().administer(found, BenchPrompt())) as admin:
        admin.restore(label="Again", words=12, passphrase=False)
    with opened(backend(), simulator) as signer:
        assert signer.info.fingerprint == PLAIN


def test_a_set_up_refused_changes_nothing(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend]
) -> None:
    simulator = simulate(initialized=False, human=reject())
    found = backend().locate(simulator.location)
    assert found is not None
    with closing(backend().administer(found, BenchPrompt())) as admin:
        with pytest.raises(BursarError):
            admin.set_up(label="a", words=12, passphrase=False)
        assert admin.info.trouble_code == "signer.uninitialized"


def test_firmware_accepted_for_signing_still_shows_no_address(
    simulate: Callable[..., TrezorSimulator], backend: Callable[..., TrezorBackend]
) -> None:
    simulator = simulate(model="T1B1", firmware="1.9.0")
    with pytest.raises(SignerError, match="believes the host"):
        opened(backend(), simulator)
    with opened(backend(accepted=["CVE-2020-14199"]), simulator) as signer:
        account = account_of(signer)
        signature = request_message(signer, ACCOUNT / 0 / 0, b"hello", public_key=account.key(0, 0))
        assert signature.low_s
        with pytest.raises(SignerError, match="no receive address is given out") as caught:
            confirm_address(signer, account, 0)
        assert caught.value.code == "signer.firmware"
