"""Whom to talk TLS with: authorities, one pinned certificate, or the one seen first."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Final, Protocol

from bursar.crypto.hashes import sha256
from bursar.errors import ChainError, InvalidInputError
from bursar.json_text import nested_deeply

MAX_FILE: Final = 1024 * 1024
VERSION: Final = 1


class Trust(Protocol):
    """Makes the TLS context, and judges the certificate (DER) that came, before anything is sent."""

    def context(self) -> ssl.SSLContext: ...

    def judge(self, where: str, certificate: bytes) -> None: ...


def trust_of(
    certificate: str | None = None, known_servers: Path | None = None, authorities: Path | None = None
) -> Trust:
    """Believe only the certificate with this SHA-256; or the one a server showed first, kept in a file; or those that
    authorities in a file signed; or, with none of these, that the system's authorities signed.
    """
    if sum(given is not None for given in (certificate, known_servers, authorities)) > 1:
        raise InvalidInputError("give one of certificate, known_servers and authorities", code="input.certificate")
    if certificate is not None:
        return Pinned(certificate)
    return Authorities(authorities) if known_servers is None else FirstUse(known_servers)


def encrypted(raw: socket.socket, host: str, *, where: str, trust: Trust) -> ssl.SSLSocket:
    """TLS over a connected socket. Raises ``ssl.SSLError``, and ``ChainError`` for a certificate not to be trusted."""
    secure = trust.context().wrap_socket(raw, server_hostname=host)
    try:
        trust.judge(where, secure.getpeercert(binary_form=True) or b"")
    except BaseException:
        secure.close()
        raise
    return secure


class Authorities:
    """The system's certificate authorities, or those in a file; the name must fit."""

    def __init__(self, file: Path | None = None) -> None:
        self._context: ssl.SSLContext | None = None
        if file is not None:
            try:
                self._context = ssl.create_default_context(cafile=str(file))
            except (OSError, ssl.SSLError) as error:
                raise InvalidInputError(f"{file} holds no certificates: {error}", code="input.certificate") from error

    def context(self) -> ssl.SSLContext:
        """A context that checks chain and name."""
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context

    def judge(self, where: str, certificate: bytes) -> None:
        """TLS has judged it."""


class _Fingerprints:
    def context(self) -> ssl.SSLContext:
        """A context that takes any certificate: the fingerprint is the check, and names do not matter."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


class Pinned(_Fingerprints):
    """One certificate, by the SHA-256 of its DER form, in hexadecimal with or without colons."""

    def __init__(self, fingerprint: str) -> None:
        try:
            self._fingerprint = bytes.fromhex(fingerprint.replace(":", ""))
            if len(self._fingerprint) != 32:
                raise ValueError
        except ValueError:
            raise InvalidInputError(
                f"{fingerprint[:100]!r} is not the sha-256 fingerprint of a certificate", code="input.certificate"
            ) from None

    def judge(self, where: str, certificate: bytes) -> None:
        """``ChainError`` (``chain.certificate``) for any other."""
        found = sha256(certificate)
        if not hmac.compare_digest(found, self._fingerprint):
            raise ChainError(
                f"server {where} shows a certificate with fingerprint {found.hex()}, not the pinned one: "
                "somebody may be in between",
                code="chain.certificate",
            )


class FirstUse(_Fingerprints):
    """Whatever a server showed first, kept in a file that only its owner may read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def judge(self, where: str, certificate: bytes) -> None:
        """Keep a new server's fingerprint; ``ChainError`` (``chain.certificate``) when a known one's changed."""
        known = self._read()
        found = sha256(certificate).hex()
        if where not in known:
            self._write({**known, where: found})
        elif not hmac.compare_digest(known[where], found):
            raise ChainError(
                f"server {where} shows another certificate (fingerprint {found}) than when it was first seen: somebody "
                f"may be in between; if it was replaced on purpose, remove its line from {self._file}",
                code="chain.certificate",
            )

    def _read(self) -> dict[str, str]:
        try:
            with self._file.open("rb") as file:
                raw = file.read(MAX_FILE)
            if nested_deeply(raw, most=2):
                raise ValueError
            data = json.loads(raw)
            servers = data["servers"]
            if data["version"] != VERSION or not all(isinstance(text, str) for text in servers.values()):
                raise ValueError
            return dict(servers)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ChainError(
                f"{self._file} cannot be read as a list of known servers: move it away", code="chain.certificate"
            ) from error

    def _write(self, servers: dict[str, str]) -> None:
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({"version": VERSION, "servers": servers}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise ChainError(f"{self._file} cannot be written: {error.strerror}", code="chain.certificate") from error
