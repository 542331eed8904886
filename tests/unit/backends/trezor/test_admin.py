"""Setting a Trezor up: the proof of its randomness, labels, recovery by positions, and what is refused beforehand."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from trezorlib import messages

from bursar.backends.trezor import entropy
from bursar.backends.trezor.admin import TrezorAdmin
from bursar.backends.trezor.recovery import recover
from bursar.backends.trezor.session import Session
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath

Connect = Callable[..., Session]


class Maker:
    """The device's half of a set-up with the entropy check; ``lie`` says where it cheats."""

    def __init__(self, lie: str = "", *, strength: int = 256) -> None:
        self.lie = lie
        self.strength = strength
        self.round = 0
        self.theirs = b""
        self.root: ExtendedPrivateKey | None = None

    def answer(self, request: Any) -> Any:
        match type(request).__name__:
            case "ResetDevice":
                return self.ask(None)
            case "EntropyAck":
                used = b"\0" * 32 if self.lie == "ignores ours" else request.entropy
                entropy_used = hashlib.sha256(self.theirs + used).digest()[: self.strength // 8]
                self.root = ExtendedPrivateKey.from_seed(Mnemonic(entropy_used).to_seed())
                return messages.EntropyCheckReady()
            case "GetPublicKey":
                assert self.root is not None
                return self.key(request.address_n)
            case "EntropyCheckContinue" if request.finish:
                return messages.Success(message="")
            case "EntropyCheckContinue":
                return self.ask(self.theirs)
        raise AssertionError(request)

    def ask(self, previous: bytes | None) -> Any:
        self.round += 1
        self.theirs = hashlib.sha256(b"theirs%d" % self.round).digest()
        committed = b"x" * 32 if self.lie == "chooses later" else self.theirs
        commitment = hmac.new(committed, b"", hashlib.sha256).digest()
        if self.lie == "reveals nothing":
            previous = None
        return messages.EntropyRequest(entropy_commitment=commitment, prev_entropy=previous)

    def key(self, indexes: Any) -> Any:
        assert self.root is not None
        root = self.root
        if self.lie == "another key" and self.round == 2:
            root = ExtendedPrivateKey.from_seed(b"\1" * 64)
        public = root.derive(DerivationPath(tuple(indexes))).public()
        node = messages.HDNodeType(
            depth=public.depth,
            fingerprint=int.from_bytes(public.parent, "big"),
            child_num=public.index,
            chain_code=public.chain_code,
            public_key=public.key,
        )
        return messages.PublicKey(node=node, xpub=str(public))


def drive(exchange: Any, answer: Callable[[Any], Any]) -> Any:
    reply = None
    while True:
        try:
            request = exchange.send(reply)
        except StopIteration as done:
            return done.value
        reply = answer(request)


def reset(maker: Maker, rounds: int = 3) -> Any:
    request = messages.ResetDevice(strength=maker.strength, entropy_check=True)
    return drive(entropy.reset(messages, request, rounds=rounds), maker.answer)


@pytest.mark.parametrize("strength", [128, 192, 256])
def test_every_round_is_proved_and_the_last_seed_kept(strength: int) -> None:
    maker = Maker(strength=strength)
    keys = reset(maker)
    assert maker.round == 4
    assert maker.root is not None
    assert keys == {path: maker.root.derive(path).public() for path in entropy.PATHS}


@pytest.mark.parametrize("lie", ["ignores ours", "chooses later", "reveals nothing", "another key"])
def test_a_device_that_cheats_in_one_round_is_found_out(lie: str) -> None:
    with pytest.raises(SignerMisbehavedError, match="did not prove"):
        reset(Maker(lie))


def test_our_randomness_is_fresh_in_every_round() -> None:
    sent: list[bytes] = []
    maker = Maker()

    def answer(request: Any) -> Any:
        if isinstance(request, messages.EntropyAck):
            sent.append(request.entropy)
        return maker.answer(request)

    request = messages.ResetDevice(strength=256, entropy_check=True)
    drive(entropy.reset(messages, request, rounds=3), answer)
    assert len(set(sent)) == 4
    assert {len(one) for one in sent} == {32}


@pytest.fixture
def administer(connect: Connect, trezor: Any) -> Callable[[], TrezorAdmin]:
    return lambda: TrezorAdmin(connect(), trezor.location)


@pytest.mark.parametrize("label", ["", " ", "a\x1b[2J", "a\nb", "\u202ea", "é" * 17, "x" * 33])
def test_labels_are_checked_before_the_device_sees_them(
    administer: Callable[[], TrezorAdmin], trezor: Any, label: str
) -> None:
    admin = administer()
    with pytest.raises(InvalidInputError) as caught:
        admin.set_label(label)
    assert caught.value.code == "input.label"
    assert "ApplySettings" not in trezor.types()


def test_a_number_of_words_nobody_has(administer: Callable[[], TrezorAdmin], trezor: Any) -> None:
    trezor.features["initialized"] = False
    for words in (0, 13, 15, 20, 33):
        with pytest.raises(InvalidInputError):
            administer_once(
                administer, lambda admin, words=words: admin.set_up(label="a", words=words, passphrase=False)
            )


def administer_once(administer: Callable[[], TrezorAdmin], do: Callable[[TrezorAdmin], None]) -> None:
    admin = administer()
    try:
        do(admin)
    finally:
        admin.close()


def test_keys_are_never_overwritten(administer: Callable[[], TrezorAdmin], trezor: Any) -> None:
    admin = administer()
    for do in (admin.set_up, admin.restore):
        with pytest.raises(SignerError, match="wipe it first"):
            do(label="a", words=12, passphrase=False)
    assert not {"ResetDevice", "RecoveryDevice", "WipeDevice"} & set(trezor.types())


def test_an_empty_device_has_nothing_to_look_after(administer: Callable[[], TrezorAdmin], trezor: Any) -> None:
    trezor.features["initialized"] = False
    admin = administer()
    assert admin.info.trouble_code == "signer.uninitialized"
    calls: list[Callable[[], object]] = [
        admin.change_pin,
        admin.back_up,
        admin.remove_pin,
        lambda: admin.set_label("a"),
    ]
    for call in calls:
        with pytest.raises(SignerUnavailableError) as caught:
            call()
        assert caught.value.code == "signer.uninitialized"


def test_a_boot_loader_is_left_alone(administer: Callable[[], TrezorAdmin], trezor: Any) -> None:
    trezor.features["bootloader_mode"] = True
    with pytest.raises(SignerUnavailableError) as caught:
        administer()
    assert caught.value.code == "signer.bootloader"
    assert not trezor.is_opened


def test_a_wipe_that_left_keys_is_told(administer: Callable[[], TrezorAdmin], trezor: Any) -> None:
    admin = administer()
    trezor.on[messages.WipeDevice] = messages.Success(message="")
    with pytest.raises(SignerMisbehavedError, match="has keys"):
        admin.wipe()


def test_what_cannot_be_proved_is_said_so(administer: Callable[[], TrezorAdmin]) -> None:
    with pytest.raises(UnsupportedError, match="certificate"):
        administer().check_genuine()


def test_other_keys_than_the_proved_ones_are_found_out(administer: Callable[[], TrezorAdmin], trezor: Any) -> None:
    maker = Maker()
    trezor.features["initialized"] = False
    kinds = (messages.ResetDevice, messages.EntropyAck, messages.EntropyCheckContinue)
    for kind in kinds:
        trezor.on[kind] = maker.answer
    kept = trezor._public_key
    trezor.on[messages.GetPublicKey] = lambda request: (
        kept(request) if trezor.types()[-3:].count("Initialize") or finished() else maker.answer(request)
    )

    def finished() -> bool:
        return any(isinstance(one, messages.EntropyCheckContinue) and one.finish for one in trezor.seen)

    with pytest.raises(SignerMisbehavedError, match="kept other keys"):
        administer().set_up(label="a", words=24, passphrase=False)


def words_asked(*typed: Any, human: Any, kinds: list[int]) -> tuple[list[str], Any]:
    human.answers = {"recovery_word": list(typed)}
    sent: list[str] = []

    def answer(request: Any) -> Any:
        if isinstance(request, messages.WordAck):
            sent.append(request.word)
        if kinds:
            return messages.WordRequest(type=messages.WordRequestType(kinds.pop(0)))
        return messages.Success(message="")

    drive(recover(messages, messages.RecoveryDevice(), human), answer)
    return sent, human.asked


def test_words_are_given_by_positions(human: Any) -> None:
    sent, asked = words_asked("5", "-", "1", "7", "zoo", human=human, kinds=[1, 1, 1, 2, 0])
    assert sent == ["5", "\b", "1", "7", "zoo"]
    assert "7 8 9" in asked[0].text
    assert "7   9" in asked[3].text


@pytest.mark.parametrize(
    ("typed", "kind", "error"),
    [
        ("", 1, UserCancelledError),
        ("0", 1, InvalidInputError),
        ("12", 1, InvalidInputError),
        ("5", 2, InvalidInputError),
        ("²", 1, InvalidInputError),
        ("two words", 0, InvalidInputError),
        ("ábaco", 0, InvalidInputError),
    ],
)
def test_what_is_no_position_and_no_word_is_refused(human: Any, typed: str, kind: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        words_asked(typed, human=human, kinds=[kind])
    assert len(typed) < 5 or typed not in str(caught.value)


def test_words_asked_for_without_end(human: Any) -> None:
    with pytest.raises(SignerMisbehavedError, match="without end"):
        words_asked(*["1"] * 2000, human=human, kinds=[1] * 2000)
