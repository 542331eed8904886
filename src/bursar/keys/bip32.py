"""Extended keys (BIP-32): private and public derivation, one key or thousands at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bursar.crypto import base58, bulk
from bursar.crypto.curve import check_length
from bursar.crypto.hashes import hash160, hmac_sha512, hmac_sha512_states
from bursar.crypto.secp256k1 import (
    check_secret_key,
    parse_public_key,
    public_key,
    tweak_add_public,
    tweak_add_secret,
)
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_PUBLIC = {bytes.fromhex("0488b21e"): False, bytes.fromhex("043587cf"): True}  # version -> testnet
_PRIVATE = {bytes.fromhex("0488ade4"): False, bytes.fromhex("04358394"): True}
_NO_PARENT = Fingerprint(bytes(4))


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.extended-key")


def _check_place(depth: int, parent: Fingerprint, index: int, chain_code: bytes) -> None:
    if type(depth) is not int or not 0 <= depth <= 255:
        raise _invalid(f"an extended key's depth is from 0 to 255, not {depth!r}")
    if type(index) is not int or not 0 <= index < 2 * HARDENED:
        raise _invalid(f"an extended key's index is from 0 to 4294967295, not {index!r}")
    if not isinstance(parent, Fingerprint):
        raise _invalid("an extended key's parent is a Fingerprint")
    if depth == 0 and (parent != _NO_PARENT or index != 0):
        raise _invalid("a master key has neither a parent nor an index")
    check_length(chain_code, 32, "a chain code")


def _split(text: str, versions: dict[bytes, bool], wanted: str) -> tuple[bool, int, Fingerprint, int, bytes, bytes]:
    if len(text) > 120:
        raise _invalid("the text is too long for an extended key")
    data = base58.decode_check(text)
    if len(data) != 78:
        raise _invalid(f"an extended key holds 78 bytes, not {len(data)}")
    testnet = versions.get(data[:4])
    if testnet is None:
        raise _invalid(f"the extended key's version is not that of {wanted}")
    index = int.from_bytes(data[9:13], "big")
    return testnet, data[4], Fingerprint(data[5:9]), index, data[13:45], data[45:]


def _join(versions: dict[bytes, bool], testnet: bool, place: tuple[int, bytes, int, bytes], key: bytes) -> str:
    version = next(version for version, flag in versions.items() if flag is testnet)
    depth, parent, index, chain_code = place
    return base58.encode_check(
        version + bytes((depth,)) + parent + index.to_bytes(4, "big") + chain_code + key,
    )


def _tweaks(chain_code: bytes, prefix: bytes, start: int, count: int) -> Iterator[bytes]:
    """BIP-32's I for ``count`` children; the first 32 bytes of each are the tweak.

    One at a time: the interpreter lock is freed for each point, and a second thread hashes meanwhile.
    """
    inner, outer = hmac_sha512_states(chain_code)
    for index in range(start, start + count):
        state = inner()
        state.update(prefix + index.to_bytes(4, "big"))
        last = outer()
        last.update(state.digest())
        yield last.digest()


def _check_range(start: int, count: int, limit: int) -> None:
    if type(start) is not int or type(count) is not int or start < 0 or count < 0 or start + count > limit:
        raise _invalid(f"children {start!r} to {start!r} + {count!r} do not all lie between 0 and {limit - 1}")


def _check_depth(depth: int) -> None:
    if depth == 255:
        raise _invalid("a key at depth 255 has no children")


@dataclass(frozen=True, slots=True)
class ExtendedPublicKey:
    """A public key (33 bytes) and its chain code (32 bytes); ``str()`` is the xpub or tpub text."""

    depth: int
    parent: Fingerprint
    index: int
    chain_code: bytes
    key: bytes
    testnet: bool = False

    def __post_init__(self) -> None:
        _check_place(self.depth, self.parent, self.index, self.chain_code)
        check_length(self.key, 33, "an extended public key's key")
        if type(self.testnet) is not bool:
            raise _invalid("testnet is True or False")
        parse_public_key(self.key)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse an ``xpub`` or ``tpub``; InvalidInputError names the fault."""
        testnet, depth, parent, index, chain_code, key = _split(text, _PUBLIC, "an xpub or tpub")
        return cls(depth, parent, index, chain_code, key, testnet)

    def __str__(self) -> str:
        return _join(_PUBLIC, self.testnet, (self.depth, self.parent, self.index, self.chain_code), self.key)

    @property
    def fingerprint(self) -> Fingerprint:
        """The first four bytes of the key's hash160."""
        return Fingerprint(hash160(self.key)[:4])

    def child(self, index: int) -> Self:
        """The child key ``index``, 0 to 2147483647; InvalidInputError in the 1 case of 2**127 that has no key."""
        _check_depth(self.depth)
        if type(index) is int and HARDENED <= index < 2 * HARDENED:
            raise _invalid(f"a public key has no hardened child {index - HARDENED}h: ask the signer for its xpub")
        _check_range(index, 1, HARDENED)
        output = hmac_sha512(self.chain_code, self.key + index.to_bytes(4, "big"))
        key = tweak_add_public(self.key, output[:32])
        return type(self)(self.depth + 1, self.fingerprint, index, output[32:], key, self.testnet)

    def derive(self, path: Iterable[int]) -> Self:
        """Walk down ``path`` (indexes, or a DerivationPath read as relative to this key)."""
        key = self
        for index in path:
            key = key.child(index)
        return key

    def _tweaks(self, start: int, count: int) -> Iterator[bytes]:
        _check_depth(self.depth)
        _check_range(start, count, HARDENED)
        return _tweaks(self.chain_code, self.key, start, count)

    def children(self, start: int, count: int) -> list[bytes]:
        """The public keys (33 bytes) of the children ``start`` to ``start + count - 1``."""
        return bulk.tweak_add_publics(self.key, self._tweaks(start, count))

    def children_uncompressed(self, start: int, count: int) -> list[bytes]:
        """As :meth:`children`, 65 bytes each, as Ethereum addresses need them."""
        return bulk.tweak_add_publics_uncompressed(self.key, self._tweaks(start, count))

    def children_taproot(self, start: int, count: int) -> list[bytes]:
        """The BIP-86 output keys (32 bytes, x-only) of the same children."""
        return bulk.tweak_add_publics_taproot(self.key, self._tweaks(start, count))


