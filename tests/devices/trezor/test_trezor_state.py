"""Sessions, lock, PIN, passphrases and settings of the simulated Trezor."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.device import Press
from bursar_devices.trezor import TrezorSimulator
from trezor_host import MODELS, client_of, path, session_of
from trezorlib import btc, device, exceptions, messages
from trezorlib.client import PassphraseSetting
from trezorlib.messages import InputScriptType

from bursar.errors import InvalidInputError

Start = Callable[..., TrezorSimulator]
LATER = ("T2T1", "T3T1")


def first(session: Any) -> str:
    return str(btc.get_address(session, "Bitcoin", path("m/84h/0h/0h/0/0"), script_type=InputScriptType.SPENDWITNESS))


def positions(simulator: TrezorSimulator, pin: str) -> Callable[[Any], str]:
    """A host's PIN dialogue: the human reads the matrix off the screen."""
    return lambda _request: "".join(str(simulator.board.matrix.index(digit) + 1) for digit in pin)


@pytest.mark.parametrize("model", MODELS)
def test_features(model: str, trezor: Start) -> None:
    simulator = trezor(model, label="mine")
    features = client_of(simulator).features
    assert features.vendor == "trezor.io"
    assert (features.initialized, features.unlocked, features.label) == (True, True, "mine")
    assert (features.pin_protection, features.passphrase_protection) == (False, False)
    assert features.safety_checks == messages.SafetyCheckLevel.Strict
    assert features.bootloader_mode is None
    assert len(features.session_id or b"") == 32
    version = (features.major_version, features.minor_version, features.patch_version)
    assert version == {"T1B1": (1, 14, 1), "T2T1": (2, 6, 4), "T3T1": (2, 8, 9)}[model]
    on_device = messages.Capability.PassphraseEntry in features.capabilities
    assert on_device == (model != "T1B1")
    assert (features.model, features.internal_model) == {
        "T1B1": ("1", None),
        "T2T1": ("T", "T2T1"),
        "T3T1": ("Safe 5", "T3T1"),
    }[model]


def test_a_later_model_keeps_to_itself_what_is_private_while_locked(trezor: Start) -> None:
    simulator = trezor("T3T1", pin="1234", passphrase_protection=True)
    features = client_of(simulator).features
    assert features.unlocked is False
    assert features.passphrase_protection is None
    assert features.safety_checks is None


@pytest.mark.parametrize(
    ("model", "firmware"), [("T1B1", "1.6.0"), ("T1B1", "1.99.9"), ("T2T1", "2.0.5"), ("T3T1", "9.99.99")]
)
def test_any_firmware_version_can_be_claimed(model: str, firmware: str, trezor: Start) -> None:
    simulator = trezor(model, firmware=firmware)
    assert simulator.firmware == firmware
    old = firmware in ("1.6.0", "2.0.5")
    with pytest.warns(UserWarning, match="out of date") if old else nullcontext():
        features = client_of(simulator).features
    assert (features.major_version, features.minor_version, features.patch_version) == tuple(
        map(int, firmware.split("."))
    )


@pytest.mark.parametrize("firmware", ["", "1", "1.2", "1.2.x", "1.2.3.4", "-1.2.3", "1.2.123456"])
def test_a_version_is_three_numbers(firmware: str) -> None:
    with pytest.raises(InvalidInputError, match="version"):
        TrezorSimulator(firmware=firmware)
    with pytest.raises(InvalidInputError, match="T1B1"):
        TrezorSimulator(model="X")


def test_a_device_in_its_bootloader(trezor: Start, wire: Any) -> None:
    simulator = trezor("T3T1", bootloader=True)
    line = wire(simulator)
    features = line.call(messages.Initialize())
    assert features.bootloader_mode
    assert features.initialized is None
    assert isinstance(line.call(messages.GetPublicKey(address_n=[])), messages.Failure)


@pytest.mark.parametrize("model", MODELS)
def test_ten_sessions_live_and_the_least_recently_used_makes_room(model: str, trezor: Start) -> None:
    client = client_of(trezor(model, passphrase_protection=True))
    sessions = [client.get_session(passphrase=str(number)) for number in range(10)]
    assert len({first(session) for session in sessions}) == 10
    first(sessions[0])
    client.get_session(passphrase="one more")
    assert first(sessions[0])
    with pytest.raises(exceptions.InvalidSessionError):
        first(sessions[1])


