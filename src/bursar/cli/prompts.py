"""Secrets from the human: a terminal, a file descriptor or the OS keyring; never an argument, never the environment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bursar.backends.software.passwords import DescriptorPrompt, KeyringPrompt
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, MissingExtraError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.cli.terminal import Human
    from bursar.signing.protocols import DeviceEvent


class PassphraseChoice(StrEnum):
    """Which wallet of a Trezor is opened: that of no passphrase, of one typed here, or of one entered on the device."""

    NONE = "none"
    ASK = "ask"
    DEVICE = "device"


@dataclass
class SecretSource:
    """The ``Prompt`` of the command line; ``keyring_entry`` is the name of the password in the OS keyring."""

    human: Human
    tell: Callable[[str], None]
    password_fd: int | None = None
    keyring: bool = False
    keyring_entry: str = ""
    paused: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def interactive(self) -> bool:
        """Whether a wrong password may be typed again."""
        return self.password_fd is None and not self.keyring

    def ask(self, request: SecretRequest) -> Secret:
        """Fulfils ``signing.protocols.Prompt``."""
        with self.paused():
            return self._asked(request)

    def _asked(self, request: SecretRequest) -> Secret:
        if request.kind in ("password", "new-password"):
            if self.password_fd is not None:
                return read_line(self.password_fd, what="password")
            if self.keyring:
                # a password that is not kept is an error, not a question: a program may be asking
                typist = replace(self, keyring=False) if request.kind == "new-password" else None
                return KeyringPrompt(_keyring(), self.keyring_entry, human=typist).ask(request)
        if request.kind == "new-password":
            return new_secret(self.human, request.text)
        if request.kind == "file":
            return Secret.from_text(self.human.ask(request.text))
        return Secret.from_text(self.human.ask_hidden(request.text))

    def notify(self, event: DeviceEvent) -> None:
        """Fulfils ``signing.protocols.Prompt``."""
        self.tell(event.text[:1].upper() + event.text[1:])


def new_secret(human: Human, question: str) -> Secret:
    """A new password, typed twice."""
    for _attempt in range(3):
        first = human.ask_hidden(question)
        if not first:
            human.tell("An empty password protects nothing.")
        elif human.ask_hidden("Again") == first:
            return Secret.from_text(first)
        else:
            human.tell("The two differ; once more.")
    raise InvalidInputError("no password was agreed on", code="input.password")


def read_line(descriptor: int, *, what: str) -> Secret:
    """The next line of an open file descriptor, without its end; several secrets may come down one descriptor."""
    return DescriptorPrompt(descriptor).ask(SecretRequest(what, ""))


def _keyring() -> Any:
    try:
        import keyring
    except ImportError as error:
        raise MissingExtraError(
            "the OS keyring needs the package 'keyring': pip install 'bursar[keyring]'", extra="keyring"
        ) from error
    return keyring


@dataclass(frozen=True, slots=True)
class Unlock:
    """How the command line says which signer to use and where its password comes from."""

    signer: str | None = None
    password_fd: int | None = None
    keyring: bool = False
    passphrase: PassphraseChoice = PassphraseChoice.ASK

    def naming(self, signer: str) -> Unlock:
        """The same for that signer."""
        return replace(self, signer=signer)

    def source(self, session: Session, *, entry: str = "") -> SecretSource:
        """The ``Prompt`` for it."""
        output = session.output
        return SecretSource(session.human, output.aside, self.password_fd, self.keyring, entry, output.paused)


def password_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--password-fd`` and ``--keyring``, handed over as ``unlock``."""

    @wraps(function)
    def packed(
        *args: Any,
        password_fd: int | None,
        keyring: bool,
        signer: str | None = None,
        device_passphrase: str = PassphraseChoice.ASK,
        **options: Any,
    ) -> Any:
        return function(
            *args, unlock=Unlock(signer, password_fd, keyring, PassphraseChoice(device_passphrase)), **options
        )

    for option in (
        click.option("--keyring", is_flag=True, help="Take the keystore's password from the OS keyring."),
        click.option(
            "--password-fd",
            type=click.IntRange(min=0),
            metavar="N",
            help="Read the keystore's password from file descriptor N (its next line).",
        ),
    ):
        packed = option(packed)
    return packed


def signer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same with ``--signer`` and ``--passphrase``, for every command that opens one."""
    described = "Name or fingerprint of the signer, where it is not clear (see 'bursar devices')."
    choice = click.option(
        "--passphrase",
        "device_passphrase",
        type=click.Choice([one.value for one in PassphraseChoice]),
        default=PassphraseChoice.ASK.value,
        show_default=True,
        help="A Trezor's passphrase: none, asked for here where passphrases are on, or entered on the device.",
    )
    return click.option("--signer", help=described)(choice(password_options(function)))
