"""The ``hwi`` command as a subprocess: arguments on its standard input, one JSON document back, a limit on time."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.json_text import nested_deeply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.crypto.secret import Secret

VARIABLE: Final = "BURSAR_HWI"
_CALLED: Final = "BURSAR_CALLED_AS_HWI"
QUICK_SECONDS: Final = 20.0
HUMAN_SECONDS: Final = 300.0
_LONGEST: Final = 16_000_000
_DEEPEST: Final = 64

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

    def run(
        self, words: Sequence[str], *, seconds: float, password: Secret | None = None, in_public: bool = False
    ) -> Any:
        """One command; its JSON document, whatever it is. A time-out ends the process and everything it started.

        ``in_public`` hands the words over as arguments: a text of several lines cannot go the other way.
        """
        if in_public:
            flags, told = list(words), b""
        else:
            flags, told = ["--stdin"], f"{shlex.join(map(_one_line, words))}\n\n".encode()
        if password is not None:  # asked for after the arguments, on the same input: the command has no terminal
            if b"\n" in password.expose() or b"\r" in password.expose():
                raise InvalidInputError("hwi takes no passphrase of several lines: choose another", code="input.usage")
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
                answer = _converse(child, told, seconds)
            except BaseException:
                _end(child)
                raise
        return _document(answer)

    def ask(
        self, words: Sequence[str], *, seconds: float, password: Secret | None = None, in_public: bool = False
    ) -> dict[str, Any]:
        """The same, where the document is an object; an error in it becomes the exception for it."""
        document = self.run(words, seconds=seconds, password=password, in_public=in_public)
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


def _one_line(word: str) -> str:
    if "\n" in word or "\r" in word:
        raise InvalidInputError(f"{word[:20]!r} has several lines, which hwi cannot be told", code="input.usage")
    return word


def _converse(child: subprocess.Popen[bytes], told: bytes, seconds: float) -> bytes:
    """Tell it what to do and collect its answer, neither for longer nor in more bytes than is sensible."""
    assert child.stdin is not None
    assert child.stdout is not None
    teller = threading.Thread(target=_tell, args=(child.stdin, told), daemon=True)
    teller.start()
    until = time.monotonic() + seconds
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise SignerUnavailableError(
                    f"hwi did not answer within {seconds:.0f} seconds: see what the device shows, and try again"
                )
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                return bytes(answer)
            answer += piece
            if len(answer) > _LONGEST:
                raise SignerMisbehavedError("hwi answered with more than 16 MB")


def _tell(pipe: IO[bytes], told: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has ended, or was ended: its answer says so
        pipe.write(told)
        pipe.close()


def _document(answer: bytes) -> Any:
    if nested_deeply(answer, most=_DEEPEST):
        raise SignerMisbehavedError("hwi answered with JSON that nests without end")
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