class ExtendedPrivateKey:
    """A secret key and its chain code; ``close()`` or leaving the context wipes the secret (best effort)."""

    __slots__ = ("_key", "_public", "chain_code", "depth", "index", "parent", "testnet")

    def __init__(
        self,
        depth: int,
        parent: Fingerprint,
        index: int,
        chain_code: bytes,
        key: Secret,
        testnet: bool = False,
    ) -> None:
        _check_place(depth, parent, index, chain_code)
        exposed = key.expose()
        check_secret_key(exposed)
        self.depth = depth
        self.parent = parent
        self.index = index
        self.chain_code = chain_code
        self.testnet = testnet
        self._key = Secret(exposed)
        self._public: bytes | None = None

    @classmethod
    def from_seed(cls, seed: Secret | bytes, *, testnet: bool = False) -> Self:
        """The master key of a seed of 16 to 64 bytes."""
        exposed = seed.expose() if isinstance(seed, Secret) else bytes(seed)
        if not 16 <= len(exposed) <= 64:
            raise _invalid(f"a seed has 16 to 64 bytes, not {len(exposed)}")
        output = hmac_sha512(b"Bitcoin seed", exposed)
        return cls(0, _NO_PARENT, 0, output[32:], Secret(output[:32]), testnet)

    @classmethod
    def from_text(cls, text: Secret) -> Self:
        """Parse an ``xprv`` or ``tprv``; InvalidInputError names the fault and never shows the text."""
        try:
            decoded = text.expose().decode("ascii")
        except UnicodeDecodeError:
            # the original error holds the text
            raise _invalid("an extended private key is ascii text") from None
        testnet, depth, parent, index, chain_code, key = _split(decoded, _PRIVATE, "an xprv or tprv")
        if key[0] != 0:
            raise _invalid("the extended private key's key does not start with a zero byte")
        return cls(depth, parent, index, chain_code, Secret(key[1:]), testnet)

    def text(self) -> Secret:
        """The ``xprv`` or ``tprv`` text."""
        place = (self.depth, self.parent, self.index, self.chain_code)
        return Secret.from_text(_join(_PRIVATE, self.testnet, place, b"\x00" + self._key.expose()))

    def __repr__(self) -> str:
        return "ExtendedPrivateKey(<redacted>)"

    def __reduce__(self) -> str:
        raise TypeError("an ExtendedPrivateKey cannot be copied or pickled")

    @property
    def public_key(self) -> bytes:
        """The compressed public key (33 bytes)."""
        if self._public is None:
            self._public = public_key(self._key.expose())
        return self._public

    @property
    def fingerprint(self) -> Fingerprint:
        """The first four bytes of the public key's hash160."""
        return Fingerprint(hash160(self.public_key)[:4])

    def public(self) -> ExtendedPublicKey:
        """The public half."""
        return ExtendedPublicKey(self.depth, self.parent, self.index, self.chain_code, self.public_key, self.testnet)

    def secret(self) -> Secret:
        """A copy of the 32-byte secret key, to be wiped by whoever asked."""
        return Secret(self._key.expose())

    def child(self, index: int) -> Self:
        """The child key ``index``, hardened from 2147483648; InvalidInputError in the 1 case of 2**127 without key."""
        _check_depth(self.depth)
        _check_range(index, 1, 2 * HARDENED)
        exposed = self._key.expose()
        prefix = b"\x00" + exposed if index >= HARDENED else self.public_key
        output = hmac_sha512(self.chain_code, prefix + index.to_bytes(4, "big"))
        key = Secret(tweak_add_secret(exposed, output[:32]))
        return type(self)(self.depth + 1, self.fingerprint, index, output[32:], key, self.testnet)

    def derive(self, path: Iterable[int]) -> Self:
        """Walk down ``path`` (a DerivationPath or indexes), wiping the keys passed on the way."""
        key = self
        for index in path:
            below = key.child(index)
            if key is not self:
                key.close()
            key = below
        return key if key is not self else self._copy()

    def _copy(self) -> Self:
        return type(self)(self.depth, self.parent, self.index, self.chain_code, self._key, self.testnet)

    def _tweaks(self, start: int, count: int) -> Iterator[bytes]:
        _check_depth(self.depth)
        hardened = type(start) is int and start >= HARDENED
        _check_range(start, count, 2 * HARDENED if hardened else HARDENED)
        prefix = b"\x00" + self._key.expose() if hardened else self.public_key
        return _tweaks(self.chain_code, prefix, start, count)

    def children_public(self, start: int, count: int) -> list[bytes]:
        """The public keys (33 bytes) of ``count`` children from ``start``, all hardened or none."""
        return bulk.public_keys(self._key.expose(), self._tweaks(start, count))

    def children_public_uncompressed(self, start: int, count: int) -> list[bytes]:
        """As :meth:`children_public`, 65 bytes each, as Ethereum addresses need them."""
        return bulk.public_keys_uncompressed(self._key.expose(), self._tweaks(start, count))

    def children_taproot(self, start: int, count: int) -> list[bytes]:
        """The BIP-86 output keys (32 bytes, x-only) of the same children."""
        return bulk.public_keys_taproot(self._key.expose(), self._tweaks(start, count))

    def children_secret(self, start: int, count: int) -> list[Secret]:
        """The secret keys (32 bytes) of ``count`` children from ``start``, each to be wiped by whoever asked."""
        exposed = self._key.expose()
        return [Secret(tweak_add_secret(exposed, tweak[:32])) for tweak in self._tweaks(start, count)]

    def close(self) -> None:
        """Wipe the secret; idempotent, and every later use raises."""
        self._key.wipe()

    wipe = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
