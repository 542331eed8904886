"""Firmware knowledge: what is known against a model's firmware versions, as data (TOML 1.0) and as a judge of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from bursar.errors import InvalidInputError, SignerError

MOST_TEXT = 1 << 20
_TOP = frozenset(("version", "vendor", "model", "rule"))
_MODEL = frozenset(("id", "name", "newest"))
_RULE = frozenset(("level", "models", "from", "below", "feature", "text", "reference"))
_REQUIRED_RULE = frozenset(("level", "models", "text", "reference"))
_VERSION = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){0,3}", re.ASCII)
_DEVICE_VERSION = re.compile(r"v?(" + _VERSION.pattern + r")(?![0-9.])([ +~_.a-zA-Z0-9-]*)", re.ASCII)
_WORD = re.compile(r"[a-z0-9]+(?:[-:.][a-z0-9]+)*", re.ASCII)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,400}")


class FirmwareLevel(StrEnum):
    """How bad it is, worst last."""

    WARN = "warn"
    REFUSE = "refuse"
    SEED_COMPROMISED = "seed-compromised"


@dataclass(frozen=True, slots=True)
class FirmwareNotice:
    """One thing known about a device's firmware; ``reference`` is an advisory's address or id, or empty."""

    level: FirmwareLevel
    text: str
    reference: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.reference})" if self.reference else self.text


@dataclass(frozen=True, slots=True, order=True)
class FirmwareVersion:
    """A version as numbers: ``2.4`` is ``2.4.0``, ``2.10`` comes after ``2.9``, ``2.4.3-rc1`` just before ``2.4.3``."""

    numbers: tuple[int, int, int, int]
    release: bool = True

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``2.4.6``: one to four numbers and nothing else; ``InvalidInputError`` (``input.firmware``)."""
        if not isinstance(text, str) or not _VERSION.fullmatch(text):
            raise _invalid(f"{text!r:.60} is no firmware version: write numbers, as in 2.4.6")
        return cls(_numbers(text))

    @classmethod
    def from_device(cls, text: str) -> Self:
        """As :meth:`from_text`, with what devices add: a ``v`` in front, ``-rc1`` or ``-dev`` behind."""
        found = _DEVICE_VERSION.fullmatch(text) if isinstance(text, str) and len(text) <= 64 else None
        if found is None:
            raise _invalid(f"{text!r:.60} is no firmware version")
        return cls(_numbers(found[1]), release=not found[2])

    def __str__(self) -> str:
        numbers = self.numbers if self.numbers[3] else self.numbers[:3]
        return ".".join(map(str, numbers)) + ("" if self.release else " (not a release)")


@dataclass(frozen=True, slots=True)
class _Model:
    id: str
    name: str
    newest: FirmwareVersion


@dataclass(frozen=True, slots=True)
class _Rule:
    level: FirmwareLevel
    models: frozenset[str]
    first: FirmwareVersion | None
    below: FirmwareVersion | None
    feature: str | None
    notice: FirmwareNotice

    def covers(self, version: FirmwareVersion) -> bool:
        if self.first is not None and version.numbers < self.first.numbers:
            return False
        return self.below is None or version < self.below


