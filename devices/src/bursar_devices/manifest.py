"""The bench's manifest: a TOML file that describes every device, read strictly."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bursar_devices.device import Kind

VERSION = 1
ENVIRONMENT = "BURSAR_DEVICES_MANIFEST"
READINESS = ("tcp", "udp-ping", "output")
CONTROLS = ("hand", "auto")
_FILE = ("binary_env", "sha256")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAKE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestError(ValueError):
    """A manifest is not as it must be; the message names file, device, key and remedy."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device of a manifest; the keys are explained at the head of ``manifest.toml``."""

    name: str
    family: str
    model: str
    kind: Kind
    capabilities: frozenset[str]
    make: str | None = None
    command: tuple[str, ...] = ()
    location: str | None = None
    readiness: str | None = None
    control: str | None = None
    binary_env: str | None = None
    sha256: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = "manifest"

    def options_for(self, needs: Iterable[str]) -> dict[str, Any]:
        """The constructor's options where a test needs these capabilities."""
        merged = dict(self.options)
        for need in sorted(needs):
            merged.update({key: value for key, value in self.extra.get(need, {}).items() if key not in _FILE})
        return merged

    def file_for(self, needs: Iterable[str]) -> tuple[str | None, str | None]:
        """The variable that names the vendor's file where a test needs these capabilities, and the file's hash."""
        variable, pinned = self.binary_env, self.sha256
        for need in sorted(needs):
            table = self.extra.get(need, {})
            if "binary_env" in table:
                variable, pinned = table["binary_env"], table.get("sha256")
        return variable, pinned

    def lacks(self, needs: Iterable[str]) -> tuple[str, ...]:
        """What of ``needs`` the device cannot do."""
        return tuple(sorted(set(needs) - self.capabilities))


def load(paths: Sequence[Path] = ()) -> dict[str, DeviceSpec]:
    """Our devices and those of ``paths`` and of ``BURSAR_DEVICES_MANIFEST``, by name; a name may be taken once."""
    named = [Path(text) for text in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if text]
    devices: dict[str, DeviceSpec] = {}
    for path in (Path(__file__).with_name("manifest.toml"), *named, *paths):
        for spec in read(path):
            if spec.name in devices:
                raise ManifestError(
                    f"{path}: a device is called {spec.name!r} already in {devices[spec.name].source}: rename yours"
                )
            devices[spec.name] = spec
    return devices


def read(path: Path) -> tuple[DeviceSpec, ...]:
    """The devices of one file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    return parse(text, source=str(path))


def parse(text: str, *, source: str = "manifest") -> tuple[DeviceSpec, ...]:
    """The devices of a manifest's text; ``ManifestError`` for anything that is not understood."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{source}: no TOML: {error}") from error
    if document.pop("version", None) != VERSION:
        raise ManifestError(f"{source}: write version = {VERSION} at the top")
    tables = document.pop("device", [])
    if document:
        raise ManifestError(f"{source}: unknown key {min(document)!r}: there are version and [[device]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ManifestError(f"{source}: devices are tables: write [[device]]")
    specs = tuple(_device(table, source, number) for number, table in enumerate(tables, 1))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(f"{source}: two devices are called {name!r}: rename one")
    return specs


class _Table:
    """A TOML table that is emptied key by key, so that what is left over is what nobody knows."""

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        self._left, self._where = dict(table), where

    def wrong(self, reason: str) -> ManifestError:
        return ManifestError(f"{self._where}: {reason}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None, *, like: str = "text") -> str | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, str) or not value or (pattern is not None and not pattern.fullmatch(value)):
            raise self.wrong(f"{key} = {value!r} must be {like}")
        return value

    def required(self, key: str, pattern: re.Pattern[str] | None = None, *, like: str = "text") -> str:
        value = self.text(key, pattern, like=like)
        if value is None:
            raise self.wrong(f"{key} is missing: it is {like}")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise self.wrong(f"{key} must be a list of texts")
        return tuple(value)

    def table(self, key: str) -> dict[str, Any]:
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            raise self.wrong(f"{key} must be a table: [device.{key}]")
        return value

    def end(self) -> None:
        if self._left:
            raise self.wrong(f"unknown key {min(self._left)!r}")


def _device(raw: Mapping[str, Any], source: str, number: int) -> DeviceSpec:
    called = raw.get("name")
    table = _Table(raw, f"{source}: device {called if isinstance(called, str) else number}")
    name = table.required("name", _NAME, like='small letters, digits and hyphens ("vendor-model")')
    kind = table.required("kind", re.compile("|".join(Kind)), like="one of " + ", ".join(Kind))
    capabilities = table.words("capabilities")
    if not all(_NAME.fullmatch(word) for word in capabilities):
        raise table.wrong("capabilities are words of small letters, digits and hyphens")
    extra = table.table("with")
    for capability, options in extra.items():
        if capability not in capabilities:
            raise table.wrong(f"[device.with.{capability}] is for a capability that is not in its list")
        if not isinstance(options, dict):
            raise table.wrong(f"with.{capability} must be a table of options")
        inner = _Table(options, f"{source}: device {name}, with.{capability}")
        variable = inner.text("binary_env", _VARIABLE, like="the name of an environment variable")
        if inner.text("sha256", _SHA256, like="64 hex digits in small letters") and variable is None:
            raise inner.wrong("sha256 is of the file that binary_env names: say which")
    spec = DeviceSpec(
        name=name,
        family=table.required("family", _NAME, like="the name of a signer backend"),
        model=table.required("model"),
        kind=Kind(kind),
        capabilities=frozenset(capabilities),
        make=table.text("make", _MAKE, like='"module:callable"'),
        command=table.words("command"),
        location=table.text("location"),
        readiness=_readiness(table),
        control=table.text("control", re.compile("|".join(CONTROLS)), like="one of " + ", ".join(CONTROLS)),
        binary_env=table.text("binary_env", _VARIABLE, like="the name of an environment variable"),
        sha256=table.text("sha256", _SHA256, like="64 hex digits in small letters"),
        options=table.table("options"),
        extra=extra,
        source=source,
    )
    table.end()
    _check(spec, table)
    return spec


def _readiness(table: _Table) -> str | None:
    value = table.text("readiness")
    if value is None:
        return None
    kind, _, pattern = value.partition(":")
    if kind not in READINESS or bool(pattern) != (kind == "output"):
        raise table.wrong(f'readiness = {value!r} must be "tcp", "udp-ping" or "output:<regular expression>"')
    if pattern:
        try:
            re.compile(pattern)
        except re.error as error:
            raise table.wrong(f"readiness: {pattern!r} is no regular expression: {error}") from error
    return value


def _check(spec: DeviceSpec, table: _Table) -> None:
    ways = [way for way, there in (("make", spec.make), ("command", spec.command)) if there]
    if len(ways) > 1:
        raise table.wrong("make and command exclude each other: keep one")
    if not ways and (spec.kind is not Kind.HARDWARE or spec.location is None):
        raise table.wrong("say how it starts: make, or command; hardware is found by location alone")
    if spec.command and (spec.location is None or spec.readiness is None):
        raise table.wrong("command needs location (with {port}) and readiness")
    if not spec.command and spec.readiness is not None:
        raise table.wrong("readiness belongs to command")
    if spec.make and (spec.location is not None or spec.control is not None):
        raise table.wrong("what make gives knows its location and control: leave them out")
    if spec.sha256 is not None and spec.binary_env is None:
        raise table.wrong("sha256 is of the file that binary_env names: say which")
    if not spec.make and (spec.options or spec.extra):
        raise table.wrong("options are given to make: without it there is nobody to take them")
