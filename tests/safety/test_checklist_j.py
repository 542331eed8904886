"""Checklist J, devices, their wires and their state (rows 83 to 93): simulated ones, over good cables and bad."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("bursar_devices", reason="the package bursar-devices is not installed")
pytest.importorskip("trezorlib", reason="the extra bursar[trezor] is not installed")

import devices_at_hand
from bursar_devices.device import Lie
from bursar_devices.faults import Faults, Side, cable
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import setup as trezor_setup
from devices_at_hand import (
    FAMILIES,
    HOME,
    KEYS,
    OTHER_WORDS,
    Late,
    Plug,
    account_of,
    code_of,
    commands,
    in_memory,
    lent,
    opened,
)
from trezorlib import messages

from bursar.backends.trezor import TrezorBackend, places, state
from bursar.errors import (
    BursarError,
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerNotFoundError,
    SignerUnavailableError,
    UserCancelledError,
)
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import confirm_address, request_message, request_signatures
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.firmware import FirmwareKnowledge
from bursar.signing.registry import Registry

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

alone, hwi, memory, plug, usual_places = (
    devices_at_hand.alone,
    devices_at_hand.hwi,
    devices_at_hand.memory,
    devices_at_hand.plug,
    devices_at_hand.usual_places,
)


# --- 83 to 85: which device ---


def test_row_83_an_emulator_is_found_only_by_who_asks_for_it(
    plug: Plug, usual_places: Any, empty: Any, hwi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trezor, ledger = plug("trezor"), plug("ledger")
    usual_places(trezor, ledger)
    reached: list[Any] = []
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda one, to: reached.append(to) or connect(one, to))
    assert not any(one["emulated"] for one in empty.json("devices")["devices"])
    assert hwi("enumerate") == []
    for keys in KEYS.values():
        with pytest.raises(SignerNotFoundError):
            empty.text("account", "add", "mine", "--signer", keys)
        assert hwi("-f", keys, "getmasterxpub")["code"] == -3
    for elsewhere in ("trezor:udp:10.0.0.1:21324", "ledger:tcp:10.0.0.1:9999"):
        with pytest.raises(InvalidInputError):
            empty.text("account", "add", "mine", "--signer", elsewhere)
    assert reached == []
    found = empty.json("devices", "--emulators")["devices"]
    assert {one["location"] for one in found if one["emulated"]} == {trezor.location, ledger.location}
    assert {str(one[1]) for one in reached} == {str(trezor.port), str(ledger.port)}


@pytest.mark.parametrize("family", FAMILIES)
def test_row_84_another_device_at_a_known_place(family: str, plug: Plug, empty: Any) -> None:
    """Exchanged between two commands, and in the middle of a conversation."""
    first = plug(family)
    empty.text("account", "add", "savings", "--signer", first.selector)
    empty.text("address", "new", "savings")
    show = ("address", "show", "savings", "0", "--on-device", "--signer", first.selector)
    assert empty.json(*show)["address"]["confirmed_on_device"] is True
    signer = opened(first, wire=1.0)
    first.close()
    second = plug(family, mnemonic=OTHER_WORDS, port=first.port)
    with pytest.raises(SignerError):
        signer.xpub(DerivationPath.from_text("m/84h/1h/1h"))
    signer.close()
    with pytest.raises(InvalidInputError) as caught:
        empty.text(*show)
    assert code_of(caught) == "input.signer.other"
    assert second.pages == []


def test_row_85_several_devices_are_meant(plug: Plug, empty: Any, hwi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two with one seed and label, and a third that calls itself by the place of the first."""
    one, two = plug("trezor", label="Mine"), plug("trezor", label="Mine")
    all_three = (one, two, plug("trezor", label=one.location, mnemonic=OTHER_WORDS))

    def discover(self: TrezorBackend, *, emulators: bool = False) -> tuple[Any, ...]:
        assert not emulators
        return tuple(self.locate(device.location) for device in all_three)

    monkeypatch.setattr(TrezorBackend, "discover", discover)
    listed = [found["signer"] for found in empty.json("devices")["devices"]]
    assert listed == [device.selector for device in all_three]
    for named in ("trezor:Mine", KEYS["trezor"]):
        with pytest.raises(InvalidInputError) as caught:
            empty.text("account", "add", "mine", "--signer", named)
        assert code_of(caught) == "input.signer.ambiguous"
        assert one.selector in caught.value.message
        assert two.selector in caught.value.message
    for words in (("account", "add", "mine"), ("device", "label", "--to", "Yours")):
        with pytest.raises(InvalidInputError, match="several"):
            empty.text(*words)
    for which in (("-t", "trezor"), ("-f", KEYS["trezor"])):
        answer = hwi(*which, "getmasterxpub")
        assert answer["code"] == -3
        assert two.selector in answer["error"]
    assert KEYS["trezor"] in empty.json("account", "add", "mine", "--signer", listed[0])["account"]["account"]["origin"]
    assert not any(device.pages for device in all_three)


