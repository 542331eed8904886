"""The fields of one function or message in a descriptor (ERC-7730): what to show, in which format, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.clear_signing.paths import Path, Root
from bursar.ethereum.clear_signing.texts import descriptor_error

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_FIELDS: Final = 500  # of one function, those of groups included
_MOST_GROUPS: Final = 8  # one in another
_MOST_LISTED: Final = 200

Scalar = str | int | bool | None

_TOKEN: Final = frozenset(("token", "tokenPath", "nativeCurrencyAddress", "threshold", "message"))
_CHAIN: Final = frozenset(("chainId", "chainIdPath"))
_NAMES: Final = frozenset(("types", "sources", "senderAddress"))
_CALL: Final = ("callee", "selector", "amount", "spender")
PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "raw": frozenset(),
    "amount": frozenset(),
    "tokenAmount": _TOKEN | _CHAIN,
    "tokenTicker": _CHAIN,
    "nftName": frozenset(("collection", "collectionPath")),
    "date": frozenset(("encoding",)),
    "duration": frozenset(),
    "unit": frozenset(("base", "decimals", "prefix")),
    "enum": frozenset(("$ref",)),
    "chainId": frozenset(),
    "addressName": _NAMES,
    "interoperableAddressName": _NAMES,
    "calldata": frozenset((*_CALL, *(f"{one}Path" for one in _CALL))) | _CHAIN,
}


@dataclass(frozen=True, slots=True)
class MapReference:
    """A constant that depends on the data: the value that the map at ``map`` has for what is found at ``key``."""

    map: Path
    key: Path


Parameter = Scalar | Path | MapReference | tuple[Scalar | Path, ...]


class Visible(Enum):
    """Whether a field is shown; the last two depend on its value."""

    ALWAYS = "always"
    NEVER = "never"
    OPTIONAL = "optional"
    IF_NOT_IN = "ifNotIn"
    MUST_MATCH = "mustMatch"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``path`` to its values, or the constant ``value``. Parameters of paths are those ending in Path."""

    path: Path | None
    value: Scalar | Path
    label: str
    format: str
    parameters: Mapping[str, Parameter]
    visible: Visible = Visible.ALWAYS
    listed: tuple[Scalar, ...] = ()
    separator: str | None = None
    encrypted: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Fields below one path; ``bundled`` is ``None`` where the descriptor does not say how arrays are gone through."""

    path: Path | None
    label: str | None
    bundled: bool | None
    fields: tuple[Field | Group, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """How one function or message is shown. ``intent`` are pairs of a label, empty for plain text, and a text."""

    intent: tuple[tuple[str, str], ...]
    sentence: str | None
    fields: tuple[Field | Group, ...]


def read_format(data: object, definitions: object) -> Format:
    """One value of ``display.formats``; ``required`` and ``excluded`` of version 1 say which fields are shown."""
    if not isinstance(data, dict):
        raise descriptor_error("formats: each is an object")
    reader = _Reader(definitions if isinstance(definitions, dict) else {})
    fields = reader.fields(data.get("fields", []), _MOST_GROUPS)
    excluded = _paths(data.get("excluded", []))
    if excluded:
        fields = tuple(_without(one, excluded, Path(Root.DATA, ())) for one in fields)
    return Format(_intent(data.get("intent", "")), _text_or_none(data, "interpolatedIntent"), fields)


class _Reader:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._left = MOST_FIELDS

    def fields(self, data: object, depth: int) -> tuple[Field | Group, ...]:
        if not isinstance(data, list) or not depth:
            raise descriptor_error(f"fields: a list, at most {_MOST_GROUPS} groups one in another")
        return tuple(self._one(member, depth) for member in data)

    def _one(self, data: object, depth: int) -> Field | Group:
        self._left -= 1
        if not isinstance(data, dict) or self._left < 0:
            raise descriptor_error(f"fields: objects, at most {MOST_FIELDS}")
        path = None if data.get("path") is None else Path.from_text(data["path"])
        if "fields" in data:
            return Group(path, _text_or_none(data, "label"), _bundled(data), self.fields(data["fields"], depth - 1))
        return self._field(path, self._defined(data))

    def _defined(self, data: dict[str, Any]) -> dict[str, Any]:
        """A field with the definition it refers to; its own members count first, its own parameters too."""
        if "$ref" not in data:
            return data
        steps = Path.from_text(data["$ref"]).steps
        found = self._definitions.get(str(steps[-1]))
        if steps[:-1] != ("display", "definitions") or not isinstance(found, dict) or "$ref" in found:
            raise descriptor_error(f"fields: {data['$ref']!r:.80} is no definition")
        parameters = {**_object(found.get("params")), **_object(data.get("params"))}
        return {**found, **data, "params": parameters}

    def _field(self, path: Path | None, data: dict[str, Any]) -> Field:
        value = data.get("value")
        if (path is None) == (value is None):
            raise descriptor_error("fields: one of path and value")
        name = data.get("format", "raw")
        known = PARAMETERS.get(name) if isinstance(name, str) else None
        if known is None:
            raise descriptor_error(f"fields: {name!r:.40} is no format")
        parameters = {key: _parameter(key, one) for key, one in _object(data.get("params")).items()}
        unknown = parameters.keys() - known
        if unknown or any(key.endswith("Path") and key[:-4] in parameters for key in parameters):
            raise descriptor_error(f"fields: {sorted(unknown or parameters)!r:.80} are no parameters of {name}")
        visible, listed = _visible(data.get("visible"))
        label = _text_or_none(data, "label")
        return Field(
            path,
            _constant(value),
            label if label is not None else str(path or ""),
            name,
            parameters,
            visible,
            listed,
            _text_or_none(data, "separator"),
            _encrypted(data.get("encryption")),
        )


def _parameter(key: str, data: object) -> Parameter:
    if key.endswith("Path") or key == "$ref":
        return Path.from_text(data)
    if isinstance(data, dict):
        if not {"map", "keyPath"} == data.keys():
            raise descriptor_error(f"params.{key}: an object is a map and its keyPath")
        return MapReference(Path.from_text(data["map"]), Path.from_text(data["keyPath"]))
    if isinstance(data, list):
        if len(data) > _MOST_LISTED:
            raise descriptor_error(f"params.{key}: at most {_MOST_LISTED} values")
        return tuple(_constant(one) for one in data)
    return _constant(data)


def _constant(data: object) -> Scalar | Path:
    if isinstance(data, str) and data.startswith("$."):
        return Path.from_text(data)
    return _scalar(data)


def _scalar(data: object) -> Scalar:
    if data is None or isinstance(data, str | int):
        return data
    raise descriptor_error(f"a value is a text, a number or true and false, not {type(data).__name__}")


def _visible(data: object) -> tuple[Visible, tuple[Scalar, ...]]:
    if data is None:
        return Visible.ALWAYS, ()
    if data in ("always", "never", "optional"):
        return Visible(data), ()
    if isinstance(data, dict) and len(data) == 1:
        [(rule, listed)] = data.items()
        if rule in ("ifNotIn", "mustMatch") and isinstance(listed, list) and 0 < len(listed) <= _MOST_LISTED:
            return Visible(rule), tuple(_scalar(one) for one in listed)
    raise descriptor_error(f"visible: {data!r:.60} is no rule")


def _encrypted(data: object) -> str | None:
    if data is None:
        return None
    return _text_or_none(_object(data), "fallbackLabel") or "[Encrypted]"


def _bundled(data: Mapping[str, Any]) -> bool | None:
    mode = data.get("iteration")
    if mode not in (None, "bundled", "sequential"):
        raise descriptor_error(f"iteration: {mode!r:.40} is none")
    return None if mode is None else mode == "bundled"


def _intent(data: object) -> tuple[tuple[str, str], ...]:
    if isinstance(data, str):
        return (("", data),)
    pairs = tuple(_object(data).items())
    if len(pairs) > 20 or not all(isinstance(text, str) for _, text in pairs):
        raise descriptor_error("intent: a text, or an object of at most 20 texts")
    return pairs


def _object(data: object) -> dict[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise descriptor_error(f"an object, not {type(data).__name__}")
    return data


def _text_or_none(data: Mapping[str, Any], member: str) -> str | None:
    found = data.get(member)
    if found is not None and not isinstance(found, str):
        raise descriptor_error(f"{member}: a text")
    return found


def _paths(data: object) -> frozenset[str]:
    if not isinstance(data, list) or len(data) > _MOST_LISTED:
        raise descriptor_error("excluded: a list of paths")
    return frozenset(str(Path.from_text(one).below(Path(Root.DATA, ()))) for one in data)


def _without(one: Field | Group, excluded: frozenset[str], base: Path) -> Field | Group:
    path = base if one.path is None else one.path.below(base)
    if isinstance(one, Group):
        return Group(one.path, one.label, one.bundled, tuple(_without(part, excluded, path) for part in one.fields))
    if one.path is None or str(path) not in excluded:
        return one
    return Field(
        one.path, one.value, one.label, one.format, one.parameters, Visible.NEVER, (), one.separator, one.encrypted
    )
