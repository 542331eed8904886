"""Exchange: a conversation with a device as a generator that yields requests and is sent the replies."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from bursar.errors import SignerMisbehavedError

T = TypeVar("T")

Exchange: TypeAlias = Generator[Any, Any, T]
"""Yields protobuf messages and is sent the device's replies; buttons, PIN, passphrase and failures never reach it.

A failure the device reports is thrown into the generator as the typed error it stands for. Whatever the generator
raises of its own ends the conversation: the device is told to cancel.
"""


def one(request: Any, kind: type[T]) -> Exchange[T]:
    """One request, one reply of that kind."""
    return expect((yield request), kind)


def expect(reply: Any, kind: type[T]) -> T:
    """``reply``, which must be of that kind; anything else is no answer to the question."""
    if not isinstance(reply, kind):
        raise SignerMisbehavedError(
            f"the trezor answered {type(reply).__name__} where {kind.__name__} was due: unplug it and open it again"
        )
    return reply
