"""The ``hwi`` command as a subprocess: arguments on its standard input, one JSON document back, a limit on time."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.crypto.secret import Secret

VARIABLE: Final = "BURSAR_HWI"
_CALLED: Final = "BURSAR_CALLED_AS_HWI"
QUICK_SECONDS: Final = 20.0
HUMAN_SECONDS: Final = 300.0
_LONGEST: Final = 100_000_000

_CODES: Final[dict[int, tuple[type[SignerError] | type[InvalidInputError], str | None]]] = {
    -3: (SignerUnavailableError, None),
    -5: (InvalidInputError, "input.psbt"),
    -6: (SignerUnavailableError, "signer.locked"),
    -7: (InvalidInputError, None),
    -8: (UnsupportedError, None),
    -9: (UnsupportedError, None),
    -12: (SignerUnavailableError, "signer.locked"),
    -14: (UserCancelledError, None),
    -15: (SignerUnavailableError, "signer.busy"),
    -18: (SignerUnavailableError, "signer.uninitialized"),
}


def find_hwi() -> Path | None:
    """The command: ``$BURSAR_HWI``, else on the search path. ``InvalidInputError`` when the variable names no file.

    There is none for a process that this one started as ``hwi``: ``bursar-hwi`` may have been installed under that
    name, and would call itself.
    """
    if os.environ.get(_CALLED):
        return None
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise InvalidInputError(f"{VARIABLE} names {named}, which is no file: correct or unset it")
        return Path(named)
    found = shutil.which("hwi")
    return None if found is None else Path(found)


@dataclass(frozen=True, slots=True)
class HwiCommand:
    """Runs ``hwi``. Its arguments, which every process may read, hold at most a message of several lines."""

    program: Path

    def run(self, words: Sequence[str], *, seconds: float, password: Secret | None = None) -> Any:
        """One command; its JSON document, whatever it is. A time-out ends the process and everything it started."""
        if any("\n" in word for word in words):  # which its standard input cannot carry
            flags, told = list(words), b""
        else:
            flags, told = ["--stdin"], f"{shlex.join(words)}\n\n".encode()
        if password is not None:  # asked for after the arguments, on the same input: the command has no terminal
            flags.insert(0, "--stdinpass")
            told += password.expose() + b"\n"
        try:
            child = subprocess.Popen(  # noqa: S603 (what the user installed or named)
                [str(self.program), *flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, _CALLED: "1"},
            )
        except OSError as error:
            raise SignerUnavailableError(f"{self.program} cannot be run: {error.strerror}") from error
        with child:
            try:
                answer, _ = child.communicate(told, timeout=seconds)
            except subprocess.TimeoutExpired as error:
                _end(child)
                raise SignerUnavailableError(
                    f"hwi did not answer within {seconds:.0f} seconds: see what the device shows, and try again"
                ) from error
            except BaseException:
                _end(child)
                raise
        return _document(answer)

    def ask(self, words: Sequence[str], *, seconds: float, password: Secret | None = None) -> dict[str, Any]:
        """The same, where the document is an object; an error in it becomes the exception for it."""
        document = self.run(words, seconds=seconds, password=password)
        if not isinstance(document, dict):
            raise SignerMisbehavedError(f"hwi answered with a {type(document).__name__} where an object was expected")
        if "error" in document:
            raise error_of(document)
        return document


def error_of(document: dict[str, Any]) -> SignerError | InvalidInputError:
    """The exception for what ``hwi`` calls an error: its words, our kind."""
    code = document.get("code")
    words = "".join(one for one in str(document.get("error"))[:300] if one.isprintable())
    kind, narrower = _CODES.get(code, (SignerError, None)) if isinstance(code, int) else (SignerError, None)
    return kind(f"hwi says: {words} ({code})", code=narrower)


def _document(answer: bytes) -> Any:
    if len(answer) > _LONGEST:
        raise SignerMisbehavedError("hwi answered with more than 100 MB")
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise SignerMisbehavedError(
            "hwi answered with something that is no JSON: run it by hand to see what"
        ) from error


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
