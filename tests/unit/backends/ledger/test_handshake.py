"""Getting in step: whatever an earlier connection left behind, the first answer trusted is ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bursar.backends.ledger.dashboard import AppInfo
from bursar.backends.ledger.handshake import check_app, get_in_step
from bursar.backends.ledger.link import Limits, Link
from bursar.errors import SignerUnavailableError
from bursar.keys.origin import Fingerprint

FINGERPRINT = bytes.fromhex("5c9e228d")
OK = b"\x90\0"
Answers = Callable[..., bytes]


class Device:
    """An app that answers in order, with replies left over from somebody else's questions in front."""

    def __init__(self, answers: dict[bytes, bytes], *, unasked: list[bytes], queued: list[bytes]) -> None:
        self._answers = answers
        self._unasked = unasked
        self._queue = queued
        self.sent: list[bytes] = []
        self.closed = False

    def send(self, message: bytes, *, deadline: float) -> None:
        self.sent.append(message)
        self._queue.append(self._answers.get(message, b"\x6e\0"))

    def receive(self, *, deadline: float) -> bytes:
        if self._unasked:
            return self._unasked.pop(0)
        if not self._queue or not self.sent:
            raise TimeoutError
        return self._queue.pop(0)

    def close(self) -> None:
        self.closed = True


def device(
    app_answer: Answers, name: str = "Bitcoin Test", *, unasked: tuple[bytes, ...] = (), queued: tuple[bytes, ...] = ()
) -> Device:
    answers = {
        bytes.fromhex("b001000000"): app_answer(name),
        bytes.fromhex("e105000100"): FINGERPRINT + OK,
        bytes.fromhex("e006000000"): bytes((2, 1, 22, 0)) + OK,
        bytes.fromhex("e001000000"): bytes.fromhex("33100004") + b"\x051.1.1" + OK,
    }
    return Device(answers, unasked=list(unasked), queued=list(queued))


def link_to(one: Device) -> Link:
    return Link(one, limits=Limits(human=5, device=5, stale=0.001))


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [("Bitcoin Test", FINGERPRINT), ("Bitcoin", FINGERPRINT), ("Ethereum", None), ("BOLOS", None)],
)
def test_three_questions_and_the_answers_fit(app_answer: Answers, name: str, fingerprint: bytes | None) -> None:
    one = device(app_answer, name)
    greeting = get_in_step(link_to(one))
    assert greeting.app.name == name
    assert greeting.fingerprint == (None if fingerprint is None else Fingerprint(fingerprint))
    assert len(one.sent) == 3
    assert one.sent[0] == one.sent[2] != one.sent[1]


def left_over(app_answer: Answers) -> list[bytes]:
    return [app_answer(), app_answer("Ethereum", "1.22.0"), FINGERPRINT + OK, OK, b"\x69\x85", b"sig" * 20 + OK]


@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("late", [False, True])
def test_one_reply_left_over_is_never_taken_for_ours(app_answer: Answers, which: int, late: bool) -> None:
    stale = left_over(app_answer)[which]
    one = device(app_answer, unasked=() if late else (stale,), queued=(stale,) if late else ())
    link = link_to(one)
    greeting = get_in_step(link)
    assert greeting.app == AppInfo("Bitcoin Test", "2.4.6", b"\0")
    assert greeting.fingerprint == Fingerprint(FINGERPRINT)
    assert not one._queue  # nothing is left for the next question
    assert link.usable


def test_two_left_over_are_thrown_away_too(app_answer: Answers) -> None:
    for first in left_over(app_answer):
        for second in left_over(app_answer):
            one = device(app_answer, queued=(first, second))
            link = link_to(one)
            try:
                greeting = get_in_step(link)
            except SignerUnavailableError:
                assert one.closed
                continue
            assert greeting.fingerprint == Fingerprint(FINGERPRINT)
            assert not one._queue


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [("5515", "signer.locked", "enter the PIN"), ("6982", "signer.locked", "PIN"), ("6901", "signer.busy", "earlier")],
)
def test_what_is_in_the_way_is_named(scripted: Any, status: str, code: str, words: str) -> None:
    link, transport = scripted(bytes.fromhex(status))
    with pytest.raises(SignerUnavailableError, match=words) as caught:
        get_in_step(link)
    assert caught.value.code == code
    assert transport.closed


def test_a_device_that_never_fits_is_left(scripted: Any) -> None:
    link, transport = scripted(*[b"nonsense\x90\0"] * 20)
    with pytest.raises(SignerUnavailableError, match="do not fit"):
        get_in_step(link)
    assert transport.closed


def test_a_silent_device_is_left(scripted: Any) -> None:
    link, transport = scripted()
    with pytest.raises(SignerUnavailableError, match="did not answer in time"):
        get_in_step(link)
    assert transport.closed


def test_an_app_without_a_second_question_is_seen(app_answer: Answers) -> None:
    assert get_in_step(link_to(device(app_answer, "Solana"))).app.name == "Solana"


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("BOLOS", "1.1.1", "no app is open"),
        ("Solana", "1.0", "the app Solana 1.0 is open"),
        ("Bitcoin", "2.0.6", "update the Bitcoin app"),
        ("Bitcoin Test", "1.6.5", "update the Bitcoin app"),
        ("Bitcoin", "two", "update the Bitcoin app"),
        ("Bitcoin Legacy", "2.4.0", "update the Bitcoin app"),
        ("Bitcoin Test Legacy", "2.1.0", "update the Bitcoin app"),
        ("Litecoin", "2.4.1", "open the Bitcoin or the Ethereum app"),
    ],
)
def test_other_apps_are_refused_in_words(name: str, version: str, words: str) -> None:
    with pytest.raises(SignerUnavailableError, match=words) as caught:
        check_app(AppInfo(name, version, b"\0"))
    assert caught.value.code == "signer.app"


@pytest.mark.parametrize(("name", "version"), [("Bitcoin", "2.1.0"), ("Bitcoin Test", "3.0"), ("Ethereum", "1.9.0")])
def test_apps_spoken_to(name: str, version: str) -> None:
    check_app(AppInfo(name, version, b"\0"))