class FirmwareKnowledge:
    """What is known about one vendor's firmware, read from TOML and asked by model and version.

    The file, every key known or the file refused::

        version = 1
        vendor = "Trezor"

        [[model]]
        id = "T2T1"                # what judge() is asked with; an application is a model too ("app:Bitcoin")
        name = "Trezor Model T"    # judge() understands it as well
        newest = "2.9.6"           # the newest version known when the file was written

        [[rule]]
        level = "refuse"           # or "warn" or "seed-compromised"
        models = ["T2T1"]          # ids; ["*"] for all of them
        from = "2.1.0"             # first version affected; left out: from the very first
        below = "2.4.3"            # first version not affected any more; left out: not repaired
        feature = "taproot"        # optional: only where judge() is asked about this feature
        text = "…"                 # one lower-case sentence with the remedy
        reference = "https://…"    # the advisory's address or id
    """

    __slots__ = ("_models", "_rules", "vendor")

    def __init__(self, vendor: str, models: Iterable[_Model], rules: Iterable[_Rule]) -> None:
        self.vendor = vendor
        self._models: dict[str, _Model] = {}
        for model in models:
            for key in {model.id.casefold(), model.name.casefold()}:
                if key in self._models:
                    raise _invalid(f"the model {model.id!r} stands twice, or its name is another's")
                self._models[key] = model
        self._rules = tuple(rules)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read the file; ``InvalidInputError`` (``input.firmware``) names the place and the mistake."""
        if len(text) > MOST_TEXT:
            raise _invalid(f"more than {MOST_TEXT} characters")
        try:
            data = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise _invalid(f"not TOML: {error}") from error
        except ValueError as error:  # a date or an integer that Python cannot hold
            raise _invalid(f"a value cannot be read: {error}") from error
        _check_keys("the file", data, known=_TOP, required=_TOP - {"rule"})
        if type(data["version"]) is not int or data["version"] != 1:
            raise _invalid("version must be 1: this release knows no other")
        models = [_model(f"model {number}", one) for number, one in enumerate(_tables(data, "model"), 1)]
        if not models:
            raise _invalid("no [[model]] stands in it")
        ids = frozenset(model.id for model in models)
        rules = [_rule(f"rule {number}", one, ids) for number, one in enumerate(_tables(data, "rule"), 1)]
        return cls(_plain("the file", data, "vendor"), models, rules)

    def judge(
        self,
        model: str,
        version: str | None,
        *,
        features: Collection[str] = (),
        seed_version: str | None = None,
    ) -> tuple[FirmwareNotice, ...]:
        """What is known against ``model`` with firmware ``version``, worst first; nothing known is an empty tuple.

        ``model`` is an id or a name, in any case; ``version`` is the device's own text, ``None`` where it told none.
        ``features`` are those that will be used. ``seed_version`` is the firmware that made the seed, where it is
        on record: an update repairs no seed, so a later version gets a warning while it is not.
        """
        known = self._models.get(model.casefold())
        if known is None:
            return (_warning(f"the model {_shown(model)} is not known to this release: look for an update of bursar"),)
        try:
            current = None if version is None else FirmwareVersion.from_device(version)
        except InvalidInputError:
            text = f"{known.name} reports the version {_shown(version or '')}, which is none: do not use it"
            return (FirmwareNotice(FirmwareLevel.REFUSE, text),)
        if current is None:
            return (_warning(f"{known.name} did not tell its firmware version: nothing is known about it"),)
        made_by = _seed_version(seed_version)
        notices = [notice for rule in self._rules if (notice := _judged(rule, known, current, features, made_by))]
        if not current.release:
            notices.append(_warning(f"the firmware {_shown(version or '')} of {known.name} is not a release"))
        if current > known.newest:
            notices.append(
                _warning(
                    f"firmware {current} of {known.name} is newer than {known.newest}, the newest this release knows: "
                    "it may behave otherwise"
                )
            )
        order = list(FirmwareLevel)
        return tuple(sorted(notices, key=lambda notice: -order.index(notice.level)))


def check_may_sign(notices: Iterable[FirmwareNotice], *, accepted: Collection[str] = ()) -> None:
    """Refuse to let a device sign that is refused, or whose seed is compromised.

    ``accepted`` are the references of advisories that somebody decided, for this job, to sign in spite of: the money
    of a compromised seed must be moved somewhere. Raises ``SignerError`` (``signer.firmware``, ``signer.seed``).
    """
    for notice in notices:
        if notice.level is not FirmwareLevel.WARN and (not notice.reference or notice.reference not in accepted):
            raise _blocked(notice, "this device does not sign")


def check_may_receive(notices: Iterable[FirmwareNotice]) -> None:
    """Refuse to issue or show a receive address of a device that is refused, or whose seed is compromised.

    Nothing can be accepted here: money sent to a seed that others can guess is lost. Raises ``SignerError``.
    """
    for notice in notices:
        if notice.level is not FirmwareLevel.WARN:
            raise _blocked(notice, "no receive address is given out")


def _blocked(notice: FirmwareNotice, consequence: str) -> SignerError:
    if notice.level is FirmwareLevel.SEED_COMPROMISED:
        return SignerError(f"{notice}: {consequence}", code="signer.seed")
    return SignerError(f"{notice}: {consequence}", code="signer.firmware")


def _judged(
    rule: _Rule,
    model: _Model,
    current: FirmwareVersion,
    features: Collection[str],
    made_by: FirmwareVersion | None,
) -> FirmwareNotice | None:
    if model.id not in rule.models or (rule.feature is not None and rule.feature not in features):
        return None
    if rule.level is not FirmwareLevel.SEED_COMPROMISED:
        return rule.notice if rule.covers(current) else None
    if made_by is not None:
        return rule.notice if rule.covers(made_by) else None
    if rule.covers(current):
        return rule.notice
    if rule.below is not None and current >= rule.below:
        text = f"if its seed was made by firmware before {rule.below}: {rule.notice.text}"
        return FirmwareNotice(FirmwareLevel.WARN, text, rule.notice.reference)
    return None


def _seed_version(text: str | None) -> FirmwareVersion | None:
    return None if text is None else FirmwareVersion.from_device(text)


def _model(where: str, table: Mapping[str, Any]) -> _Model:
    _check_keys(where, table, known=_MODEL, required=_MODEL)
    return _Model(_plain(where, table, "id"), _plain(where, table, "name"), _version(where, table, "newest"))


def _rule(where: str, table: Mapping[str, Any], ids: frozenset[str]) -> _Rule:
    _check_keys(where, table, known=_RULE, required=_REQUIRED_RULE)
    try:
        level = FirmwareLevel(table["level"])
    except ValueError as error:
        raise _invalid(f"{where}: level is {', '.join(FirmwareLevel)}, not {table['level']!r:.40}") from error
    named = table["models"]
    if not isinstance(named, list) or not named or not all(isinstance(one, str) for one in named):
        raise _invalid(f'{where}: models is a list of ids, or ["*"]')
    unknown = sorted({*named} - ids) if named != ["*"] else []
    if unknown or len(set(named)) != len(named):
        raise _invalid(f"{where}: {unknown[0] if unknown else named[0]!r:.40} is no [[model]] of this file, or twice")
    first = _version(where, table, "from") if "from" in table else None
    below = _version(where, table, "below") if "below" in table else None
    if first is not None and below is not None and not first < below:
        raise _invalid(f"{where}: from {first} is not before below {below}: no version is affected")
    feature = table.get("feature")
    if feature is not None and (not isinstance(feature, str) or not _WORD.fullmatch(feature)):
        raise _invalid(f"{where}: feature is a word in lower case, as in taproot")
    notice = FirmwareNotice(level, _plain(where, table, "text"), _plain(where, table, "reference"))
    return _Rule(level, ids if named == ["*"] else frozenset(named), first, below, feature, notice)


def _check_keys(where: str, table: Mapping[str, Any], *, known: frozenset[str], required: frozenset[str]) -> None:
    strange, missing = sorted(set(table) - known), sorted(required - set(table))
    if strange:
        raise _invalid(f"{where}: {strange[0]!r:.40} is not a key of the format")
    if missing:
        raise _invalid(f"{where}: {missing[0]} is missing")


def _tables(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    tables = data.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise _invalid(f"{key} is written as tables, [[{key}]]")
    return tables


def _plain(where: str, table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not _PLAIN.fullmatch(value) or value != value.strip():
        raise _invalid(f"{where}: {key} is one line of text")
    return value


def _version(where: str, table: Mapping[str, Any], key: str) -> FirmwareVersion:
    try:
        return FirmwareVersion.from_text(table[key])
    except InvalidInputError as error:
        raise _invalid(f"{where}: {key}: {error.message}") from error


def _numbers(text: str) -> tuple[int, int, int, int]:
    numbers = [int(number) for number in text.split(".")]
    first, second, third, fourth = numbers + [0] * (4 - len(numbers))
    return first, second, third, fourth


def _shown(text: str) -> str:
    return ascii(text[:40])


def _warning(text: str) -> FirmwareNotice:
    return FirmwareNotice(FirmwareLevel.WARN, text)


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"firmware knowledge: {reason}", code="input.firmware")
