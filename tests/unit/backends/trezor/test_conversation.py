"""Conversations with a Trezor in memory: out of step, cancelled in every state, flooded, cut off."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

import pytest
from trezorlib import messages

from bursar.backends.trezor.conversation import MOST_QUESTIONS, Patience, anyone_talking
from bursar.backends.trezor.exchange import one
from bursar.backends.trezor.session import Session
from bursar.errors import (
    BursarError,
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)

Connect = Callable[..., Session]
ADDRESS = messages.Address(address="1abc")


def ask() -> Any:
    return one(messages.GetAddress(address_n=[0]), messages.Address)


def button(code: int = 10) -> Any:
    return messages.ButtonRequest(code=messages.ButtonRequestType(code))


def held(trezor: Any, reply: Any, request: Any = None) -> Callable[[Any], Any]:
    """Answer with ``request`` (a button by default) and give ``reply`` when that is acknowledged."""

    def answer(_: Any) -> Any:
        trezor.waiting = lambda _: reply
        return request or button()

    return answer


def test_one_question_and_its_answer(connect: Connect, trezor: Any, human: Any) -> None:
    trezor.on[messages.GetAddress] = held(trezor, ADDRESS)
    assert connect().run(ask()).address == "1abc"
    assert [event.kind for event in human.told] == ["confirm"]
    assert "turns the page" in human.told[0].text  # the One cannot refuse an address
    assert not anyone_talking()


def test_opening_cancels_then_proves_that_the_answers_are_new(connect: Connect, trezor: Any) -> None:
    trezor.open()
    trezor.say([ADDRESS, ADDRESS, b"?rest of a message".ljust(64, b"\0"), messages.Success(message="old")])
    session = connect()
    assert trezor.types()[:3] == ["Cancel", "Ping", "GetFeatures"]
    trezor.on[messages.GetAddress] = ADDRESS
    assert session.run(ask()).address == "1abc"


def test_opening_gives_up_on_a_device_that_answers_other_questions(connect: Connect, trezor: Any) -> None:
    trezor.on[messages.Ping] = [messages.Success(message="old")] * 100
    with pytest.raises(SignerMisbehavedError):
        connect()
    assert not trezor.is_opened


def test_after_a_time_out_no_later_call_sees_the_late_reply(connect: Connect, trezor: Any) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = lambda _: None
    with pytest.raises(SignerUnavailableError, match="did not answer within 5 seconds"):
        session.run(ask())
    assert trezor.types()[-1] == "Cancel"
    trezor.open()
    trezor.say(ADDRESS)  # it comes late
    trezor.on[messages.GetAddress] = messages.Address(address="1new")
    with pytest.raises(SignerUnavailableError, match="open it again"):
        session.run(ask())
    session.close()
    assert connect().run(ask()).address == "1new"


def test_an_open_of_the_same_place_works_after_poison_without_a_close(connect: Connect, trezor: Any) -> None:
    first = connect()
    trezor.on[messages.GetAddress] = lambda _: None
    with pytest.raises(SignerUnavailableError):
        first.run(ask())
    trezor.on[messages.GetAddress] = ADDRESS
    assert connect().run(ask()).address == "1abc"


@pytest.mark.parametrize(
    "reply",
    [
        b"#?? not the magic".ljust(64, b"\0"),
        b"?##\x00\x1e\xff\xff\xff\xff".ljust(64, b"\0"),  # four gigabytes
        b"?##\xfa\xce\x00\x00\x00\x00".ljust(64, b"\0"),  # a type nobody knows
        b"?##\x00\x1e\x00\x00\x00\x03\x0a\xff\xff".ljust(64, b"\0"),  # cut protobuf
        b"?##\x00\x0c\x00\x00\x00\x02\x0a\x00".ljust(64, b"\0"),  # a required field is missing
        b"?",
        b"",
    ],
)
def test_malformed_answers_end_the_conversation(connect: Connect, trezor: Any, reply: bytes) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = [reply]
    with pytest.raises(SignerMisbehavedError):
        session.run(ask())
    with pytest.raises(SignerUnavailableError, match="open it again"):
        session.run(ask())


def test_random_bytes_never_get_through(connect: Connect, trezor: Any) -> None:
    chance = random.Random(7)
    for _ in range(60):
        session = connect()
        trezor.on[messages.GetAddress] = [b"?##" + chance.randbytes(61) for _ in range(3)]
        with pytest.raises(SignerError):
            session.run(ask())
        session.close()


def test_an_answer_of_another_kind_ends_the_conversation(connect: Connect, trezor: Any) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = messages.Success(message="yes")
    with pytest.raises(SignerMisbehavedError, match="answered Success where Address was due"):
        session.run(ask())
    with pytest.raises(SignerUnavailableError):
        session.run(ask())


def test_buttons_without_end_are_cut_off(connect: Connect, trezor: Any, human: Any) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = button(8)
    trezor.on[messages.ButtonAck] = button(8)
    with pytest.raises(SignerMisbehavedError, match="without end"):
        session.run(ask())
    assert len(human.told) == MOST_QUESTIONS


def test_an_address_turned_over_and_over_is_refused(connect: Connect, trezor: Any) -> None:
    """The other button of a Trezor One's address page refuses nothing."""
    session = connect()
    trezor.on[messages.GetAddress] = button()
    trezor.on[messages.ButtonAck] = button()
    with pytest.raises(UserCancelledError):
        session.run(ask())
    assert trezor.types()[-2:] == ["Cancel", "Ping"]
    trezor.on[messages.GetAddress] = ADDRESS
    assert session.run(ask()).address == "1abc"


