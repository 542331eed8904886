"""Signer backends by entry point (group ``bursar.signer_backends``), and a signer by name or fingerprint."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from bursar.errors import BursarError, InvalidInputError, SignerError, SignerNotFoundError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import LocatesSigners

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bursar.signing.protocols import Prompt, Signer, SignerBackend, SignerInfo

GROUP = "bursar.signer_backends"

# A plug-in is foreign code: whatever is wrong in it must not take the other signers away.
_FAULTS = (
    BursarError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

_SELECTOR = re.compile(r"([a-z0-9][a-z0-9_-]{0,63}):(.{1,4096})", re.ASCII | re.DOTALL)
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BrokenBackend:
    """A backend that is installed and cannot be used, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """The signers found, locked and broken ones too, and the backends that could not look."""

    signers: tuple[SignerInfo, ...]
    broken: tuple[BrokenBackend, ...]


class Registry:
    """The backends one program uses. ``Registry.installed()`` knows all installed ones and loads each when first used.

    ``replacements`` take the place of installed ones by name: a backend made with arguments of its own, or a test's.
    """

    def __init__(self, backends: Iterable[SignerBackend] = (), *, installed: bool = False) -> None:
        self._backends: dict[str, SignerBackend] = {backend.name: backend for backend in backends}
        self._broken: dict[str, BrokenBackend] = {}
        self._points = {point.name: point for point in entry_points(group=GROUP)} if installed else {}

    @classmethod
    def installed(cls, replacements: Iterable[SignerBackend] = ()) -> Registry:
        """Every backend installed beside this package, ``replacements`` in place of those of the same name."""
        return cls(replacements, installed=True)

    def names(self) -> tuple[str, ...]:
        """The backends' names, sorted; none is loaded."""
        return tuple(sorted({*self._backends, *self._points}))

    def backend(self, name: str) -> SignerBackend:
        """The backend called ``name``; ``SignerNotFoundError`` if there is none, ``SignerError`` if it is broken."""
        known = self._backends.get(name)
        if known is not None:
            return known
        if name not in self._points:
            raise SignerNotFoundError(f"no signer backend is called {name!r}: there are {_list(self.names())}")
        self._load(name)
        if name in self._broken:
            reason = self._broken[name].reason
            raise SignerError(f"the signer backend {name} cannot be used: {reason}", code="signer.backend")
        return self._backends[name]

    def discover(self, *, only: str | None = None, emulators: bool = False) -> Discovery:
        """Ask the backends what they see, one after the other; a broken one is reported, not fatal.

        ``only`` names one backend; ``emulators`` lets device backends look for emulators too.
        """
        signers: list[SignerInfo] = []
        broken: list[BrokenBackend] = []
        for name in self.names() if only is None else (only,):
            try:
                signers += self.backend(name).discover(emulators=emulators)
            except SignerNotFoundError:
                raise
            except _FAULTS as error:
                broken.append(self._broken.get(name) or BrokenBackend(name, _reason(error)))
        return Discovery(tuple(signers), tuple(broken))

    def find(self, selector: str, *, emulators: bool = False) -> SignerInfo:
        """The one signer ``selector`` means: "software:main" (backend and label or location) or a fingerprint.

        ``SignerNotFoundError`` when none answers; ``InvalidInputError`` (``input.signer.ambiguous``) listing the
        candidates when several do. Nothing is opened.
        """
        match = _SELECTOR.fullmatch(selector)
        if match is not None:
            located = self._locate(match[1], match[2])
            if located is not None:
                return located
            found = self.discover(only=match[1], emulators=emulators)
            candidates = [one for one in found.signers if match[2] in (one.label, one.location)]
        elif _FINGERPRINT.fullmatch(selector):
            wanted = Fingerprint.from_text(selector)
            found = self.discover(emulators=emulators)
            candidates = [one for one in found.signers if one.fingerprint == wanted]
        else:
            raise InvalidInputError(
                f'{selector[:100]!r} names no signer: write "software:main" or a fingerprint of eight hex digits',
                code="input.signer",
            )
        if not candidates:
            raise SignerNotFoundError(f"no signer is called {selector[:100]!r}: {_seen(found)}")
        if len(candidates) > 1:
            raise InvalidInputError(
                f"{selector[:100]!r} means several signers: name one of {_list(selectors_of(candidates))}",
                code="input.signer.ambiguous",
            )
        return candidates[0]

    def open(self, selector: str, prompt: Prompt, *, emulators: bool = False) -> Signer:
        """Find the signer and open it. The caller closes it."""
        info = self.find(selector, emulators=emulators)
        return self.backend(info.backend).open(info, prompt)

    def _locate(self, name: str, location: str) -> SignerInfo | None:
        backend = self.backend(name)
        return backend.locate(location) if isinstance(backend, LocatesSigners) else None

    def _load(self, name: str) -> None:
        if name in self._broken:
            return
        try:
            made = self._points[name].load()()
        except _FAULTS as error:
            self._broken[name] = BrokenBackend(name, _reason(error))
            return
        if getattr(made, "name", None) != name or not callable(getattr(made, "open", None)):
            self._broken[name] = BrokenBackend(name, f"its entry point {self._points[name].value} is no such backend")
            return
        self._backends[name] = cast("SignerBackend", made)


def selector_of(info: SignerInfo) -> str:
    """The text by which ``Registry.find`` finds this signer again: "software:main"."""
    return f"{info.backend}:{info.label or info.location}"


def selectors_of(found: Iterable[SignerInfo]) -> tuple[str, ...]:
    """``selector_of`` each, by its location where the label could mean another of them: a device says what it likes."""
    listed = tuple(found)
    meant = Counter((one.backend, name) for one in listed for name in {one.label, one.location})
    return tuple(selector_of(one if meant[one.backend, one.label] == 1 else replace(one, label=None)) for one in listed)


def backends() -> Mapping[str, str]:
    """The installed backends by name, with what their entry points name; none is loaded."""
    return {point.name: point.value for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def backend(name: str) -> SignerBackend:
    """The installed backend called ``name``."""
    return Registry.installed().backend(name)


def find_signer(selector: str, *, emulators: bool = False) -> SignerInfo:
    """``Registry.find`` among all installed backends."""
    return Registry.installed().find(selector, emulators=emulators)


def _reason(error: Exception) -> str:
    words = error.message if isinstance(error, BursarError) else f"{type(error).__name__}: {error}"
    return words[:300]


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _seen(found: Discovery) -> str:
    seen = selectors_of(found.signers)
    words = f"there are {_list(seen)}" if seen else "none was found"
    if found.broken:
        words += "; not asked: " + _list(f"{one.name} ({one.reason})" for one in found.broken)
    return words
