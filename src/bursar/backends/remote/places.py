"""Where a remote signer is and which account of it is meant: one TOML file each, read strictly."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.keys.path import DerivationPath

KINDS: Final = ("web3signer", "clef")
MOST_BYTES: Final = 16_384
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_MEMBERS: Final = frozenset(
    ("kind", "url", "socket", "address", "path", "authorities", "pin", "certificate", "key", "timeout")
)
_PIN: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_ROOT: Final = DerivationPath()


def place_error(message: str) -> InvalidInputError:
    """The error for a file that does not say where a remote signer is."""
    return InvalidInputError(message, code="input.remote")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePlace:
    """One account of one remote signer.

    ``url`` is where it listens (https, or http on this machine only), ``socket`` the Unix socket of a clef instead.
    The server's certificate is believed when one of the system's authorities, or of those in the file ``authorities``,
    signed it, or only when its SHA-256 is ``pin``. ``certificate`` and ``key`` are files by which this side shows who
    it is. ``path`` is the derivation path under which the account is known here, ``m`` where it has none. ``timeout``
    in seconds is how long an answer may take; a clef waits for a human.
    """

    kind: str
    address: Address
    url: str | None = None
    socket: Path | None = None
    path: DerivationPath = _ROOT
    authorities: Path | None = None
    pin: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise place_error(f"the kind of a remote signer is {' or '.join(KINDS)}, not {self.kind!r:.40}")
        if (self.url is None) == (self.socket is None):
            raise place_error("a remote signer has a url or a socket, one of the two")
        if self.socket is not None and self.kind != "clef":
            raise place_error(f"{self.kind} listens at a url: only clef has a socket")
        if not isinstance(self.address, Address) or not isinstance(self.path, DerivationPath):
            raise place_error("a remote signer's account has an Address and a DerivationPath")
        if self.timeout is not None and not 0 < self.timeout <= 3600:
            raise place_error("the timeout of a remote signer is 1 to 3600 seconds")
        self._check_trust()

    def _check_trust(self) -> None:
        tls = [self.authorities, self.pin, self.certificate, self.key]
        if self.url is None or not self._check_url(self.url):
            if any(one is not None for one in tls):
                raise place_error("authorities, pin, certificate and key are for a url that begins with https://")
            return
        if self.authorities is not None and self.pin is not None:
            raise place_error("give a file of authorities or a pinned certificate, not both")
        if self.pin is not None and not _PIN.fullmatch(self.pin.replace(":", "")):
            raise place_error("a pinned certificate is given as its sha-256: 64 hexadecimal digits")
        if self.key is not None and self.certificate is None:
            raise place_error("a key without its certificate shows nobody who this is: give both files")

    @staticmethod
    def _check_url(url: str) -> bool:
        """Whether the url is https; refused when it is none, holds a password, or is plain http to another machine."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise place_error("the url of a remote signer cannot be read") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
            raise place_error("the url of a remote signer is like https://signer.example:9000")
        if parts.username is not None or parts.password is not None:
            raise place_error("the url of a remote signer holds a password: use a client certificate instead")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise place_error("a remote signer on another machine is reached by https: http is read and changed by all")
        return parts.scheme == "https"

    @property
    def name(self) -> str:
        """What messages call it: the host, or the socket's file."""
        if self.url is None:
            return str(self.socket)
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a file; other files it names are beside it where their names are relative."""
        try:
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise place_error(f"{path} cannot be read: {error.strerror}") from error
        if len(raw) > MOST_BYTES:
            raise place_error(f"{path} is longer than {MOST_BYTES} bytes")
        try:
            return cls.from_toml(raw.decode("utf-8"), folder=path.parent)
        except InvalidInputError as error:
            raise place_error(f"{path}: {error.message}") from error
        except UnicodeDecodeError as error:
            raise place_error(f"{path} is not UTF-8") from error

    @classmethod
    def from_toml(cls, text: str, *, folder: Path) -> Self:
        """From the text of such a file."""
        try:
            found = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise place_error(f"this is not TOML: {str(error)[:120]}") from error
        unknown = sorted(found.keys() - _MEMBERS)
        if unknown:
            raise place_error(f"{unknown[0]!r:.40} has no meaning here: known are {', '.join(sorted(_MEMBERS))}")
        timeout = found.pop("timeout", None)
        if timeout is not None and type(timeout) is not int:
            raise place_error("the timeout of a remote signer is a whole number of seconds")
        if not all(isinstance(one, str) and one for one in found.values()):
            raise place_error("everything but the timeout is text")
        if "kind" not in found or "address" not in found:
            raise place_error("a remote signer has a kind and an address")
        fields: dict[str, Any] = {name: found[name] for name in ("kind", "url", "pin") if name in found}
        fields |= {
            name: folder / found[name] for name in ("socket", "authorities", "certificate", "key") if name in found
        }
        if "path" in found:
            fields["path"] = DerivationPath.from_text(found["path"])
        return cls(address=Address.from_text(found["address"]), timeout=timeout, **fields)