def test_packets_without_end_are_cut_off(connect: Connect, trezor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = b"?##\x00\x1e\x00\x0f\xff\xff".ljust(64, b"\0")
    monkeypatch.setattr(trezor, "read_chunk", lambda timeout=None: b"?".ljust(64, b"\0"))
    monkeypatch.setattr("bursar.backends.trezor.wire.MOST_PACKETS", 100)
    with pytest.raises(SignerMisbehavedError):
        session.run(ask())


def test_an_exchange_has_an_end(connect: Connect, trezor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = connect(patience=Patience(device=5, human=5, whole=-1))
    trezor.on[messages.GetAddress] = button()
    trezor.on[messages.ButtonAck] = button()
    with pytest.raises(SignerUnavailableError, match="took too long"):
        session.run(ask())


@pytest.mark.parametrize(
    ("code", "text", "kind", "name"),
    [
        (1, "Unexpected message", UnsupportedError, "signer.unsupported"),
        (3, "Forbidden key path", InvalidInputError, "input.path"),
        (3, "bad", InvalidInputError, "input"),
        (4, "", UserCancelledError, "signer.cancelled"),
        (5, "", SignerUnavailableError, "signer.unavailable"),
        (6, "", UserCancelledError, "signer.cancelled"),
        (7, "", SignerError, "signer.pin"),
        (9, "no", SignerError, "signer.refused"),
        (10, "", InvalidInputError, "input.psbt"),
        (11, "", SignerUnavailableError, "signer.uninitialized"),
        (12, "", InvalidInputError, "signer.pin"),
        (14, "", SignerUnavailableError, "signer.unavailable"),
        (15, "", SignerUnavailableError, "signer.busy"),
        (99, "", SignerError, "signer.fault"),
    ],
)
def test_failures_are_typed(
    connect: Connect, trezor: Any, code: int, text: str, kind: type[BursarError], name: str
) -> None:
    trezor.on[messages.GetAddress] = trezor.failure(code, text)
    with pytest.raises(kind) as caught:
        connect().run(ask())
    assert caught.value.code == name


def test_a_refusal_leaves_the_conversation_whole(connect: Connect, trezor: Any) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = held(trezor, trezor.failure(4))
    with pytest.raises(UserCancelledError):
        session.run(ask())
    trezor.on[messages.GetAddress] = ADDRESS
    assert session.run(ask()).address == "1abc"


def test_what_a_device_says_is_cleaned(connect: Connect, trezor: Any) -> None:
    trezor.on[messages.GetAddress] = trezor.failure(9, "\x1b[2Jall\u202e good\n" + "x" * 4000)
    with pytest.raises(SignerError) as caught:
        connect().run(ask())
    assert "\x1b" not in caught.value.message
    assert "\u202e" not in caught.value.message
    assert len(caught.value.message) < 300


def test_an_exchange_that_fails_by_itself_cancels_the_device_and_goes_on(connect: Connect, trezor: Any) -> None:
    def failing() -> Generator[Any, Any, None]:
        yield messages.GetAddress(address_n=[0])
        raise InvalidInputError("no such input")

    session = connect()
    trezor.on[messages.GetAddress] = messages.TxRequest()
    with pytest.raises(InvalidInputError):
        session.run(failing())
    assert trezor.types()[-2:] == ["Cancel", "Ping"]
    trezor.on[messages.GetAddress] = ADDRESS
    assert session.run(ask()).address == "1abc"


def test_a_failure_is_thrown_into_the_exchange(connect: Connect, trezor: Any) -> None:
    def second_try() -> Generator[Any, Any, str]:
        try:
            yield messages.GetAddress(address_n=[0])
        except UnsupportedError:
            reply = yield messages.GetAddress(address_n=[1])
            return str(reply.address)
        return ""

    trezor.on[messages.GetAddress] = lambda message: ADDRESS if message.address_n == [1] else trezor.failure(1)
    assert connect().run(second_try()) == "1abc"


@pytest.mark.parametrize("error", [UserCancelledError("no"), KeyboardInterrupt(), OSError("the terminal is gone")])
@pytest.mark.parametrize("state", ["button", "pin", "passphrase"])
def test_cancelled_at_the_prompt_in_every_state(
    connect: Connect, trezor: Any, human: Any, state: str, error: BaseException
) -> None:
    session = connect()
    asks = {
        "button": button(),
        "pin": messages.PinMatrixRequest(type=messages.PinMatrixRequestType.Current),
        "passphrase": messages.PassphraseRequest(),
    }
    human.answers = {"pin": error, "passphrase": error}

    def refuse(_: object) -> None:
        raise error

    human.on_notify = refuse
    trezor.on[messages.GetAddress] = held(trezor, ADDRESS, asks[state])
    with pytest.raises(type(error)):
        session.run(ask())
    assert trezor.types()[-2:] == ["Cancel", "Ping"]
    trezor.on[messages.GetAddress] = ADDRESS
    assert session.run(ask()).address == "1abc"


def test_interrupted_while_waiting_the_device_is_told_and_the_next_answer_is_right(
    connect: Connect, trezor: Any
) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = held(trezor, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        session.run(ask())
    trezor.on[messages.GetAddress] = ADDRESS
    assert session.run(ask()).address == "1abc"


def test_a_device_that_does_not_confirm_a_cancel_is_given_up(connect: Connect, trezor: Any) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = held(trezor, KeyboardInterrupt())
    trezor.on[messages.Cancel] = lambda _: None
    with pytest.raises(KeyboardInterrupt):
        session.run(ask())
    with pytest.raises(SignerUnavailableError, match="open it again"):
        session.run(ask())


def test_one_conversation_at_a_time(connect: Connect, trezor: Any, human: Any) -> None:
    session = connect()
    trezor.on[messages.GetAddress] = held(trezor, ADDRESS)
    refused = []

    def again(_: object) -> None:
        assert anyone_talking()
        with pytest.raises(SignerUnavailableError) as caught:
            session.run(ask())
        refused.append(caught.value.code)

    human.on_notify = again
    assert session.run(ask()).address == "1abc"
    assert refused == ["signer.busy"]


def test_a_second_program_is_told_that_it_is_busy(connect: Connect) -> None:
    session = connect()
    with pytest.raises(SignerUnavailableError, match="this program is using it") as caught:
        connect()
    assert caught.value.code == "signer.busy"
    session.close()
    session.close()
    connect().close()


@pytest.mark.parametrize("typed", ["0", "12a4", " 1", "1" * 51])
def test_a_pin_is_typed_as_positions(connect: Connect, trezor: Any, human: Any, typed: str) -> None:
    session = connect()
    human.answers = {"pin": typed}
    pin = messages.PinMatrixRequest(type=messages.PinMatrixRequestType.Current)
    trezor.on[messages.GetAddress] = held(trezor, ADDRESS, pin)
    with pytest.raises(InvalidInputError) as caught:
        session.run(ask())
    assert caught.value.code == "signer.pin"
    assert typed.strip() not in caught.value.message.replace("1 to 50", "").replace("1 to 9", "") or len(typed) == 1
    human.answers = {"pin": ""}
    with pytest.raises(UserCancelledError):
        session.run(ask())
    human.answers = {"pin": "1739"}
    assert session.run(ask()).address == "1abc"
    assert "7 8 9" in human.asked[-1].text


def test_two_hundred_pulled_cables(connect: Connect, trezor: Any, human: Any) -> None:
    """Each ends in a typed error or in the whole answer; none hangs, and the next opening works."""
    chance = random.Random(3)
    trezor.on[messages.GetAddress] = held(trezor, messages.Address(address="1" + "x" * 300))
    whole = broken = 0
    for _ in range(200):
        trezor.cut = chance.randrange(30)
        try:
            session = connect()
        except SignerUnavailableError:
            broken += 1
            continue
        try:
            assert session.run(ask()).address == "1" + "x" * 300
            whole += 1
        except SignerUnavailableError:
            broken += 1
            with pytest.raises(SignerUnavailableError):
                session.run(ask())
        session.close()
    trezor.cut = None
    trezor._in.clear()
    assert connect().run(ask()).address.startswith("1x")
    assert whole > 50
    assert broken > 50
