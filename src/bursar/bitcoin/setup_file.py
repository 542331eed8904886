"""Multisig set-up files (BIP-129, "BSMS 1.0"): key records with their signatures, descriptor records."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from bursar.bitcoin import script as scripts
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor_checksum import add_checksum, strip_checksum
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import KeyExpression, steps_text
from bursar.bitcoin.message import verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.setup_token import LARGEST_RECORD, SetupToken
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.bitcoin.descriptors.keys import Key

VERSION: Final = "BSMS 1.0"
NO_RESTRICTIONS: Final = "No path restrictions"
_MOST_DESCRIPTION: Final = 80
_MOST_PATHS: Final = 256
_PATH: Final = re.compile(r"(?:/(?:0|[1-9][0-9]{0,9}))*(?:/\*)?")
_ORIGIN: Final = re.compile(r"\[[^\[\]]*\]")
_NETWORKS: Final = (Network.MAIN, Network.TESTNET, Network.REGTEST)


def _invalid(reason: str, code: str = "input.setup-file") -> InvalidInputError:
    return InvalidInputError(f"this set-up record cannot be used: {reason}", code=code)


def _lines(text: str, count: int, name: str) -> list[str]:
    if not isinstance(text, str) or len(text) > LARGEST_RECORD:
        raise _invalid(f"a record has at most {LARGEST_RECORD} characters")
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if lines[0] != VERSION:
        raise _invalid(f"it begins with {lines[0][:20]!r}: only {VERSION} is understood")
    if len(lines) != count:
        raise _invalid(f"a {name} has {count} lines, this has {len(lines)}")
    if not all(line.isprintable() for line in lines):
        raise _invalid("it holds control characters")
    return lines


def _quoted(text: str) -> str:
    """Hardened steps with ' as in the standard's examples: some signers read nothing else."""
    return _ORIGIN.sub(lambda match: match[0].replace("h", "'"), text)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a signer gives the coordinator: its key with origin, a description, and its signature over both.

    ``written`` is the key as the record writes it, for that is what was signed. ``signature`` is base64, a message
    signature by the very key; ``None`` before it was made.
    """

    token: SetupToken
    written: str
    description: str
    signature: str | None = None
    key: KeyExpression = field(init=False, compare=False)

    def __post_init__(self) -> None:
        key = Descriptor.parse(f"pkh({self.written})").keys[0] if "(" not in self.written else None
        if key is None or key.origin is None or key.steps or key.wildcard is not None or key.private is not None:
            raise _invalid("its key is a public key or xpub with its origin before it and nothing behind it")
        if key.size != 33:
            raise _invalid("its key is compressed: 33 bytes")
        if isinstance(key.key, ExtendedPublicKey) and key.key.depth != len(key.origin.path.indexes):
            raise _invalid("its xpub is not the one at the path before it: the depths differ")
        text = self.description
        if not isinstance(text, str) or len(text) > _MOST_DESCRIPTION or not text.isprintable():
            raise _invalid(f"its description is one line of at most {_MOST_DESCRIPTION} characters")
        object.__setattr__(self, "key", key)

    @classmethod
    def of(cls, token: SetupToken, key: KeyExpression, description: str) -> KeyRecord:
        """An unsigned record."""
        return cls(token, _quoted(str(key)), description)

    @property
    def public_key(self) -> bytes:
        """The key that signs the record, 33 bytes."""
        return self.key.key if isinstance(self.key.key, bytes) else self.key.key.key

    @property
    def message(self) -> str:
        """The four lines that are signed."""
        return "\n".join((VERSION, self.token.hex(), self.written, self.description))

    def signed(self, sign: Callable[[bytes], str]) -> KeyRecord:
        """The record with the signature that ``sign`` makes of the message's bytes, verified."""
        record = replace(self, signature=sign(self.message.encode()))
        record.verify()
        return record

    def verify(self) -> None:
        """Raise ``InvalidSignatureError`` unless the record's own key signed it."""
        if self.signature is None:
            raise InvalidSignatureError("the key record is not signed: whoever carried it may have changed it")
        network = Network.TESTNET if self.key.testnet else Network.MAIN
        address = Address.from_script(scripts.p2pkh(hash160(self.public_key)), network)
        verify_message(address, self.message.encode(), self.signature)

    def __str__(self) -> str:
        if self.signature is None:
            raise _invalid("it is not signed yet")
        return f"{self.message}\n{self.signature}"

    @classmethod
    def parse(cls, text: str, *, token: SetupToken | None = None) -> KeyRecord:
        """Read and verify a record; ``token`` is the session's, if it is known.

        ``InvalidInputError`` (``input.setup-file``, ``input.setup-file.token``) or ``InvalidSignatureError``.
        """
        _, found, key, description, signature = _lines(text, 5, "key record")
        if found != found.lower() or len(found) not in (2, 16, 32):
            raise _invalid("its token is 2, 16 or 32 hex digits in lower case", "input.setup-file.token")
        own = SetupToken.from_text(found)
        if token is not None and token != own:
            raise _invalid("it was made for another session: its token differs", "input.setup-file.token")
        record = cls(own, key, description, signature)
        record.verify()
        return record


