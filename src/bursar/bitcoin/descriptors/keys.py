"""Key expressions (BIP-380, 389) and aggregate keys (BIP-390, 327, 328), and what they derive."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.crypto import base58
from bursar.crypto.hashes import hash160
from bursar.crypto.key_aggregation import aggregate_keys
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED, DerivationPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bursar.crypto.secret import Secret

Step: TypeAlias = "int | tuple[int, ...]"
_MUSIG_CHAIN_CODE: Final = bytes.fromhex("868087ca02a6f974c4598924c36b57762d32cb45717167e300622c7167e38965")
_WIF: Final = {False: b"\x80", True: b"\xef"}


def _index_text(index: int) -> str:
    return f"{index - HARDENED}h" if index >= HARDENED else str(index)


def steps_text(steps: Iterable[Step], wildcard: int | None) -> str:
    """``/0/<0;1>/*`` as a descriptor writes it, hardened steps with ``h``."""
    parts = [_index_text(step) if isinstance(step, int) else f"<{';'.join(map(_index_text, step))}>" for step in steps]
    if wildcard is not None:
        parts.append("*h" if wildcard else "*")
    return "".join([f"/{part}" for part in parts])


def _chosen(steps: Iterable[Step], branch: int) -> tuple[int, ...]:
    return tuple([step if isinstance(step, int) else step[branch] for step in steps])


def _branches(steps: Iterable[Step]) -> int | None:
    return next((len(step) for step in steps if not isinstance(step, int)), None)


@lru_cache(maxsize=1024)
def _walk(xpub: ExtendedPublicKey, path: tuple[int, ...]) -> ExtendedPublicKey:
    return xpub.derive(path)


def _needs_private(step: int) -> InvalidInputError:
    return InvalidInputError(
        f"descriptor: the hardened step {_index_text(step)} cannot be derived from a public key: put the key below it "
        "into the descriptor, with its origin",
        code="input.descriptor",
    )


@dataclass(frozen=True, slots=True)
class KeyExpression:
    """One key with its origin, the steps below it (a tuple: one step per branch) and perhaps ``/*`` at the end.

    ``key`` is the public half: 33 or 65 bytes, or an extended key. ``wildcard`` is 0 for ``/*``, ``HARDENED`` for
    ``/*h``. ``x_only`` remembers that 64 digits were written. ``private`` is never shown, compared or hashed.
    """

    key: bytes | ExtendedPublicKey
    origin: KeyOrigin | None = None
    steps: tuple[Step, ...] = ()
    wildcard: int | None = None
    x_only: bool = False
    private: Secret | ExtendedPrivateKey | None = field(default=None, repr=False, compare=False)
    wif_testnet: bool | None = field(default=None, repr=False, compare=False)

    @property
    def branches(self) -> int | None:
        """How many alternatives its multipath step has; ``None`` without one."""
        return _branches(self.steps)

    @property
    def ranged(self) -> bool:
        """Whether it stands for a series of keys."""
        return self.wildcard is not None

    @property
    def testnet(self) -> bool | None:
        """Which networks the key's own text belongs to; ``None`` if it does not tell."""
        return self.key.testnet if isinstance(self.key, ExtendedPublicKey) else self.wif_testnet

    @property
    def size(self) -> int:
        """Bytes of its public keys: 33, or 65 if written uncompressed."""
        return len(self.key) if isinstance(self.key, bytes) else 33

    @property
    def single(self) -> tuple[KeyExpression, ...]:
        """The keys it is made of: itself."""
        return (self,)

    def __str__(self) -> str:
        if isinstance(self.key, ExtendedPublicKey):
            return self._around(str(self.key))
        return self._around(self.key[1:].hex() if self.x_only else self.key.hex())

    def _around(self, key: str) -> str:
        origin = "" if self.origin is None else f"[{self.origin}]"
        return f"{origin}{key}{steps_text(self.steps, self.wildcard)}"

    def private_text(self) -> str:
        """Its text with the private key, where there is one: keep it in a ``Secret``."""
        if isinstance(self.private, ExtendedPrivateKey):
            return self._around(self.private.text().expose().decode())
        if self.private is None:
            return str(self)
        tail = b"\x01" if self.size == 33 else b""
        return self._around(base58.encode_check(_WIF[bool(self.wif_testnet)] + self.private.expose() + tail))

    def _parent(self, path: tuple[int, ...]) -> ExtendedPublicKey:
        key = self.key
        assert isinstance(key, ExtendedPublicKey)
        hardened = max((place for place, step in enumerate(path, 1) if step >= HARDENED), default=0)
        if hardened:
            if not isinstance(self.private, ExtendedPrivateKey):
                raise _needs_private(path[hardened - 1])
            with self.private.derive(path[:hardened]) as below:
                key = below.public()
        return _walk(key, path[hardened:])

    def column(self, branch: int, start: int, count: int) -> list[bytes]:
        """The public keys of ``count`` indexes, 33 or 65 bytes each."""
        if isinstance(self.key, bytes):
            return [self.key] * count
        path = _chosen(self.steps, branch)
        if self.wildcard is None:
            return [self._parent(path).key] * count
        if not self.wildcard:
            return self._parent(path).children(start, count)
        if not isinstance(self.private, ExtendedPrivateKey):
            raise _needs_private(HARDENED + start)
        with self.private.derive(path) as parent:
            return parent.children_public(HARDENED + start, count)

    def taproot_column(self, branch: int, start: int, count: int) -> list[bytes] | None:
        """The output keys without script tree (BIP-86) in one sweep; ``None`` where that needs another way."""
        if self.wildcard != 0 or isinstance(self.key, bytes):
            return None
        return self._parent(_chosen(self.steps, branch)).children_taproot(start, count)

    def origin_at(self, branch: int, index: int) -> KeyOrigin:
        """Master fingerprint and path of the key at an index; a key without origin is its own master."""
        if isinstance(self.key, bytes):
            return self.origin or KeyOrigin(Fingerprint(hash160(self.key)[:4]), DerivationPath())
        home = self.origin or KeyOrigin(self.key.fingerprint, DerivationPath())
        last = () if self.wildcard is None else (self.wildcard + index,)
        return KeyOrigin(home.fingerprint, DerivationPath((*home.path.indexes, *_chosen(self.steps, branch), *last)))

    def at_branch(self, branch: int) -> KeyExpression:
        """The expression of one branch."""
        return replace(self, steps=_chosen(self.steps, branch)) if self.branches else self

    def public(self) -> KeyExpression:
        """The expression without its private key."""
        return replace(self, private=None)

    def normalized(self) -> KeyExpression:
        """The public expression whose hardened steps have become part of the origin (BIP-380)."""
        steps = self.steps
        hardened = max((place for place, step in enumerate(steps, 1) if _hardened(step)), default=0)
        if not hardened or self.wildcard == HARDENED or not isinstance(self.key, ExtendedPublicKey):
            return self.public()
        taken = tuple([step for step in steps[:hardened] if isinstance(step, int)])
        if len(taken) != hardened:
            raise InvalidInputError(
                "descriptor: a hardened multipath step has no public form: expand the descriptor first",
                code="input.descriptor",
            )
        home = self.origin or KeyOrigin(self.key.fingerprint, DerivationPath())
        origin = KeyOrigin(home.fingerprint, DerivationPath((*home.path.indexes, *taken)))
        return KeyExpression(self._parent(taken), origin, steps[hardened:], self.wildcard)

    def close(self) -> None:
        """Wipe the private key, if there is one."""
        if self.private is not None:
            self.private.wipe()


def _hardened(step: Step) -> bool:
    return step >= HARDENED if isinstance(step, int) else any(one >= HARDENED for one in step)


@dataclass(frozen=True, slots=True)
class MusigExpression:
    """``musig(KEY, …)``: the keys' aggregate (BIP-327, sorted), with unhardened steps below it (BIP-328)."""

    participants: tuple[KeyExpression, ...]
    steps: tuple[Step, ...] = ()
    wildcard: int | None = None
    x_only: bool = field(default=False, init=False)
    size: int = field(default=33, init=False)

    @property
    def branches(self) -> int | None:
        """How many alternatives it has, its participants' included; ``None`` without any."""
        own = _branches(self.steps)
        return own or next((one.branches for one in self.participants if one.branches), None)

    @property
    def ranged(self) -> bool:
        """Whether it stands for a series of keys."""
        return self.wildcard is not None or any(one.ranged for one in self.participants)

    @property
    def testnet(self) -> bool | None:
        """As of its first participant that tells."""
        return next((one.testnet for one in self.participants if one.testnet is not None), None)

    @property
    def single(self) -> tuple[KeyExpression, ...]:
        """The keys it is made of."""
        return self.participants

    def __str__(self) -> str:
        return self.write([str(one) for one in self.participants])

    def private_text(self) -> str:
        """Its text with the private keys, where there are any: keep it in a ``Secret``."""
        return self.write([one.private_text() for one in self.participants])

    def write(self, participants: Sequence[str]) -> str:
        """Its text around other texts of the participants."""
        return f"musig({','.join(participants)}){steps_text(self.steps, self.wildcard)}"

    def synthetic(self, branch: int = 0) -> ExtendedPublicKey:
        """The extended key below which its steps are derived (BIP-328); its participants have no wildcard."""
        key = aggregate_keys(sorted([one.column(branch, 0, 1)[0] for one in self.participants]))
        return ExtendedPublicKey(0, Fingerprint(bytes(4)), 0, _MUSIG_CHAIN_CODE, key, bool(self.testnet))

    def aggregate_at(self, branch: int, index: int) -> tuple[bytes, KeyOrigin]:
        """The participants' aggregate, 33 bytes, and where below it (BIP-328) the key at one place stands."""
        if self.steps or self.wildcard is not None:
            key = self.synthetic(branch).key
            steps = tuple(step for step in _chosen(self.steps, branch) if isinstance(step, int))
            steps += () if self.wildcard is None else (index,)
        else:
            key, steps = self.column(branch, index, 1)[0], ()
        return key, KeyOrigin(Fingerprint(hash160(key)[:4]), DerivationPath(steps))

    def column(self, branch: int, start: int, count: int) -> list[bytes]:
        """The aggregate keys of ``count`` indexes, 33 bytes each."""
        if self.steps or self.wildcard is not None:
            parent = _walk(self.synthetic(branch), _chosen(self.steps, branch))
            return [parent.key] * count if self.wildcard is None else parent.children(start, count)
        if not self.ranged:
            return [self.synthetic(branch).key] * count
        columns = [one.column(branch, start, count) for one in self.participants]
        return [aggregate_keys(sorted(keys)) for keys in zip(*columns, strict=True)]

    def taproot_column(self, branch: int, start: int, count: int) -> list[bytes] | None:
        """As of a single key."""
        if self.wildcard is None:
            return None
        return _walk(self.synthetic(branch), _chosen(self.steps, branch)).children_taproot(start, count)

    def at_branch(self, branch: int) -> MusigExpression:
        """The expression of one branch."""
        return replace(
            self,
            participants=tuple(one.at_branch(branch) for one in self.participants),
            steps=_chosen(self.steps, branch),
        )

    def public(self) -> MusigExpression:
        """The expression without its private keys."""
        return replace(self, participants=tuple(one.public() for one in self.participants))

    def normalized(self) -> MusigExpression:
        """The expression with normalized participants."""
        return replace(self, participants=tuple(one.normalized() for one in self.participants))


Key: TypeAlias = KeyExpression | MusigExpression
