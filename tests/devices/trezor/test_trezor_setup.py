"""Setting the simulated Trezor up: new seeds, backups, recovery, wiping, genuineness."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.trezor import TrezorSimulator
from embit import bip39
from trezor_host import MODELS, client_of, path, session_of
from trezorlib import btc, device, exceptions, messages

Start = Callable[..., TrezorSimulator]
WORDS = 23 * "abandon " + "art"


@pytest.fixture(params=MODELS)
def empty(request: pytest.FixtureRequest, trezor: Start) -> TrezorSimulator:
    return trezor(request.param, initialized=False)


def seedless(simulator: TrezorSimulator, **callbacks: Any) -> Any:
    return client_of(simulator, **callbacks).get_session(passphrase=None)


def set_up(session: Any, **options: Any) -> None:
    device.setup(session, **({"pin_protection": False, "backup_type": messages.BackupType.Bip39} | options))


def test_a_new_device(empty: TrezorSimulator) -> None:
    features = client_of(empty).features
    assert features.initialized is False
    with pytest.raises(exceptions.TrezorFailure) as caught:
        session_of(empty)
    assert caught.value.code == messages.FailureType.NotInitialized


@pytest.mark.parametrize("strength", [128, 192, 256])
def test_a_seed_of_both_sides_entropy(empty: TrezorSimulator, strength: int) -> None:
    session = seedless(empty)
    set_up(session, strength=strength, label="new", skip_backup=True, entropy_check_count=0)
    mnemonic = empty.board.storage.mnemonic or ""
    assert bip39.mnemonic_is_valid(mnemonic)
    assert len(mnemonic.split()) == strength * 3 // 32
    features = session.refresh_features()
    assert (features.initialized, features.label) == (True, "new")
    assert features.backup_availability == messages.BackupAvailability.Required


def test_the_entropy_is_the_commitments(empty: TrezorSimulator, wire: Any) -> None:
    """Whoever knows both halves can compute the words."""
    line = wire(empty)
    line.call(messages.Initialize())
    reset = messages.ResetDevice(
        strength=128, skip_backup=True, entropy_check=True, backup_type=messages.BackupType.Bip39
    )
    first = line.call(reset)
    assert isinstance(line.call(messages.EntropyAck(entropy=b"a" * 32)), messages.EntropyCheckReady)
    before = line.call(messages.GetPublicKey(address_n=path("m/84h/0h/0h")))
    second = line.call(messages.EntropyCheckContinue(finish=False))
    assert hmac.digest(second.prev_entropy, b"", "sha256") == first.entropy_commitment
    secret = hashlib.sha256(second.prev_entropy + b"a" * 32).digest()[:16]
    from embit import bip32

    root = bip32.HDKey.from_seed(bip39.mnemonic_to_seed(bip39.mnemonic_from_bytes(secret)))
    assert root.derive("m/84h/0h/0h").to_public().to_base58() == before.xpub
    line.call(messages.EntropyAck(entropy=b"b" * 32))
    assert isinstance(line.call(messages.EntropyCheckContinue(finish=True)), messages.Success)
    assert bip39.mnemonic_to_bytes(empty.board.storage.mnemonic or "") != secret


def test_the_vendors_entropy_check_is_content(empty: TrezorSimulator) -> None:
    session = seedless(empty)
    set_up(session, strength=256, skip_backup=True, entropy_check_count=2)
    assert session.refresh_features().initialized


def test_a_backup_shows_every_word(empty: TrezorSimulator) -> None:
    session = seedless(empty)
    set_up(session, strength=128, skip_backup=True, entropy_check_count=0)
    device.backup(session)
    shown = [word for page in empty.pages for word in page.lines]
    assert all(word in shown for word in (empty.board.storage.mnemonic or "").split())
    assert session.refresh_features().backup_availability == messages.BackupAvailability.NotAvailable
    with pytest.raises(exceptions.TrezorFailure, match="Seed already backed up"):
        device.backup(session)


def test_a_device_that_needs_a_backup(trezor: Start) -> None:
    for model in MODELS:
        features = client_of(trezor(model, needs_backup=True)).features
        assert features.backup_availability == messages.BackupAvailability.Required


def test_no_backup_ever(empty: TrezorSimulator) -> None:
    session = seedless(empty)
    set_up(session, strength=128, no_backup=True, entropy_check_count=0)
    assert session.refresh_features().no_backup


@pytest.mark.parametrize("model", ["T2T1", "T3T1"])
def test_recovery_on_the_device(model: str, trezor: Start) -> None:
    simulator = trezor(model, initialized=False, typed=["24", *("zoo " * 24).split(), "24", *WORDS.split()])
    session = seedless(simulator)
    device.recover(session, word_count=24, label="back", pin_protection=False)
    assert simulator.board.storage.mnemonic == WORDS
    assert session.refresh_features().label == "back"


def test_recovery_of_a_trezor_one_word_by_word(trezor: Start) -> None:
    """In an order, and among fake words, only its screen tells."""
    simulator = trezor("T1B1", initialized=False)
    session = seedless(simulator)

    def word(_kind: Any) -> str:
        fake, number = simulator.board.recovery_word
        return fake or WORDS.split()[number - 1]

    device.recover(session, word_count=24, input_callback=word, pin_protection=False)
    assert simulator.board.storage.mnemonic == WORDS
    device.recover(session, word_count=24, input_callback=word, type=messages.RecoveryType.DryRun)


def test_recovery_of_a_trezor_one_by_matrix(trezor: Start) -> None:
    simulator = trezor("T1B1", initialized=False)
    words = [
        "zoo",
        "zone",
        "about",
        "ability",
        "abandon",
        "legal",
        "winner",
        "thank",
        "year",
        "wave",
        "sausage",
        "worth",
    ]
    entered = iter([(word, level) for word in words for level in range(4)])

    def field(_kind: Any) -> str:
        word, _ = next(entered)
        for line in simulator.pages[-1].lines:
            place, _, group = line.partition(" ")
            low, _, high = group.partition("-")
            if low and low <= word <= (high or low):
                return place
        raise AssertionError(word)

    method = messages.RecoveryDeviceInputMethod.Matrix
    request = messages.RecoveryDevice(word_count=12, enforce_wordlist=False, input_method=method)
    session = seedless(simulator)
    reply = session.call(request)
    while isinstance(reply, messages.WordRequest):
        reply = session.call(messages.WordAck(word=field(reply.type)))
    assert simulator.board.storage.mnemonic == " ".join(words)


def test_a_trezor_one_wants_the_matrix_for_few_words(trezor: Start) -> None:
    session = seedless(trezor("T1B1", initialized=False))
    with pytest.raises(exceptions.TrezorFailure, match="Advanced recovery must be used"):
        device.recover(session, word_count=12, input_callback=lambda _kind: "zoo", pin_protection=False)


@pytest.mark.parametrize("model", MODELS)
def test_wiped(model: str, trezor: Start) -> None:
    simulator = trezor(model, pin=None)
    session = session_of(simulator)
    before = session.features.device_id
    device.wipe(session)
    features = client_of(simulator).features
    assert features.initialized is False
    assert features.device_id != before
    simulator.human = humans.reject()
    with pytest.raises(exceptions.Cancelled):
        device.wipe(seedless(simulator))


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_set_up_twice(model: str, trezor: Start) -> None:
    session = session_of(trezor(model))
    with pytest.raises(exceptions.TrezorFailure) as caught:
        session.call(messages.ResetDevice(strength=128))
    assert caught.value.code == messages.FailureType.UnexpectedMessage
    with pytest.raises(exceptions.TrezorFailure) as caught:
        session.call(messages.LoadDevice(mnemonics=["all " * 11 + "all"]))
    assert caught.value.code == messages.FailureType.UnexpectedMessage


@pytest.mark.parametrize("model", MODELS)
def test_a_firmware_hash_depends_on_the_challenge(model: str, trezor: Start) -> None:
    session = session_of(trezor(model))
    hashes = {
        session.call(messages.GetFirmwareHash(challenge=challenge)).hash for challenge in (None, b"a" * 32, b"b" * 32)
    }
    assert len(hashes) == 3
    assert {len(value) for value in hashes} == {32}


def test_a_simulator_is_not_genuine(trezor: Start) -> None:
    with pytest.raises(exceptions.TrezorFailure, match="Signing inaccessible"):
        session_of(trezor("T3T1")).call(messages.AuthenticateDevice(challenge=b"x" * 32))
    with pytest.raises(exceptions.TrezorFailure, match="Unknown message"):
        session_of(trezor("T1B1")).call(messages.AuthenticateDevice(challenge=b"x" * 32))


def test_the_same_simulator_makes_the_same_seed(trezor: Start) -> None:
    made = []
    for _ in range(2):
        simulator = trezor("T3T1", initialized=False)
        session = seedless(simulator)
        session.call(messages.ResetDevice(strength=128, skip_backup=True, backup_type=messages.BackupType.Bip39))
        session.call(messages.EntropyAck(entropy=b"e" * 32))
        made.append(btc.get_public_node(session_of(simulator), []).xpub)
    assert made[0] == made[1]