@dataclass(frozen=True, slots=True)
class DescriptorRecord:
    """What the coordinator gives back: the descriptor, the branches it may be used with, the first address.

    ``descriptor`` has one branch for each path restriction, in their order: ``/<0;1>/*`` for ``/0/*,/1/*``. The first
    address is that of its branch 0 at index 0; it was compared when the record was read. Signers compare it with each
    other, on their own screens.
    """

    network: Network
    descriptor: Descriptor

    def __post_init__(self) -> None:
        if self.descriptor.private:
            raise _invalid("it holds a private key")
        if not self.descriptor.keys:
            raise _invalid("it holds no key")

    @property
    def first_address(self) -> Address:
        """Branch 0, index 0."""
        return self.descriptor.address(self.network)

    @property
    def paths(self) -> tuple[str, ...]:
        """The path restrictions, ``/0/*`` and so on; none where the keys are fixed or derived in ways of their own."""
        ways = {
            tuple(steps_text(one.steps, one.wildcard) for one in _branches(key)) for key in self.descriptor.node.keys
        }
        way = ways.pop() if len(ways) == 1 else ()
        return way if all(_PATH.fullmatch(path) and path for path in way) else ()

    def positions(self, key: KeyExpression) -> tuple[int, ...]:
        """Where a signer's key stands in the descriptor, from 0: the exact key with its exact origin.

        ``InvalidInputError`` (``input.setup-file.key``) if it stands nowhere, or its fingerprint before another key.
        """
        places = tuple(
            n for n, one in enumerate(self.descriptor.keys) if (one.key, one.origin) == (key.key, key.origin)
        )
        if not places:
            claimed = any(one.origin == key.origin or one.key == key.key for one in self.descriptor.keys)
            raise _invalid(
                "your key stands in it with another origin, or another key with yours: do not use it"
                if claimed
                else "your key does not stand in it",
                "input.setup-file.key",
            )
        return places

    def check_key_records(self, records: tuple[KeyRecord, ...]) -> None:
        """Raise unless the descriptor holds the keys of exactly these records."""
        for record in records:
            self.positions(record.key)
        if len({one.public_key for one in records}) != len(self.descriptor.keys):
            raise _invalid(
                f"it holds {len(self.descriptor.keys)} keys, and {len(records)} key records are at hand",
                "input.setup-file.key",
            )

    def __str__(self) -> str:
        paths = self.paths
        if not paths:
            if self.descriptor.branches != 1:
                raise _invalid("its keys are not all derived alike: path restrictions cannot say that")
            text = add_checksum(_quoted(self.descriptor.bare))
            return "\n".join((VERSION, text, NO_RESTRICTIONS, str(self.first_address)))
        template = _quoted(self.descriptor.node.text(_as_template))
        return "\n".join((VERSION, template, ",".join(paths), str(self.first_address)))

    @classmethod
    def parse(cls, text: str, *, network: Network | None = None) -> DescriptorRecord:
        """Read a record and compare its first address; ``network`` where signet and regtest cannot be told otherwise.

        ``InvalidInputError``: ``input.setup-file.address`` where the address is not the descriptor's,
        ``input.setup-file`` and ``input.descriptor`` for anything else.
        """
        _, template, restrictions, first = _lines(text, 4, "descriptor record")
        record_descriptor = _descriptor(template, restrictions)
        network = network or _network(record_descriptor, first)
        record = cls(network, record_descriptor)
        if Address.from_text(first, network) != record.first_address:
            raise _invalid(
                f"its first address is {first}, but the descriptor's is {record.first_address}: somebody changed it, "
                "or it was not made for all signers alike",
                "input.setup-file.address",
            )
        return record


def _branches(key: Key) -> list[Key]:
    return [key.at_branch(branch) for branch in range(key.branches or 1)]


def _as_template(key: Key) -> str:
    written = str(key)
    return f"{written.removesuffix(steps_text(key.steps, key.wildcard))}/**"


def _network(descriptor: Descriptor, first: str) -> Network:
    candidates = [one for one in _NETWORKS if descriptor.testnet in (None, one.testnet)]
    for network in candidates[:-1]:
        try:
            Address.from_text(first, network)
        except InvalidInputError:
            continue
        return network
    return candidates[-1]


def _descriptor(template: str, restrictions: str) -> Descriptor:
    bare = strip_checksum(template, required=False)
    if restrictions == NO_RESTRICTIONS:
        if "/**" in bare:
            raise _invalid("its descriptor is a template, and no path restrictions say what /** stands for")
        return Descriptor.parse(bare)
    paths = restrictions.split(",")
    if len(paths) > _MOST_PATHS or len(set(paths)) != len(paths):
        raise _invalid(f"its path restrictions are at most {_MOST_PATHS}, all different")
    for path in paths:
        if not path or not _PATH.fullmatch(path) or any(int(step) >= HARDENED for step in _steps(path)):
            raise _invalid(f"{path[:40]!r} is not a path restriction such as /0/*, without hardened steps")
    if "/**" not in bare:
        found = Descriptor.parse(bare)
        if DescriptorRecord(_any_network(found), found).paths != tuple(paths):
            raise _invalid("its descriptor is no template, and its own paths are not those of the restrictions")
        return found
    return Descriptor.parse(bare.replace("/**", _multipath(paths)))


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/")[1:] if step != "*"]


def _any_network(descriptor: Descriptor) -> Network:
    return Network.TESTNET if descriptor.testnet else Network.MAIN


def _multipath(paths: list[str]) -> str:
    """One path with a multipath step (BIP-389) for several that differ in one step."""
    if len(paths) == 1:
        return paths[0]
    columns = list(zip(*[path.split("/") for path in paths], strict=False))
    differing = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    lengths = {path.count("/") for path in paths}
    if len(lengths) != 1 or len(differing) != 1 or "*" in columns[differing[0]]:
        raise _invalid("its path restrictions differ in more than one step, which no descriptor can express")
    place = differing[0]
    columns[place] = (f"<{';'.join(columns[place])}>",)
    return "/".join([column[0] for column in columns])
