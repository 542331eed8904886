"""The sidecar of a type 3 transaction: blobs, commitments, and proofs (EIP-4844) or cell proofs (EIP-7594)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from bursar.crypto import rlp
from bursar.crypto.hashes import sha256
from bursar.errors import InvalidInputError
from bursar.ethereum.payload import integer, malformed, read_integer, read_string, string, wrapped
from bursar.ethereum.transaction.kinds import MAX_BLOBS

if TYPE_CHECKING:
    from bursar.crypto.rlp import Decoded

BLOB_BYTES: Final = 131_072
CELLS: Final = 128  # of one blob, each with a proof of its own
POINT_BYTES: Final = 48
_FIELD_ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001  # of BLS12-381


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.blob")


def versioned_hash(commitment: bytes) -> bytes:
    """The 32 bytes by which a transaction names a blob: 01 and 31 bytes of the SHA-256 of its commitment."""
    return b"\x01" + sha256(commitment)[1:]


@dataclass(frozen=True, slots=True, repr=False)
class BlobSidecar:
    """1 to 6 blobs of 131,072 bytes (4,096 numbers of 32 bytes below the order of BLS12-381), each with a commitment.

    ``version`` 1, which networks ask for since EIP-7594, has 128 proofs for each blob, one for each cell; version 0
    has one. :meth:`of` makes commitments and proofs, :meth:`verify` checks them, both through ckzg.
    """

    blobs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    proofs: tuple[bytes, ...]
    version: int = 1
    versioned_hashes: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        if type(self.version) is not int or self.version not in (0, 1):
            raise _invalid("the version of a sidecar is 1 (cell proofs) or 0 (one proof for each blob)")
        count = len(self.blobs)
        if not 1 <= count <= MAX_BLOBS:
            raise _invalid(f"a sidecar has 1 to {MAX_BLOBS} blobs, not {count}")
        if any(type(one) is not bytes or len(one) != BLOB_BYTES for one in self.blobs):
            raise _invalid(f"a blob has {BLOB_BYTES} bytes")
        proofs = count * CELLS if self.version else count
        if len(self.commitments) != count or len(self.proofs) != proofs:
            raise _invalid(f"{count} blobs have {count} commitments and, in version {self.version}, {proofs} proofs")
        if any(type(one) is not bytes or len(one) != POINT_BYTES for one in (*self.commitments, *self.proofs)):
            raise _invalid(f"commitments and proofs have {POINT_BYTES} bytes each")
        object.__setattr__(self, "versioned_hashes", tuple(map(versioned_hash, self.commitments)))

    @classmethod
    def of(cls, blobs: Sequence[bytes], *, version: int = 1) -> Self:
        """The sidecar of ``blobs``, commitments and proofs computed in 0.3 s a blob, after 1.5 s for the setup.

        ``MissingExtraError`` without ckzg; ``InvalidInputError`` (``input.blob``) for a number out of the field.
        """
        from bursar.ethereum.blobs.kzg import commit, prove, prove_cells

        for one in blobs:
            check_blob(one)
        commitments = tuple(commit(one) for one in blobs)
        pairs = zip(blobs, commitments, strict=True)
        if version:
            proofs = tuple(proof for one in blobs for proof in prove_cells(one))
        else:
            proofs = tuple(prove(one, commitment) for one, commitment in pairs)
        return cls(tuple(blobs), commitments, proofs, version)

    def verify(self) -> None:
        """InvalidInputError (``input.blob``) unless every proof holds for its blob; returns nothing."""
        from bursar.ethereum.blobs.kzg import verify_blobs, verify_cells

        for one in self.blobs:
            check_blob(one)
        if not (verify_cells if self.version else verify_blobs)(self.blobs, self.commitments, self.proofs):
            raise _invalid("a proof of the sidecar does not hold: its blobs are not those of its commitments")

    def encode(self) -> bytes:
        """The RLP items that follow the transaction in its network form."""
        parts = (self.blobs, self.commitments, self.proofs)
        version = integer(self.version) if self.version else b""
        return version + b"".join([wrapped(b"".join(map(string, part))) for part in parts])

    def __repr__(self) -> str:
        return f"BlobSidecar({len(self.blobs)} blobs, version {self.version})"


def check_blob(blob: bytes) -> None:
    """InvalidInputError unless ``blob`` is 131,072 bytes of numbers below the order of BLS12-381's scalars."""
    if type(blob) is not bytes or len(blob) != BLOB_BYTES:
        raise _invalid(f"a blob has {BLOB_BYTES} bytes")
    top = _FIELD_ORDER >> 248
    for start in range(0, BLOB_BYTES, 32):
        if blob[start] >= top and int.from_bytes(blob[start : start + 32], "big") >= _FIELD_ORDER:
            raise _invalid(
                f"number {start // 32} of the blob is not below the order of BLS12-381: put 31 bytes in each"
            )


def split_network_form(data: bytes, *, names: tuple[str, ...]) -> tuple[dict[str, Decoded], BlobSidecar]:
    """The transaction's items by name and the sidecar of a network form, without its type byte."""
    parts = rlp.decode(data)
    if not isinstance(parts, list) or len(parts) not in (4, 5) or not isinstance(parts[0], list):
        raise malformed("a type 3 transaction travels as a list: itself, the version, blobs, commitments and proofs")
    version = 0
    if len(parts) == 5:
        version = read_integer(parts[1], name="the sidecar's version")
        if version != 1:
            raise malformed(f"a sidecar's version is 1 or not written, this is {version}")
    items = parts[0]
    if len(items) != len(names):
        raise malformed(f"{len(names)} fields are expected, {len(items)} were found")
    lists: list[tuple[bytes, ...]] = []
    for part, name in zip(parts[-3:], ("blobs", "commitments", "proofs"), strict=True):
        if not isinstance(part, list):
            raise malformed(f"the {name} of a sidecar are a list")
        lists.append(tuple(read_string(one, name=f"one of the {name}") for one in part))
    return dict(zip(names, items, strict=True)), BlobSidecar(lists[0], lists[1], lists[2], version)
