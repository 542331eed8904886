"""A device in memory: scripted replies, one after the other, and what was sent to get them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from bursar.backends.ledger.link import Limits, Link

if TYPE_CHECKING:
    from bursar.crypto.secret import Secret
    from bursar.signing.protocols import DeviceEvent, SecretRequest

Answer = bytes | BaseException | None


@dataclass
class ScriptedTransport:
    """Answers from a list; ``None`` is a time-out, an exception is raised. ``stale`` replies come unasked first."""

    answers: list[Answer]
    stale: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False
    asked: bool = False

    def send(self, message: bytes, *, deadline: float) -> None:
        assert not self.closed
        assert deadline > time.monotonic()
        self.sent.append(message)
        self.asked = True

    def receive(self, *, deadline: float) -> bytes:
        assert not self.closed
        if self.stale:
            return self.stale.pop(0)
        if not self.asked:
            raise TimeoutError
        self.asked = False
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise TimeoutError
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


class Human:
    """A prompt that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[DeviceEvent] = []

    def ask(self, request: SecretRequest) -> Secret:
        raise AssertionError(f"a ledger asks for no secret on the computer: {request}")

    def notify(self, event: DeviceEvent) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def human() -> Human:
    return Human()


@pytest.fixture
def scripted(human: Human) -> Callable[..., tuple[Link, ScriptedTransport]]:
    """A link over a scripted transport."""

    def make(*answers: Answer, stale: Iterable[bytes] = ()) -> tuple[Link, ScriptedTransport]:
        transport = ScriptedTransport(list(answers), list(stale))
        return Link(transport, limits=Limits(human=5, device=5, stale=0.001), prompt=human), transport

    return make


@pytest.fixture
def app_answer() -> Callable[..., bytes]:
    """What an app answers to B0 01."""

    def make(name: str = "Bitcoin Test", version: str = "2.4.6") -> bytes:
        fields = (name.encode(), version.encode(), b"\0")
        return b"\x01" + b"".join(bytes((len(one),)) + one for one in fields) + b"\x90\0"

    return make
