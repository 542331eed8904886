"""A book of descriptors (ERC-7730): from the texts of files, and the one for a call or a message found in it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.descriptor import Descriptor, read_descriptor
from bursar.ethereum.clear_signing.descriptor_json import read_json, with_includes
from bursar.ethereum.clear_signing.texts import descriptor_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.ethereum.address import Address
    from bursar.ethereum.typed_data import TypedData

MOST_FILES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Descriptors by what they are bound to; ``refused`` are the files that are none, with the reason.

    ``generic`` are those for any token (``"token"``) or NFT collection (``"collection"``) that the caller knows.
    What a book lacks is looked up in ``further``.
    """

    descriptors: tuple[Descriptor, ...] = ()
    refused: Mapping[str, InvalidInputError] = field(default_factory=lambda: MappingProxyType({}))
    generic: Mapping[str, tuple[Descriptor, ...]] = field(default_factory=lambda: MappingProxyType({}))
    further: Descriptors | None = None
    _calls: Mapping[tuple[int, Address], tuple[Descriptor, ...]] = field(init=False, repr=False, compare=False)
    _messages: Mapping[bytes, tuple[Descriptor, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        calls: dict[tuple[int, Address], list[Descriptor]] = defaultdict(list)
        messages: dict[bytes, list[Descriptor]] = defaultdict(list)
        for one in self.descriptors:
            for place in () if one.typed else one.deployments or ():
                calls[place].append(one)
            for key in one.messages if one.bound else ():
                messages[key].append(one)
        object.__setattr__(self, "_calls", {key: tuple(found) for key, found in calls.items()})
        object.__setattr__(self, "_messages", {key: tuple(found) for key, found in messages.items()})

    @classmethod
    def from_files(cls, texts: Mapping[str, str]) -> Self:
        """From the texts of files by their names, ``weth.json``, ``lido/common.json``; includes are found among them.

        A file that is no descriptor binds nothing and stands in ``refused``; only too many files are an error.
        """
        if len(texts) > MOST_FILES:
            raise descriptor_error(f"the folder: {len(texts)} files, at most {MOST_FILES} are read")
        refused: dict[str, InvalidInputError] = {}
        parsed: dict[str, dict[str, Any]] = {}
        for name, text in texts.items():
            try:
                parsed[name] = read_json(text)
            except InvalidInputError as error:
                refused[name] = error
        found = []
        for name in parsed:
            try:
                one = read_descriptor(name, with_includes(name, parsed))
            except InvalidInputError as error:
                refused[name] = error
            else:
                found += [] if one is None else [one]
        return cls(tuple(found), MappingProxyType(refused))

    def for_call(self, chain_id: int, targets: Sequence[Address], selector: bytes) -> Descriptor | None:
        """The descriptor for a call of any of ``targets``: the contract, and the one whose code it runs."""
        found = [
            one
            for target in dict.fromkeys(targets)
            for one in self._calls.get((chain_id, target), ())
            if selector in one.functions
        ]
        if not found and self.further is not None:
            return self.further.for_call(chain_id, targets, selector)
        return _only(found, selector)

    def for_message(self, typed: TypedData, target: Address | None) -> Descriptor | None:
        """The descriptor for a message; ``target`` is the contract whose code the verifying contract runs."""
        key = typed.types.type_hash(typed.primary_type)
        found = [one for one in self._messages.get(key, ()) if one.fits_message(typed, target)]
        if not found and self.further is not None:
            return self.further.for_message(typed, target)
        return _only(found, key)

    def generic_for(self, kind: str, key: bytes) -> Descriptor | None:
        """The descriptor for a call or message of any contract of ``kind``."""
        for one in self.generic.get(kind, ()):
            if key in one.functions or key in one.messages:
                return one
        return None if self.further is None else self.further.generic_for(kind, key)

    def and_then(self, further: Descriptors) -> Descriptors:
        """This book, and behind it ``further`` for what it has nothing for."""
        behind = further if self.further is None else self.further.and_then(further)
        return Descriptors(self.descriptors, self.refused, self.generic, behind)


def _only(found: list[Descriptor], key: bytes) -> Descriptor | None:
    if not found:
        return None
    for other in found[1:]:
        if not found[0].says_the_same(other, key):
            raise InvalidInputError(
                f"clear signing: the descriptors {found[0].name[:80]!r} and {other.name[:80]!r} are both for this "
                "and differ: remove one",
                code="input.clear-signing.ambiguous",
            )
    return found[0]