@pytest.mark.parametrize("model", MODELS)
def test_an_ended_session_is_gone(model: str, trezor: Start, wire: Any) -> None:
    line = wire(trezor(model))
    begun = line.call(messages.Initialize()).session_id
    assert line.call(messages.Initialize(session_id=begun)).session_id == begun
    line.call(messages.EndSession())
    failure = line.call(messages.GetPublicKey(address_n=[0x80000000]))
    assert failure.code == messages.FailureType.InvalidSession
    assert line.call(messages.Initialize(session_id=begun)).session_id != begun


@pytest.mark.parametrize("model", MODELS)
def test_passphrases_are_wallets_and_never_trimmed(model: str, trezor: Start) -> None:
    client = client_of(trezor(model, passphrase_protection=True))
    texts = ["", "a", " a", "a ", "A", "é", "x" * 50]
    wallets = {text: first(client.get_session(passphrase=text)) for text in texts}
    assert len(set(wallets.values())) == len(texts)
    decomposed = unicodedata.normalize("NFD", "é")
    assert first(client.get_session(passphrase=decomposed)) == wallets["é"]
    assert wallets[""] == "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"


@pytest.mark.parametrize("model", LATER)
@pytest.mark.parametrize("text", ["x" * 51, "é" * 17])
def test_more_than_fifty_bytes_are_refused(model: str, text: str, trezor: Start) -> None:
    client = client_of(trezor(model, passphrase_protection=True))
    with pytest.raises(exceptions.TrezorFailure, match="Maximum passphrase length is 50 bytes"):
        client.get_session(passphrase=text)


def test_a_trezor_one_waits_on_after_too_long_a_passphrase(trezor: Start, wire: Any) -> None:
    line = wire(trezor("T1B1", passphrase_protection=True))
    line.call(messages.Initialize())
    assert isinstance(line.call(messages.GetPublicKey(address_n=[])), messages.PassphraseRequest)
    for length, text in ((51, "string overflow"), (60, "Message too big")):
        assert line.call(messages.PassphraseAck(passphrase="x" * length)).message == text
    assert isinstance(line.call(messages.PassphraseAck(passphrase="")), messages.PublicKey)


@pytest.mark.parametrize("model", MODELS)
def test_a_hidden_wallet_is_shown_before_it_opens(model: str, trezor: Start) -> None:
    simulator = trezor(model, passphrase_protection=True)
    client_of(simulator).get_session(passphrase="sesame")
    assert "sesame" in humans.told(simulator.pages)
    simulator.human = humans.reject()
    with pytest.raises(exceptions.Cancelled):
        client_of(simulator).get_session(passphrase="sesame")


def test_a_passphrase_typed_on_the_device(trezor: Start) -> None:
    simulator = trezor("T3T1", passphrase_protection=True, typed=["sesame"])
    client = client_of(simulator)
    typed = client.get_session(passphrase=PassphraseSetting.ON_DEVICE)
    assert first(typed) == first(client.get_session(passphrase="sesame"))
    with pytest.raises(exceptions.MissingCapability):
        client_of(trezor("T1B1", passphrase_protection=True)).get_session(passphrase=PassphraseSetting.ON_DEVICE)


def test_a_passphrase_always_typed_on_the_device(trezor: Start) -> None:
    simulator = trezor("T3T1", typed=["sesame"])
    session = session_of(simulator)
    device.apply_settings(session, use_passphrase=True, passphrase_always_on_device=True)
    client = client_of(simulator)
    opened = client.get_session(passphrase=PassphraseSetting.ON_DEVICE)
    other = trezor("T3T1", passphrase_protection=True)
    assert first(opened) == first(client_of(other).get_session(passphrase="sesame"))


def test_the_matrix_of_a_trezor_one(trezor: Start) -> None:
    simulator = trezor("T1B1", pin="1234")
    session = session_of(simulator, pin_callback=positions(simulator, "1234"))
    assert first(session)
    session.lock()
    assert session.features.unlocked is False
    assert first(session)
    matrices = [page.lines for page in simulator.pages if "PIN" in page.title]
    assert len(matrices) == 2
    assert matrices[0] != matrices[1]


def test_wrong_pins_cost_more_and_more_and_the_last_everything(trezor: Start) -> None:
    simulator = trezor("T1B1", pin="1234")
    waited = []
    for _ in range(3):
        with pytest.raises(exceptions.PinException):
            session_of(simulator, pin_callback=positions(simulator, "1235"))
        waited.append(simulator.board.storage.waited_seconds)
    assert waited == [1, 1 + 3, 1 + 3 + 7]
    assert first(session_of(simulator, pin_callback=positions(simulator, "1234")))
    assert simulator.board.storage.wrong_pins == 0
    session_of(simulator).lock()
    for _ in range(16):
        with pytest.raises(exceptions.PinException):
            session_of(simulator, pin_callback=positions(simulator, "1"))
    assert client_of(simulator).features.initialized is False


