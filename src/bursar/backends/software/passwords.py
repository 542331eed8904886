"""Where passwords come from without a human: an open file descriptor, or the operating system's keyring."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, SignerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.signing.protocols import DeviceEvent, Prompt, SecretRequest

SERVICE: Final = "bursar"
_LONGEST: Final = 10_000


def _unheard(event: DeviceEvent) -> None:
    """Nobody is listening."""


class DescriptorPrompt:
    """A ``Prompt`` that reads one line of file descriptor ``descriptor`` for each secret, in the order asked for.

    A descriptor, unlike an argument or a variable of the environment, is seen by no other process.
    """

    def __init__(self, descriptor: int, *, notify: Callable[[DeviceEvent], None] = _unheard) -> None:
        self._descriptor = descriptor
        self.notify = notify

    def ask(self, request: SecretRequest) -> Secret:
        """The next line without its end; ``InvalidInputError`` (``input.fd``) when there is none."""
        line = bytearray()
        try:
            byte = os.read(self._descriptor, 1)
            while byte not in (b"", b"\n"):
                line += byte
                if len(line) > _LONGEST:
                    raise self._failed(request, f"gives a line longer than {_LONGEST} bytes")
                byte = os.read(self._descriptor, 1)
        except OSError as error:
            raise self._failed(request, f"cannot be read: {error.strerror}") from error
        if not line and not byte:
            raise self._failed(request, "is at its end")
        secret = Secret(line.removesuffix(b"\r"))
        line[:] = bytes(len(line))
        return secret

    def _failed(self, request: SecretRequest, reason: str) -> InvalidInputError:
        message = f"file descriptor {self._descriptor}, asked for a {request.kind}, {reason}"
        return InvalidInputError(message, code="input.fd")


class PasswordStore(Protocol):
    """Passwords by service and entry; the module ``keyring`` (extra ``keyring``) is one."""

    def get_password(self, service_name: str, username: str) -> str | None: ...

    def set_password(self, service_name: str, username: str, password: str) -> None: ...


class KeyringPrompt:
    """A ``Prompt`` that takes the password of a keystore from ``store`` and asks ``human`` for everything else.

    A new password is the human's to choose and is kept in ``store``. What backs the store may be another program's:
    whoever can read the keyring can open the keystore.
    """

    def __init__(self, store: PasswordStore, entry: str, *, human: Prompt | None = None) -> None:
        self._store = store
        self._entry = entry
        self._human = human

    def ask(self, request: SecretRequest) -> Secret:
        """``SignerUnavailableError`` when the store has no such entry and there is nobody to ask."""
        if request.kind == "password":
            found = self._store.get_password(SERVICE, self._entry)
            if found is not None:
                return Secret.from_text(found)
        if self._human is None:
            raise SignerUnavailableError(
                f"the keyring has no {request.kind} for {self._entry}: keep it there first, or type it instead"
            )
        secret = self._human.ask(request)
        if request.kind == "new-password":
            try:
                self._store.set_password(SERVICE, self._entry, secret.expose().decode())
            except UnicodeDecodeError:
                # the original error holds the password
                raise InvalidInputError("a password kept in the keyring must be text", code="input.password") from None
        return secret

    def notify(self, event: DeviceEvent) -> None:
        """Passed on to the human."""
        if self._human is not None:
            self._human.notify(event)
