"""``bursar device`` end to end on simulated Trezors, and the passphrase chosen on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.humans import approve, reject
from bursar_devices.trezor import TrezorSimulator

from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)

MODELS = ("T1B1", "T2T1", "T3T1")
KEYS = "5c9e228d"
PIN, OTHER_PIN = "1379", "2468"


@pytest.fixture
def trezor() -> Iterator[Callable[..., TrezorSimulator]]:
    started: list[TrezorSimulator] = []

    def start(**options: Any) -> TrezorSimulator:
        started.append(TrezorSimulator(**{"human": approve(), **options}).start())
        return started[-1]

    yield start
    for one in started:
        one.close()


def where(device: TrezorSimulator, digits: str) -> Callable[[Any], str]:
    """An answer: the positions of these digits in the square the device shows at that moment."""
    return lambda _: "".join(str(device.board.matrix.index(digit) + 1) for digit in digits)


def pins(device: TrezorSimulator, *several: str) -> list[Any]:
    """What is typed at the computer: on a One positions, on the others nothing."""
    return [where(device, one) for one in several] if device.model == "T1B1" else []


@pytest.mark.parametrize("model", MODELS)
def test_from_empty_to_empty(cli: Any, trezor: Any, model: str) -> None:
    device = trezor(model=model, initialized=False, typed=[PIN, PIN])
    name = device.selector
    with pytest.raises(SignerUnavailableError, match="bursar device setup"):
        cli.text("device", "label", name, "--to", "x")
    set_up = ("device", "setup", name, "--label", "Treasury 1", "--words", "12")
    assert "Set up." in cli.text(*set_up, answers=pins(device, PIN, PIN))
    assert len((device.board.storage.mnemonic or "").split()) == 12
    assert device.board.storage.pin == PIN
    with pytest.raises(SignerError, match="wipe it first"):
        cli.text(*set_up)
    assert "Treasury 2" in cli.text("device", "label", name, "--to", "Treasury 2")
    assert device.board.storage.label == "Treasury 2"
    assert "passphrases are on" in cli.text("device", "passphrase", "on", name).lower()
    assert device.board.storage.passphrase_protection is True
    assert cli.json("device", "passphrase", "off", name)["done"] is True
    with pytest.raises(SignerError, match="written down already"):
        cli.text("device", "backup", name)
    with pytest.raises(UserCancelledError, match="nothing was done"):
        cli.text("device", "wipe", name, answers=["yes"])
    assert device.board.storage.mnemonic
    assert "is empty" in cli.text("device", "wipe", name, answers=["wipe"])
    assert device.board.storage.mnemonic is None


@pytest.mark.parametrize("model", MODELS)
def test_the_pin_set_changed_and_removed(cli: Any, trezor: Any, model: str) -> None:
    typed = [PIN, PIN, PIN, OTHER_PIN, OTHER_PIN, OTHER_PIN]
    device = trezor(model=model, typed=[] if model == "T1B1" else typed)
    name = device.selector
    cli.text("device", "pin", "set", name, answers=pins(device, PIN, PIN))
    assert device.board.storage.pin == PIN
    cli.text("device", "pin", "set", name, answers=pins(device, PIN, OTHER_PIN, OTHER_PIN))
    assert device.board.storage.pin == OTHER_PIN
    with pytest.raises(UserCancelledError):
        cli.text("device", "pin", "remove", name, answers=["no"])
    cli.text("device", "pin", "remove", name, "--confirm", "remove", answers=pins(device, OTHER_PIN))
    assert device.board.storage.pin is None
    with pytest.raises(InvalidInputError, match="no PIN"):
        cli.text("device", "pin", "remove", name, "--confirm", "remove")


def test_two_new_pins_that_differ(cli: Any, trezor: Any) -> None:
    device = trezor()
    with pytest.raises(InvalidInputError, match="differ"):
        cli.text("device", "pin", "set", device.selector, answers=pins(device, PIN, OTHER_PIN))
    assert device.board.storage.pin is None


@pytest.mark.parametrize("model", MODELS[1:])
def test_restore(cli: Any, trezor: Any, model: str) -> None:
    device = trezor(model=model, initialized=False, typed=[PIN, PIN, "12", *["all"] * 12])
    cli.text("device", "restore", device.selector, "--label", "Again", "--words", "12")
    assert device.board.storage.label == "Again"
    assert set((device.board.storage.mnemonic or "").split()) == {"all"}


@pytest.mark.parametrize("model", MODELS)
def test_backup_is_due_and_made(cli: Any, trezor: Any, model: str) -> None:
    device = trezor(model=model, needs_backup=True)
    assert "written down" in cli.text("device", "backup", device.selector)
    assert device.board.storage.needs_backup is False


def test_check(cli: Any, trezor: Any) -> None:
    with pytest.raises(UnsupportedError, match="hologram"):
        cli.text("device", "check", trezor(model="T1B1").selector)
    with pytest.raises(SignerError, match="inaccessible"):  # no simulator holds a certificate of the vendor's
        cli.text("device", "check", trezor(model="T3T1").selector)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("words", [("wipe", "--confirm", "wipe"), ("passphrase", "on"), ("label", "--to", "x")])
def test_refused_on_the_device(cli: Any, trezor: Any, model: str, words: tuple[str, ...]) -> None:
    device = trezor(model=model, human=reject(), label="Mine")
    with pytest.raises(UserCancelledError):
        cli.text("device", *words, device.selector)
    assert device.board.storage.label == "Mine"
    assert device.board.storage.passphrase_protection is False
    assert device.board.storage.mnemonic


# --- --passphrase none|ask|device ---


def added(cli: Any, device: TrezorSimulator, name: str, *words: str, answers: list[Any] | None = None) -> str:
    told = cli.json("account", "add", name, "--signer", device.selector, *words, answers=answers)
    return str(told["account"]["account"]["origin"]).strip("[")[:8]


@pytest.fixture
def empty(cli: Any) -> Any:
    """A wallet without a keystore."""
    from bursar.bitcoin.network import Network
    from bursar.cli import config
    from bursar.cli.home import Home, write_private
    from bursar.policy.policy import DEFAULT_POLICY_TOML
    from bursar.wallet.wallet import Wallet

    home = Home(cli.home)
    home.create()
    write_private(home.config, config.render(network=Network.REGTEST, chain_id=31337))
    write_private(home.policy, DEFAULT_POLICY_TOML)
    Wallet.open(home.wallet, create=True).close()
    return cli


def test_the_passphrase_is_a_choice(empty: Any, trezor: Any) -> None:
    device = trezor(model="T3T1", passphrase_protection=True, typed=["TREZOR"])
    asked = [lambda _: "TREZOR"]
    plain = added(empty, device, "plain", "--passphrase", "none")
    assert plain == KEYS
    there = added(empty, device, "there", "--passphrase", "device", "--scheme", "bip86")
    here = added(empty, device, "here", "--scheme", "bip49", answers=asked)
    assert there == here != plain
    empty.text("address", "new", "here")
    shown = ("address", "show", "here", "0", "--on-device", "--signer", device.selector)
    with pytest.raises(SignerError, match="another passphrase"):
        empty.text(*shown, "--passphrase", "none")
    assert empty.json(*shown, answers=asked)["address"]["confirmed_on_device"] is True


def test_choices_a_device_cannot_follow(empty: Any, trezor: Any) -> None:
    with pytest.raises(UnsupportedError, match="cannot be typed on"):
        added(empty, trezor(passphrase_protection=True), "a", "--passphrase", "device")
    with pytest.raises(InvalidInputError, match="passphrase on"):
        added(empty, trezor(model="T3T1"), "b", "--passphrase", "device")


def test_without_passphrases_nobody_is_asked(empty: Any, trezor: Any) -> None:
    assert added(empty, trezor(), "a") == KEYS
    assert added(empty, trezor(), "b", "--passphrase", "none", "--number", "1") == KEYS