@pytest.mark.parametrize("model", LATER)
def test_a_pin_typed_on_the_device(model: str, trezor: Start) -> None:
    """A wrong one is asked for again."""
    simulator = trezor(model, pin="1234", typed=["9", "8", "1234"])
    assert first(session_of(simulator))
    assert [page.title for page in simulator.pages] == ["Enter PIN", "Wrong PIN", "Wrong PIN"]
    refused = trezor(model, pin="1234", human=humans.reject())
    with pytest.raises(exceptions.Cancelled):
        session_of(refused)


@pytest.mark.parametrize("model", MODELS)
def test_pin_set_changed_and_removed(model: str, trezor: Start) -> None:
    simulator = trezor(model, typed=["12", "12", "12", "345", "345", "345"])
    pins = iter(["12", "12", "12", "345", "345", "345"])
    session = session_of(simulator, pin_callback=lambda request: positions(simulator, next(pins))(request))
    for remove, expected in ((False, "12"), (False, "345"), (True, None)):
        device.change_pin(session, remove=remove)
        assert simulator.board.storage.pin == expected
        assert session.refresh_features().pin_protection is (expected is not None)


@pytest.mark.parametrize("model", MODELS)
def test_settings(model: str, trezor: Start) -> None:
    simulator = trezor(model)
    session = session_of(simulator)
    device.apply_settings(session, label="other", use_passphrase=True, auto_lock_delay_ms=20_000)
    features = session.refresh_features()
    assert (features.label, features.passphrase_protection, features.auto_lock_delay_ms) == ("other", True, 20_000)
    with pytest.raises(exceptions.TrezorFailure, match="Auto-lock delay too short"):
        device.apply_settings(session, auto_lock_delay_ms=1)
    simulator.human = humans.reject()
    with pytest.raises(exceptions.Cancelled):
        device.apply_settings(session, label="third")
    assert session.refresh_features().label == "other"


@pytest.mark.parametrize("model", MODELS)
def test_every_wait_ends_with_a_cancel(model: str, trezor: Start, wire: Any) -> None:
    simulator = trezor(model, human=None, passphrase_protection=True)
    line = wire(simulator)
    waiting = (
        messages.Ping(button_protection=True),
        messages.GetPublicKey(address_n=[]),
        messages.WipeDevice(),
        messages.ApplySettings(label="x"),
    )
    for message in waiting:
        line.call(messages.Initialize())
        line.send(message)
        line.receive()
        line.send(messages.Cancel())
        failure = line.receive()
        assert failure.code == messages.FailureType.ActionCancelled
        assert line.call(messages.Ping(message="next")).message == "next"


@pytest.mark.parametrize("model", MODELS)
def test_a_person_presses_by_hand(model: str, trezor: Start, wire: Any) -> None:
    simulator = trezor(model, human=None)
    line = wire(simulator)
    simulator.press(Press.ACCEPT)
    assert simulator.page() is None
    line.send(messages.Ping(message="x", button_protection=True))
    assert isinstance(line.receive(), messages.ButtonRequest)
    assert simulator.page() is None, "the page can be pressed once the host has acknowledged it"
    line.send(messages.ButtonAck())
    _until(lambda: simulator.page() is not None)
    simulator.press(Press.REFUSE)
    assert line.receive().code == messages.FailureType.ActionCancelled


def _until(condition: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_an_address_on_a_trezor_one_can_only_be_turned_over(trezor: Start, wire: Any) -> None:
    """By its own button; our human, who refuses, has the request ended."""
    simulator = trezor("T1B1", human=humans.reject())
    with pytest.raises(exceptions.Cancelled):
        btc.get_address(session_of(simulator), "Bitcoin", path("m/44h/0h/0h/0/0"), show_display=True)


def test_a_human_who_objects_is_heard_when_the_device_is_closed() -> None:
    def objecting() -> Any:
        page = yield Press.ACCEPT
        raise AssertionError(f"never saw {page.title}")

    simulator = TrezorSimulator(human=objecting()).start()
    with pytest.raises(exceptions.Cancelled):
        client_of(simulator).get_session().call(messages.Ping(button_protection=True))
    with pytest.raises(AssertionError, match="never saw"):
        simulator.close()
