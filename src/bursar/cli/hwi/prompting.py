"""Secrets for ``bursar-hwi``: from the terminal, a private file or the keyring, never from the command line."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.cli.prompts import PassphraseChoice, SecretSource
from bursar.cli.terminal import has_terminal
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, SignerUnavailableError

if TYPE_CHECKING:
    from argparse import Namespace

    from bursar.cli.terminal import Human
    from bursar.signing.protocols import DeviceEvent, SecretRequest


@dataclass
class HwiPrompt:
    """A ``Prompt``; ``given`` answers passwords and passphrases, everything else is asked on the terminal."""

    human: Human
    given: Secret | None = None
    keyring_entry: str | None = None
    passphrase: PassphraseChoice = PassphraseChoice.ASK

    @property
    def knows_passphrase(self) -> bool:
        """Whether a passphrase was given or chosen, so that nobody has to be asked here."""
        return self.given is not None or self.passphrase is not PassphraseChoice.ASK

    @property
    def has_password(self) -> bool:
        """Whether one that is not empty was given."""
        return self.given is not None and len(self.given) > 0

    def ask(self, request: SecretRequest) -> Secret:
        """Fulfils ``signing.protocols.Prompt``."""
        if request.kind in ("password", "passphrase") and self.given is not None:
            # whoever is handed a secret may wipe it
            return Secret(self.given.expose())
        if request.kind == "pin" and not has_terminal():
            raise SignerUnavailableError(
                "the device is locked. Unlock by using 'promptpin' and then 'sendpin'.", code="signer.locked"
            )
        keyring = self.keyring_entry is not None and request.kind == "password"
        source = SecretSource(self.human, aside, keyring=keyring, keyring_entry=self.keyring_entry or "")
        return source.ask(request)

    def notify(self, event: DeviceEvent) -> None:
        """Fulfils ``signing.protocols.Prompt``; a caller reads standard output only."""
        aside(event.text)


def prompt_of(options: Namespace, human: Human, *, seen: bool) -> HwiPrompt:
    """The prompt the options ask for; ``InvalidInputError`` for a password that others have ``seen``.

    One among the arguments on standard input is as good as ``--stdinpass``.
    """
    if options.password and seen:
        raise InvalidInputError(
            "a password on the command line is seen by every program on this computer: use --stdinpass, --keyring or "
            "--password-file",
            code="input.usage",
        )
    given = None if options.password is None else Secret.from_text(options.password)
    if options.stdinpass:
        given = _typed(human)
    elif options.password_file is not None:
        given = _from_file(Path(options.password_file))
    return HwiPrompt(human, given, "" if options.keyring else None, PassphraseChoice(options.passphrase))


def _typed(human: Human) -> Secret:
    """From the terminal; a program that has none gives it as the next line of standard input."""
    if has_terminal():
        return Secret.from_text(human.ask_hidden("Enter your device password"))
    return Secret.from_text(sys.stdin.readline(10_000).rstrip("\r\n"))


def _from_file(path: Path) -> Secret:
    descriptor = os.open(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            raise InvalidInputError(f"{path} is open to others: chmod 600 {path}", code="input.file")
        return Secret(file.read(10_000).rstrip(b"\r\n"))


def aside(text: str) -> None:
    """A line for people; whoever called reads standard output."""
    print(text, file=sys.stderr)
