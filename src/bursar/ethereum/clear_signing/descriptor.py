"""A descriptor (ERC-7730): what it is bound to, and how it shows each function or message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing.fields import Format, read_format
from bursar.ethereum.clear_signing.shapes import Function, read_function
from bursar.ethereum.clear_signing.texts import descriptor_error, label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.ethereum.typed_data import TypedData

MOST_FORMATS: Final = 500
MOST_DEPLOYMENTS: Final = 5_000
_SCHEMA: Final = re.compile(r"(?:.*/)?erc7730-v([0-9]+)(?:\.[0-9]+){0,2}\.schema\.json", re.ASCII)
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_VERSIONS: Final = ("1", "2")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor. ``tree`` is the whole of it after its includes, in which paths beginning with ``$`` are found.

    ``deployments`` is ``None`` where it names none: a message may be bound by its domain alone, a call is not.
    """

    name: str
    typed: bool
    deployments: frozenset[tuple[int, Address]] | None
    domain: tuple[tuple[str, str | int], ...]
    domain_separator: bytes | None
    owner: str | None
    contract_name: str | None
    functions: Mapping[bytes, tuple[Function, Format]]
    messages: Mapping[bytes, Format]
    tree: Mapping[str, Any]

    @property
    def bound(self) -> bool:
        """Whether it names what it is for; one that does not is made to be included, or for anything of a kind."""
        return bool(self.deployments or self.domain or self.domain_separator)

    def fits_message(self, typed: TypedData, target: Address | None) -> bool:
        """Whether every constraint on the domain holds; ``target`` stands for the contract where that is a proxy."""
        if self.deployments is not None:
            contracts = {(typed.chain_id, one) for one in (typed.verifying_contract, target) if one is not None}
            if not contracts & self.deployments:
                return False
        if self.domain_separator is not None and typed.domain_separator != self.domain_separator:
            return False
        return all(key in typed.domain and _same(typed.domain[key], value) for key, value in self.domain)

    def says_the_same(self, other: Descriptor, key: bytes) -> bool:
        """Whether both show what ``key`` stands for in the same words."""
        mine, theirs = (one.messages.get(key) or one.functions.get(key) for one in (self, other))
        parts = ("metadata", "display")
        return mine == theirs and all(self.tree.get(part) == other.tree.get(part) for part in parts)


def read_descriptor(name: str, tree: dict[str, Any]) -> Descriptor | None:
    """The descriptor of a file merged with its includes; ``None`` for one without a context, made to be included."""
    schema = tree.get("$schema")
    if schema is not None:
        found = _SCHEMA.fullmatch(schema) if isinstance(schema, str) and len(schema) < 300 else None
        if found is None or found[1] not in _VERSIONS:
            raise descriptor_error(f"$schema: {schema!r:.80} is no version that is read here: 1 and 2 are")
    if "context" not in tree:
        return None
    context = _object(tree, "context")
    if ("contract" in context) == ("eip712" in context):
        raise descriptor_error("context: one of contract and eip712")
    typed = "eip712" in context
    binding = _object(context, "eip712" if typed else "contract")
    metadata, display = _object(tree, "metadata"), _object(tree, "display")
    formats = _object(display, "formats")
    if len(formats) > MOST_FORMATS:
        raise descriptor_error(f"formats: {len(formats)}, at most {MOST_FORMATS} are read")
    definitions = _object(display, "definitions")
    read = {key: read_format(one, definitions) for key, one in formats.items()}
    return Descriptor(
        name,
        typed,
        _deployments(binding),
        tuple(_domain(binding)) if typed else (),
        _separator(binding) if typed else None,
        _name(metadata, "owner"),
        _name(metadata, "contractName"),
        {} if typed else _functions(read),
        {keccak256(key.encode("utf-8", "replace")): one for key, one in read.items()} if typed else {},
        tree,
    )


def _functions(read: Mapping[str, Format]) -> dict[bytes, tuple[Function, Format]]:
    functions: dict[bytes, tuple[Function, Format]] = {}
    for key, one in read.items():
        function = read_function(key)
        if function.selector in functions:
            raise descriptor_error(f"formats: two entries for one function, {key[:80]!r}")
        functions[function.selector] = (function, one)
    return functions


def _deployments(binding: Mapping[str, Any]) -> frozenset[tuple[int, Address]] | None:
    listed = binding.get("deployments")
    if listed is None:
        return None
    if not isinstance(listed, list) or len(listed) > MOST_DEPLOYMENTS:
        raise descriptor_error(f"deployments: a list of at most {MOST_DEPLOYMENTS}")
    found = set()
    for one in listed:
        chain = one.get("chainId") if isinstance(one, dict) else None
        if type(chain) is not int or chain <= 0:
            raise descriptor_error("deployments: each has a chainId and an address")
        found.add((chain, read_address(one.get("address"))))
    return frozenset(found)


def read_address(text: object) -> Address:
    """An address of a descriptor: EIP-55, or in one case, since many are written so."""
    if not isinstance(text, str) or len(text) != 42:
        raise descriptor_error(f"{text!r:.60} is no address")
    try:
        return Address.from_text(text.lower() if text[2:].isupper() else text, allow_lowercase=True)
    except InvalidInputError as error:
        raise descriptor_error(error.message) from error


def _domain(binding: Mapping[str, Any]) -> list[tuple[str, str | int]]:
    wanted: list[tuple[str, str | int]] = []
    for key, value in _object(binding, "domain").items():
        if type(value) not in (str, int):
            raise descriptor_error(f"domain.{key[:40]}: a text or a number")
        wanted.append((key, value))
    return wanted


def _separator(binding: Mapping[str, Any]) -> bytes | None:
    text = binding.get("domainSeparator")
    if text is None:
        return None
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise descriptor_error("domainSeparator: 0x and 64 hexadecimal digits")
    return bytes.fromhex(text[2:])


def _same(found: object, wanted: str | int) -> bool:
    if isinstance(found, Address):
        return str(found).lower() == str(wanted).lower()
    if isinstance(found, bytes):
        return "0x" + found.hex() == str(wanted).lower()
    return str(found) == str(wanted)


def _object(data: Mapping[str, Any], member: str) -> dict[str, Any]:
    found = data.get(member)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise descriptor_error(f"{member}: an object")
    return found


def _name(data: Mapping[str, Any], member: str) -> str | None:
    found = data.get(member)
    if found is not None and not isinstance(found, str):
        raise descriptor_error(f"{member}: a text")
    return None if found is None else label(found)
