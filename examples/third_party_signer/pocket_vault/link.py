"""One question, one answer, over the pipes of a process: numbered, bounded, closed for good once out of step."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from typing import Any, NoReturn

from bursar.errors import SignerError, SignerUnavailableError, UserCancelledError

LONGEST_LINE = 16 << 20


class Link:
    """A running vault. Any failure ends it: after a time-out the next answer would belong to the question before."""

    def __init__(self, command: list[str], *, timeout: float) -> None:
        self._timeout = timeout
        self._number = 0
        self._pending = b""
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise SignerUnavailableError(f"the vault does not start: {error.strerror}") from error

    def ask(self, what: str, **details: object) -> dict[str, Any]:
        """The vault's answer; its own refusals and every trouble on the way come as a ``SignerError``."""
        process = self._process
        if process is None or process.stdin is None:
            raise SignerUnavailableError("the vault is closed: open it again")
        self._number += 1
        question = json.dumps({"number": self._number, "what": what, **details}).encode() + b"\n"
        try:
            process.stdin.write(question)
            process.stdin.flush()
        except OSError as error:
            self.close()
            raise SignerUnavailableError("the vault is gone: open it again") from error
        answer = self._parsed(self._line(process))
        if answer.get("number") != self._number:
            self._fail("it answered another question")
        if "error" in answer:
            self._raise(answer["error"])
        return answer

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        descriptor, deadline = process.stdout.fileno(), time.monotonic() + self._timeout
        while b"\n" not in self._pending:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._fail(f"it did not answer within {self._timeout:g} seconds")
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                self._fail("it ended")
            self._pending += chunk
            if len(self._pending) > LONGEST_LINE:
                self._fail("its answer has no end")
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            answer: object = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self._fail("its answer is not understood")
        return answer  # pyright: ignore[reportUnknownVariableType]

    def _fail(self, reason: str) -> NoReturn:
        self.close()
        raise SignerUnavailableError(f"the vault was closed because {reason}: open it again")

    def _raise(self, error: dict[str, str]) -> NoReturn:
        kind, text = str(error.get("kind")), str(error.get("text"))[:300]
        if kind == "cancelled":
            raise UserCancelledError(f"refused on the vault: {text}")
        if kind == "locked":
            raise SignerUnavailableError(f"the vault is locked: {text}")
        raise SignerError(f"the vault refused: {text}", code="signer.refused")

    def close(self) -> None:
        """End the process; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
