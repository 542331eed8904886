"""Proposals and confirmations of a Safe's owners as files: read bounded, written new or replaced whole."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from bursar.errors import InvalidInputError
from bursar.ethereum.json_object import MOST_BYTES
from bursar.ethereum.safe.proposal import OwnerConfirmation, Proposal, read_proposal


def read_raw(name: str) -> bytes:
    """A file, or standard input for ``-``; not more than is ever parsed."""
    if name == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MOST_BYTES + 1)


def read(name: str) -> Proposal | OwnerConfirmation:
    """A proposal or one owner's confirmation; signatures and hashes are checked."""
    return read_proposal(read_raw(name))


def read_whole(name: str) -> Proposal:
    """A proposal; a confirmation alone does not say what is confirmed."""
    found = read(name)
    if isinstance(found, OwnerConfirmation):
        raise InvalidInputError(
            f"{name} holds one owner's confirmation: give the proposal, 'confirmations' brings the two together",
            code="input.safe",
        )
    return found


def require_new(name: str) -> None:
    """Raise while nobody was asked anything yet if the file to be written exists."""
    if Path(name).exists():
        raise InvalidInputError(f"{name} exists: choose another name for the output", code="input.name")


def write_new(name: str, text: str) -> None:
    """To a file that must not exist yet."""
    with Path(name).open("x", encoding="utf-8") as file:
        file.write(text)


def replace(name: str, text: str) -> None:
    """In the place of a file: after a crash it holds the old text or the new one."""
    path = Path(name)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
