"""Fields of foreign JSON, each taken with its type, and the public half of what may hold private keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.formats.wallet_file import LARGEST, MOST_NAME, invalid
from bursar.errors import InvalidInputError
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.slip132 import read_extended_key

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.scheme import MultisigScript, Scheme

MOST_ITEMS: Final = 10_000
PRIVATE: Final = "it holds private keys: only the public half was taken over; keep the file safe, or destroy it"


def document(data: bytes | str, what: str) -> Any:
    """The JSON of a whole file."""
    return strict_json.parse(data, what=what, code="input.wallet-file", largest=LARGEST, deepest=32)


def text(data: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text, printable and of bounded length."""
    value = data.get(name, default)
    if not isinstance(value, str) or len(value) > 100_000:
        raise invalid(f"its {name} is not a text")
    return value


def name_text(value: object) -> str:
    """What a human called something: without what cannot be seen, and not longer than names are."""
    if not isinstance(value, str):
        return ""
    return "".join([one for one in value if one.isprintable()])[:MOST_NAME].strip()


def whole(data: dict[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number within bounds."""
    value = data.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise invalid(f"its {name} is not a whole number from {low} to {high}")
    return value


def listed(data: dict[str, Any], name: str) -> list[Any]:
    """A list of bounded length."""
    value = data.get(name)
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        raise invalid(f"its {name} is not a list of at most {MOST_ITEMS} entries")
    return value


def entry(value: object, name: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise invalid(f"its {name} is not an object")
    return value


def public_descriptor(written: str, remarks: list[str]) -> Descriptor:
    """The public half of a descriptor; what stood in it is remarked if there was more."""
    descriptor = Descriptor.parse(written)
    if not descriptor.private:
        return descriptor
    if PRIVATE not in remarks:
        remarks.append(PRIVATE)
    try:
        return descriptor.normalized().public()
    finally:
        descriptor.close()


def extended(written: str) -> tuple[ExtendedPublicKey, Scheme | MultisigScript | None]:
    """An extended public key with the script its SLIP-132 prefix names."""
    try:
        key = read_extended_key(written.strip())
    except InvalidInputError as error:
        raise invalid(error.message, "input.wallet-file.key") from error
    return key.xpub, key.script


def origin(fingerprint: object, path: object) -> KeyOrigin | None:
    """An origin from two texts; ``None`` where either is missing or says that it is unknown."""
    if not isinstance(fingerprint, str) or not isinstance(path, str):
        return None
    if fingerprint.lower() in ("", "unknown", "00000000") or path.lower() in ("", "unknown"):
        return None
    steps = DerivationPath.from_text(path if path.startswith("m") else f"m/{path}")
    return KeyOrigin.from_text(f"{fingerprint}{steps.suffix()}")


def path_text(where: KeyOrigin) -> str:
    """``m/48'/0'/0'/2'``, as the programs here write paths."""
    return f"m{where.path.suffix()}".replace("h", "'")
