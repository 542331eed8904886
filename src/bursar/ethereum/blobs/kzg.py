"""Polynomial commitments of blobs (KZG, EIP-4844 and EIP-7594): the only file that names ckzg."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from bursar.errors import InvalidInputError, MissingExtraError

# The outcome of the ceremony that mainnet uses, as eth-account ships it.
_SETUP: Final = "typed_transactions/blob_transactions/kzg_trusted_setup.txt"
_SETUP_HASH: Final = "d39b9f2d047cc9dca2de58f264b6a09448ccd34db967881a6713eacacf0f26b7"


def _missing(what: str) -> MissingExtraError:
    return MissingExtraError(f"blobs need {what}: install bursar[ethereum]", extra="ethereum")


def _library() -> Any:
    try:
        import ckzg
    except ImportError as error:
        raise _missing("the library ckzg") from error
    return ckzg


@cache
def _setup() -> Any:
    library = _library()
    spec = find_spec("eth_account")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    path = next((file for file in (Path(folder) / _SETUP for folder in folders) if file.is_file()), None)
    if path is None:
        raise _missing("the trusted setup of the library eth-account")
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SETUP_HASH:
        raise InvalidInputError(
            f"{path} is not the trusted setup of mainnet: reinstall eth-account", code="input.blob.setup"
        )
    return library.load_trusted_setup(str(path), 0)


def _call(name: str, *arguments: Any) -> Any:
    setup = _setup()
    try:
        return getattr(_library(), name)(*arguments, setup)
    except (RuntimeError, ValueError) as error:
        raise InvalidInputError(f"a blob, commitment or proof is not valid: {error}", code="input.blob") from error


def commit(blob: bytes) -> bytes:
    """The 48-byte commitment of a blob."""
    return bytes(_call("blob_to_kzg_commitment", blob))


def prove(blob: bytes, commitment: bytes) -> bytes:
    """The 48-byte proof of a blob under its commitment (EIP-4844)."""
    return bytes(_call("compute_blob_kzg_proof", blob, commitment))


def prove_cells(blob: bytes) -> tuple[bytes, ...]:
    """The 128 proofs of a blob's cells (EIP-7594)."""
    return tuple(map(bytes, _call("compute_cells_and_kzg_proofs", blob)[1]))


def verify_blobs(blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
    """Whether every proof of EIP-4844 holds."""
    return all(_call("verify_blob_kzg_proof", *one) for one in zip(blobs, commitments, proofs, strict=True))


def verify_cells(blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
    """Whether every cell proof of EIP-7594 holds, of all cells of all blobs."""
    cells = [cell for blob in blobs for cell in _call("compute_cells", blob)]
    each = len(cells) // len(blobs)
    repeated = [one for one in commitments for _ in range(each)]
    indexes = [index for _ in blobs for index in range(each)]
    return bool(_call("verify_cell_kzg_proof_batch", repeated, indexes, cells, list(proofs)))
