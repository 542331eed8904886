from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from bursar.backends.ledger.apdu import Command, Reply
from bursar.backends.ledger.dashboard import app_info
from bursar.backends.ledger.link import Link
from bursar.errors import BursarError, SignerMisbehavedError, SignerUnavailableError

QUESTION = Command(0xE0, 0x06)


def test_one_question_one_answer(scripted: Any, human: Any) -> None:
    link, transport = scripted(b"abc\x90\0", b"\x69\x85")
    assert link.ask(QUESTION) == Reply(0x9000, b"abc")
    assert link.ask(Command(0xE0, 0x04, confirm="Look at it.")) == Reply(0x6985)
    assert transport.sent == [bytes.fromhex("e006000000"), bytes.fromhex("e004000000")]
    assert human.kinds == ["confirm"]
    assert human.events[0].text == "Look at it."


@pytest.mark.parametrize(
    "answer",
    [None, OSError(5, "Input/output error"), ConnectionResetError("gone"), b"", b"\x90", SignerMisbehavedError("no")],
)
def test_every_fault_ends_it_for_good(scripted: Any, answer: bytes | BaseException | None) -> None:
    link, transport = scripted(answer, b"\x90\0")
    with pytest.raises(BursarError):
        link.ask(QUESTION)
    assert transport.closed
    assert not link.usable
    for _ in range(2):
        with pytest.raises(SignerUnavailableError, match="open it again"):
            link.ask(QUESTION)
    assert len(transport.sent) == 1


def test_an_interrupted_wait_ends_it_too(scripted: Any) -> None:
    link, transport = scripted(KeyboardInterrupt(), b"\x90\0")
    with pytest.raises(KeyboardInterrupt):
        link.ask(QUESTION)
    assert transport.closed
    with pytest.raises(SignerUnavailableError):
        link.drain()


def test_conversations_run_to_their_result(scripted: Any, app_answer: Callable[..., bytes]) -> None:
    link, _ = scripted(app_answer())
    assert str(link.run(app_info())) == "Bitcoin Test 2.4.6"


def test_a_refusal_leaves_it_usable_and_nonsense_does_not(scripted: Any) -> None:
    link, transport = scripted(b"\x55\x15", b"\x90\0")
    with pytest.raises(SignerUnavailableError) as caught:
        link.run(app_info())
    assert caught.value.code == "signer.locked"
    assert link.usable
    with pytest.raises(SignerMisbehavedError):
        link.run(app_info())
    assert transport.closed


def test_a_conversation_is_closed_when_it_fails(scripted: Any) -> None:
    ended = []

    def conversation() -> Generator[Command, Reply, None]:
        try:
            yield QUESTION
        finally:
            ended.append(True)

    link, _ = scripted(None)
    with pytest.raises(SignerUnavailableError):
        link.run(conversation())
    assert ended == [True]


def test_closing_frees_the_device_once(scripted: Any) -> None:
    freed = []
    _, transport = scripted()
    link = Link(transport, released=lambda: freed.append(True))
    link.close()
    link.close()
    assert freed == [True]
    with pytest.raises(SignerUnavailableError, match="closed"):
        link.ask(QUESTION)


def test_stale_replies_are_thrown_away(scripted: Any) -> None:
    link, _ = scripted(b"new\x90\0", stale=[b"\x90\0", b"old\x90\0"])
    assert link.drain() == 2
    assert link.ask(QUESTION) == Reply(0x9000, b"new")


def test_a_device_that_never_stops_answering_is_left(scripted: Any) -> None:
    link, transport = scripted(stale=[b"\x90\0"] * 40)
    with pytest.raises(SignerUnavailableError, match="nobody asked"):
        link.drain()
    assert transport.closed