# --- 86 to 88: the wire ---


@pytest.mark.parametrize("family", FAMILIES)
def test_row_86_no_question_gets_the_answer_to_an_earlier_one(family: str, plug: Plug) -> None:
    """As measured with the vendor's library: after a time-out each call was given the answer to the one before."""
    device, late = plug(family), Late()
    paths = [DerivationPath.from_text(f"m/84h/1h/{number}h") for number in range(3)]
    with contextlib.closing(opened(device)) as signer:
        right = [signer.xpub(path) for path in paths]
    with cable(device.location, Faults(rewrite=late)) as wire:
        signer = opened(device, wire.location, wire=0.2)
        late.keeping = True
        with pytest.raises(SignerUnavailableError):
            signer.xpub(paths[0])
        late.keeping = False
        with pytest.raises(SignerUnavailableError, match="open it again"):
            signer.xpub(paths[1])
        signer.close()
        with contextlib.closing(opened(device, wire.location)) as again:
            assert [again.xpub(path) for path in paths[1:]] == right[1:]


@pytest.mark.parametrize("family", FAMILIES)
def test_row_86_pulled_out_while_it_signs(family: str, plug: Plug) -> None:
    device = plug(family)
    with cable(device.location) as wire:
        signer = opened(device, wire.location)
        account = account_of(signer)
        asked = question([Spend(account, 0, 0), Spend(account, 1, 1)], change=account)
        before = asked.serialize()
        wire.arm(Faults())
        request_signatures(signer, asked, account=account)
        frames = wire.frames
        signer.close()
        for frame in (1, frames // 3, frames - 1):
            wire.plug(Faults())
            signer = opened(device, wire.location, wire=0.15, human=0.15)
            wire.arm(Faults(disconnect_at=frame))
            with pytest.raises(SignerUnavailableError):
                request_signatures(signer, asked, account=account)
            with pytest.raises(SignerUnavailableError):
                signer.xpub(HOME)
            signer.close()
            assert asked.serialize() == before
        wire.plug(Faults())
        with contextlib.closing(opened(device, wire.location, wire=0.3)) as signer:
            assert request_signatures(signer, asked, account=account).inputs[1].partial_sigs
            device.close()
            with pytest.raises(SignerUnavailableError):
                signer.xpub(DerivationPath.from_text("m/84h/1h/9h"))


@pytest.mark.parametrize("family", FAMILIES)
def test_row_87_answers_in_pieces(family: str, plug: Plug, hwi: Any) -> None:
    """Byte by byte where bytes come in a stream; a packet that was cut is an error, and no answer."""
    device = plug(family)
    with cable(device.location, Faults(short_reads=True)) as wire:
        there = SimpleNamespace(family=family, location=wire.location)
        held = commands.account(hwi, device, Scheme.BIP84)
        signed = hwi.of(there, "signtx", str(commands.psbt_of(held)))
        assert signed["signed"] is True
    chance = random.Random(87)

    def cut(side: Side, _number: int, frame: bytes) -> list[bytes]:
        return [frame if side is Side.HOST else frame[: chance.randrange(len(frame))]]

    for _ in range(4):
        with cable(device.location) as wire, contextlib.closing(opened(device, wire.location, wire=0.1)) as signer:
            wire.arm(Faults(rewrite=cut))
            with pytest.raises((SignerMisbehavedError, SignerUnavailableError)):
                signer.xpub(HOME)


ASKED = {
    "button": messages.ButtonRequest(code=messages.ButtonRequestType.Other),
    "pin": messages.PinMatrixRequest(type=messages.PinMatrixRequestType.Current),
    "passphrase": messages.PassphraseRequest(),
}


def one_after_the_other(memory: Any, kinds: tuple[str, ...], reply: Any) -> Any:
    if not kinds:
        return reply
    memory.waiting = lambda _: one_after_the_other(memory, kinds[1:], reply)
    return ASKED[kinds[0]]


def test_row_88_asked_in_any_order_and_cancelled_anywhere(memory: Any) -> None:
    human = in_memory.ScriptedHuman(pin="1739")
    found = TrezorBackend().locate(memory.location)
    assert found is not None
    with TrezorBackend().open(found, human) as signer:
        for number, order in enumerate(itertools.permutations((*ASKED, "button"))):
            path = DerivationPath((1, number))
            key = in_memory.public_key(path.indexes)
            memory.on[messages.GetPublicKey] = lambda message, order=order: one_after_the_other(
                memory, order if len(message.address_n) == 2 else (), in_memory.public_key(message.address_n)
            )
            human.answers["pin"] = UserCancelledError("no")
            with pytest.raises(UserCancelledError):
                signer.xpub(path)
            assert memory.types()[-2:] == ["Cancel", "Ping"]
            human.answers["pin"] = "1739"
            assert str(signer.xpub(path)) == key.xpub


# --- 89, 90: who answers ---


@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs")
def test_row_89_paired_by_a_human_or_not_at_all(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairing = lent("bursar_safety_pairing", "backends", "trezor", "test_pairing.py")
    safe = pairing.Safe7(in_memory.public_key)
    monkeypatch.setattr(places, "place_of", lambda location: places.Place(location, "Trezor", safe))
    stored = empty.home / "trezor" / "pairings.json"
    add = ("account", "add", "--network", "main", "--signer", f"trezor:{pairing.LOCATION}")
    for typed, lie, words in (("000000", "", "wrong code"), (None, "secret", "between"), (None, "prologue", "between")):
        safe.lie = lie
        with pytest.raises(SignerMisbehavedError, match=words):
            empty.text(*add, "x", answers=[typed or (lambda _: safe.code)])
        assert not stored.exists()
        assert "GetPublicKey" not in safe.seen
    safe.lie = ""
    empty.text(*add, "first", answers=[lambda _: safe.code])
    assert (stored.stat().st_mode & 0o777, stored.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    empty.text(*add, "second", "--number", "1")  # known by its key: nobody is asked
    safe.static = b"\x22" * 32
    with pytest.raises(SignerMisbehavedError):
        empty.text(*add, "third", "--number", "2", answers=["000000"])  # another device: a stranger
    stored.chmod(0o644)
    with pytest.raises(SignerError) as caught:
        empty.text(*add, "fourth", "--number", "3")
    assert code_of(caught) == "signer.credentials"


@pytest.mark.parametrize("family", FAMILIES)
def test_row_90_old_replies(family: str, plug: Plug) -> None:
    """The answer to the question before, which was a good one: a signature, a message, an address."""
    device = plug(family)

    def sign(signer: Any, account: BitcoinAccount, number: int) -> None:
        request_signatures(signer, question([Spend(account)], change=account, salt=number), account=account)

    def write(signer: Any, account: BitcoinAccount, number: int) -> None:
        key = account.key(0, 0)
        request_message(signer, account.path(0, 0), b"message %d" % number, public_key=key)

    def show(signer: Any, account: BitcoinAccount, number: int) -> None:
        confirm_address(signer, account, number)

    for ask in (sign, write, show):
        device.lies.clear()
        with contextlib.closing(opened(device)) as signer:
            account = account_of(signer)
            ask(signer, account, 0)
            device.lies.add(Lie.OLD_REPLY)
            with pytest.raises((SignerMisbehavedError, SignerUnavailableError)):
                ask(signer, account, 1)


# --- 91 to 93: what state it is in ---

STATES: dict[str, tuple[dict[str, Any], str]] = {
    "in its boot loader": ({"bootloader_mode": True}, "signer.bootloader"),
    "without firmware": ({"bootloader_mode": True, "firmware_present": False}, "signer.bootloader"),
    "empty": ({"initialized": False}, "signer.uninitialized"),
    "in a recovery": ({"recovery_status": messages.RecoveryStatus.Recovery}, "signer.uninitialized"),
    "without backup": ({"backup_availability": messages.BackupAvailability.Required}, "signer.backup"),
    "its backup broken off": ({"unfinished_backup": True}, "signer.backup"),
    "seedless": ({"no_backup": True}, "signer.backup"),
    "an unknown model": ({"internal_model": "T9Z9", "model": "Z"}, "signer.unknown"),
    "old firmware": ({"minor_version": 9, "patch_version": 0}, "signer.firmware"),
}


@pytest.mark.parametrize("name", STATES)
def test_row_91_a_trezor_in_no_state_to_sign(name: str, memory: Any, empty: Any, hwi: Any) -> None:
    features, code = STATES[name]
    memory.features |= features
    found = TrezorBackend().locate(memory.location)
    assert found is not None
    assert found.trouble_code == code
    with pytest.raises(SignerError) as caught:
        empty.text("account", "add", "mine", "--signer", f"trezor:{memory.location}")
    assert code_of(caught) == code
    device = SimpleNamespace(family="trezor", location=memory.location)
    assert hwi.of(device, "getmasterxpub")["code"] < 0
    assert not {"GetAddress", "SignTx", "SignMessage"}.intersection(memory.types())


LEDGERS: dict[str, tuple[dict[str, Any], str]] = {
    "no app": ({"app": "BOLOS"}, "signer.app"),
    "another network's app": ({"app": "Bitcoin"}, "signer.app"),
    "an app of the old protocol": ({"version": "2.0.6"}, "signer.app"),
    "locked": ({"pin": "1234"}, "signer.locked"),
}


@pytest.mark.parametrize("name", LEDGERS)
def test_row_91_a_ledger_in_no_state_to_sign(name: str, plug: Plug, empty: Any) -> None:
    options, code = LEDGERS[name]
    device = plug("ledger", **options)
    with pytest.raises(BursarError) as caught:
        empty.text("account", "add", "mine", "--signer", device.selector)
    assert code_of(caught) == code, caught.value.message
    assert device.pages == []


def test_row_91_firmware_that_its_vendor_did_not_certify(plug: Plug, empty: Any) -> None:
    with pytest.raises(SignerError):
        empty.text("device", "check", plug("trezor", model="T3T1").selector)


ADVISORY = """
version = 1
vendor = "Trezor"
[[model]]
id = "T1B1"
name = "Trezor One"
newest = "1.14.1"
[[rule]]
level = "seed-compromised"
models = ["T1B1"]
below = "1.15"
text = "its seeds can be guessed: move the money"
reference = "ADV-1"
"""


def test_row_92_a_seed_that_others_can_guess(plug: Plug, empty: Any, hwi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = plug("trezor")
    empty.text("account", "add", "savings", "--signer", device.selector)
    empty.text("address", "new", "savings")
    known = FirmwareKnowledge.from_toml(ADVISORY)
    monkeypatch.setattr(state, "knowledge", lambda: known)
    monkeypatch.setattr(TrezorBackend, "discover", lambda self, *, emulators=False: (self.locate(device.location),))
    for words in (
        ("address", "new", "savings"),
        ("address", "show", "savings", "0", "--on-device", "--signer", device.selector),
        ("account", "add", "more", "--number", "1", "--signer", device.selector),
        ("message", "sign", "savings", "0", "hello", "--signer", device.selector),
    ):
        with pytest.raises(SignerError) as caught:
            empty.text(*words)
        assert code_of(caught) == "signer.seed", words
    assert "guessed" in hwi.of(device, "displayaddress", "--path", "m/84h/1h/0h/0/0")["error"]
    assert device.pages == []
    accepted = Registry.installed([TrezorBackend(accepted=["ADV-1"])]).open(device.selector, BenchPrompt())
    with contextlib.closing(accepted) as signer:
        account = account_of(signer)
        with pytest.raises(SignerError, match="no receive address"):
            confirm_address(signer, account, 0)
        assert request_signatures(signer, question([Spend(account)]), account=account).inputs[0].partial_sigs


def test_row_93_a_device_that_makes_its_seed_alone(plug: Plug, empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found out in the first round; firmware that cannot prove it is set up with a warning."""
    old = plug("trezor", model="T2T1", initialized=False, typed=["1379", "1379"])
    told = empty.run_or_raise("device", "setup", old.selector, "--label", "Old", "--words", "12")
    assert "cannot prove" in told.stdout + told.stderr + " ".join(empty.answers.heard)
    monkeypatch.setattr(trezor_setup, "Mnemonic", lambda entropy: Mnemonic(bytes(len(entropy))))
    cheat = plug("trezor", model="T3T1", initialized=False, typed=["1379", "1379"])
    with pytest.raises(SignerMisbehavedError, match="did not prove"):
        empty.text("device", "setup", cheat.selector, "--label", "New", "--words", "12")
