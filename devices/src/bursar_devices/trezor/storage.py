"""What a Trezor keeps: the seed and settings over a restart, the sessions until one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 10
_SESSION_ID = 32


@dataclass(slots=True)
class Storage:
    """The flash: everything a wipe erases."""

    device_id: str
    mnemonic: str | None = None
    pin: str | None = None
    wipe_code: str | None = None
    label: str | None = None
    passphrase_protection: bool = False
    passphrase_always_on_device: bool = False
    hide_passphrase_from_host: bool = False
    imported: bool | None = None
    needs_backup: bool = False
    unfinished_backup: bool = False
    no_backup: bool = False
    flags: int | None = None  # never applied
    unsafe_prompts: int = 0  # SafetyCheckLevel
    auto_lock_ms: int = 600_000
    rotation: int = 0
    language: str = "en-US"
    haptic_feedback: bool = True
    experimental: bool = False
    u2f_counter: int = 0
    homescreen: bytes | None = None
    wrong_pins: int = 0
    waited_seconds: int = 0  # what wrong PINs would have cost a human

    @property
    def initialized(self) -> bool:
        return self.mnemonic is not None


@dataclass(slots=True)
class Session:
    """One passphrase's wallet as long as it is remembered; ``seed`` is None until first needed."""

    id: bytes
    seed: bytes | None = None


class Chance:
    """The device's random numbers: always the same ones after the same start."""

    def __init__(self, start: bytes) -> None:
        self._state = hashlib.sha256(b"simulated trezor" + start).digest()

    def bytes(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            self._state = hashlib.sha256(self._state).digest()
            out += hashlib.sha256(b"out" + self._state).digest()
        return out[:count]

    def shuffled(self, items: str) -> str:
        """The characters in another order."""
        rest = list(items)
        return "".join(rest.pop(self.bytes(1)[0] % len(rest)) for _ in items)


@dataclass(slots=True)
class Sessions:
    """At most ten sessions; the least recently used one makes room."""

    chance: Chance
    active: Session | None = None
    _all: dict[bytes, Session] = field(default_factory=dict)  # oldest use first

    def start(self, wanted: bytes | None) -> Session:
        """Resume the session ``wanted``, or begin a new one when there is none of that id."""
        session = self._all.pop(wanted, None) if wanted is not None else None
        if session is None:
            session = Session(self.chance.bytes(_SESSION_ID))
            while len(self._all) >= SESSIONS:
                del self._all[next(iter(self._all))]
        self._all[session.id] = session
        self.active = session
        return session

    def end(self) -> None:
        """Forget the active session."""
        if self.active is not None:
            self._all.pop(self.active.id, None)
            self.active = None

    def clear_seeds(self) -> None:
        """Have every session ask for its passphrase again."""
        for session in self._all.values():
            session.seed = None

    def clear(self) -> None:
        self._all.clear()
        self.active = None

    def __iter__(self) -> Iterator[Session]:
        return iter(self._all.values())
