"""Keys of Ledger's Ethereum app: its path rules, addresses shown or not, extended public keys (BIP-32, BIP-44)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.apdu import OK, Command
from bursar.backends.ledger.ethereum_status import PATHS_TEXT, ethereum_refusal
from bursar.crypto.secp256k1 import parse_public_key
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.address import Address
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import UNKNOWN
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Exchange, Reply
    from bursar.keys.path import DerivationPath

CLA: Final = 0xE0
_GET_PUBLIC_KEY: Final = 0x02
_MOST_STEPS: Final = 10
_ROOTS: Final = ((HARDENED + 44, HARDENED + 60), (HARDENED + 45,))


@dataclass(frozen=True, slots=True)
class EthereumKey:
    """A public key (33 bytes), its address, and the chain code (32 bytes) where it was asked for."""

    key: bytes
    address: Address
    chain_code: bytes | None = None


def check_path(path: DerivationPath) -> None:
    """Refuse a path the app has no keys at; ``InvalidInputError`` (``input.path``)."""
    if not _has_keys(path):
        raise InvalidInputError(f"{path} is not for a ledger: {PATHS_TEXT}", code="input.path")


def path_bytes(path: DerivationPath) -> bytes:
    """The number of steps, then each step in four bytes; the path is checked."""
    check_path(path)
    return bytes((len(path),)) + b"".join(index.to_bytes(4, "big") for index in path)


def ethereum_key(
    path: DerivationPath, *, show: bool = False, chain_id: int | None = None, chain_code: bool = False
) -> Exchange[EthereumKey]:
    """The key at ``path``; with ``show`` a human confirms its address on the device, below the name of ``chain_id``.

    The address the app names must be that of the key it names; ``SignerMisbehavedError`` for anything else.
    """
    data = path_bytes(path) + (b"" if chain_id is None else chain_id.to_bytes(8, "big"))
    confirm = f"Compare the address of {path} on the Ledger, and confirm it there." if show else None
    reply = yield Command(CLA, _GET_PUBLIC_KEY, int(show), int(chain_code), data, confirm)
    if reply.status != OK:
        raise ethereum_refusal(reply, f"to show the address of {path}" if show else f"to tell the key at {path}")
    return _parsed(reply, chain_code=chain_code)


def extended_key(path: DerivationPath) -> Exchange[ExtendedPublicKey]:
    """The extended public key at ``path``, without asking a human.

    Its parent's fingerprint is that of the key one step up. The app has no key above ``m/44h/60h`` and ``m/45h``:
    there the parent is unknown, four zero bytes. Where the last step is not hardened, the child is derived here from
    its parent and must be the one the device named.
    """
    check_path(path)
    above = path.parent if _has_keys(path.parent) else None
    parent = None if above is None else (yield from _extended(above))
    found = yield from _extended(path, parent=parent)
    if parent is not None and found.index < HARDENED and parent.child(found.index) != found:
        raise SignerMisbehavedError(f"the ledger named a key at {path} that is not derived from the one above it")
    return found


def _extended(path: DerivationPath, *, parent: ExtendedPublicKey | None = None) -> Exchange[ExtendedPublicKey]:
    named = yield from ethereum_key(path, chain_code=True)
    fingerprint = UNKNOWN if parent is None else parent.fingerprint
    return ExtendedPublicKey(len(path), fingerprint, path.indexes[-1], named.chain_code or b"", named.key)


def _parsed(reply: Reply, *, chain_code: bool) -> EthereumKey:
    data = reply.data
    if len(data) != (139 if chain_code else 107) or data[0] != 65 or data[1] != 4 or data[66] != 40:
        raise SignerMisbehavedError(f"the ledger answered {len(data)} bytes that are no key and address")
    try:
        key = parse_public_key(data[1:66])
    except InvalidInputError as error:
        raise SignerMisbehavedError("the ledger named a public key that is none") from error
    address = Address.from_public_key(key)
    if data[67:107].lower() != address.value.hex().encode("ascii"):
        raise SignerMisbehavedError(f"the ledger named another address than {address}, which is its key's")
    return EthereumKey(key, address, data[107:] if chain_code else None)


def _has_keys(path: DerivationPath) -> bool:
    return len(path) <= _MOST_STEPS and any(path.indexes[: len(root)] == root for root in _ROOTS)
