"""Blobs (EIP-4844, EIP-7594): eth-account as a second implementation, both network forms, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_sign_recoverable
from bursar.errors import InvalidInputError, MissingExtraError
from bursar.ethereum.address import Address
from bursar.ethereum.blobs import BlobSidecar, kzg
from bursar.ethereum.blobs.sidecar import BLOB_BYTES, check_blob
from bursar.ethereum.transaction import BLOB, SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.ethereum.validity import check_transaction

Make = Callable[..., UnsignedTransaction]
KEY = b"\x46" * 32
PAYEE = Address(b"\x35" * 20)
DATA = (b"\0" + b"\x05" * 31) * 4096  # one number, which makes cheap polynomials
NUMBER_OF_THE_FIELD = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


@pytest.fixture(scope="module")
def sidecars() -> tuple[BlobSidecar, BlobSidecar]:
    """The same blob with a proof, and with cell proofs."""
    return BlobSidecar.of([DATA], version=0), BlobSidecar.of([DATA])


@pytest.fixture(scope="module")
def signed(sidecars: tuple[BlobSidecar, BlobSidecar]) -> SignedTransaction:
    """A signed transaction that names the blob, without it."""
    tx = UnsignedTransaction(
        type=BLOB, chain_id=1, nonce=9, to=PAYEE, value=Wei(5), gas_limit=21_000, max_fee_per_gas=Wei(30),
        max_priority_fee_per_gas=Wei(1), max_fee_per_blob_gas=Wei(7),
        blob_versioned_hashes=sidecars[1].versioned_hashes,
    )  # fmt: skip
    return tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest()))


def test_the_network_form_is_that_of_eth_account(
    signed: SignedTransaction, sidecars: tuple[BlobSidecar, BlobSidecar]
) -> None:
    """The Keccak-256 of what eth-account 0.14 makes of the same fields and blob; to make it takes that library 15 s."""
    raw = signed.with_sidecar(sidecars[1]).network_bytes()
    assert keccak256(raw).hex() == "1b916a14f81fb6b285aec99077c1d8109bc4a2d189ee5057d5ea8ee99341977f"
    assert signed.unsigned.max_blob_fee == 7 << 17
    assert signed.unsigned.max_fee == 30 * 21_000 + (7 << 17)


def test_both_network_forms_are_read_back(signed: SignedTransaction, sidecars: tuple[BlobSidecar, BlobSidecar]) -> None:
    assert SignedTransaction.parse(signed.serialize()) == signed
    for sidecar in sidecars:
        whole = signed.with_sidecar(sidecar)
        again = SignedTransaction.parse(whole.network_bytes())
        assert again == whole
        assert (again.hash, again.serialize(), again.sender) == (signed.hash, signed.serialize(), signed.sender)
        sidecar.verify()
    assert SignedTransaction.from_json(whole.to_json()) == whole
    assert "131072" not in repr(sidecar)
    with pytest.raises(InvalidInputError, match="attach its sidecar"):
        signed.network_bytes()


def test_a_sidecar_of_other_blobs_is_refused(make: Make, sidecars: tuple[BlobSidecar, BlobSidecar]) -> None:
    with pytest.raises(InvalidInputError, match="does not hold the blobs"):
        make(BLOB).sign_with(EcdsaSignature(5, 5, 0)).with_sidecar(sidecars[0])
    with pytest.raises(InvalidInputError, match="does not hold the blobs"):
        SignedTransaction(make(), EcdsaSignature(5, 5, 0), sidecars[0])


def test_proofs_and_blobs_that_do_not_belong_together_are_found(sidecars: tuple[BlobSidecar, BlobSidecar]) -> None:
    one, cells = sidecars
    other = b"\0" * 31 + b"\x01" + DATA[32:]
    lost = (*cells.proofs[:-1], cells.commitments[0])
    wrong = (
        BlobSidecar((other,), one.commitments, one.proofs, 0),
        BlobSidecar((other,), cells.commitments, cells.proofs),
        BlobSidecar(one.blobs, one.commitments, (b"\x99" * 48,), 0),
        BlobSidecar(cells.blobs, cells.commitments, lost),
        BlobSidecar((b"\xff" * BLOB_BYTES,), cells.commitments, cells.proofs),
    )
    for sidecar in wrong:
        with pytest.raises(InvalidInputError) as caught:
            sidecar.verify()
        assert caught.value.code == "input.blob"


def test_network_forms_of_another_shape_are_refused(
    signed: SignedTransaction, sidecars: tuple[BlobSidecar, BlobSidecar]
) -> None:
    parts: Any = rlp.decode(signed.with_sidecar(sidecars[1]).network_bytes()[1:])
    tx, version, blobs, commitments, proofs = parts
    for wrong in (
        [tx, b"", blobs, commitments, proofs], [tx, b"\x02", blobs, commitments, proofs],
        [tx, blobs, commitments, proofs], [tx, version, blobs, commitments], [tx],
        [tx, version, blobs, commitments, proofs, []], [tx, version, [], [], []],
        [tx, version, blobs, commitments, proofs[:-1]], [tx, version, blobs, [commitments[0][:-1]], proofs],
        [tx, version, [blobs[0][:-1]], commitments, proofs], [tx, version, blobs[0], commitments, proofs],
        [tx, version, blobs, [b"\x01" * 48], proofs], [tx[:-1], version, blobs, commitments, proofs],
        [tx, version, blobs * 7, commitments * 7, proofs * 7], [[*tx, b""], version, blobs, commitments, proofs],
        [[], version, blobs, commitments, proofs],
    ):  # fmt: skip
        with pytest.raises(InvalidInputError):
            SignedTransaction.parse(b"\x03" + rlp.encode(wrong))
    with pytest.raises(InvalidInputError, match="more than"):
        SignedTransaction.parse(b"\x03" + bytes(1 << 20))


@pytest.mark.parametrize(
    "change",
    [{"blob_versioned_hashes": ()}, {"blob_versioned_hashes": [b"\x01" * 32]},
     {"blob_versioned_hashes": (b"\x01" * 31,)}, {"blob_versioned_hashes": (b"\x02" * 32,)},
     {"blob_versioned_hashes": ("01" * 16,)}, {"max_fee_per_blob_gas": None},
     {"max_fee_per_blob_gas": -1}, {"max_fee_per_blob_gas": 2**240}, {"max_fee_per_blob_gas": True}, {"to": None},
     {"type": 2}, {"gas_price": Wei(1)}, {"max_priority_fee_per_gas": Wei(2**64)}],
)  # fmt: skip
def test_blob_fields_out_of_range_are_refused(make: Make, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        make(BLOB, **change)


def test_more_blobs_than_a_transaction_may_have_are_not_signed(make: Make) -> None:
    check_transaction(make(BLOB, blob_versioned_hashes=(b"\x01" * 32,) * 6))
    with pytest.raises(InvalidInputError, match="7 blobs"):
        check_transaction(make(BLOB, blob_versioned_hashes=(b"\x01" * 32,) * 7))


@pytest.mark.parametrize(
    "fields",
    [((), (), (), 1), ((DATA,), (), (), 1), ((DATA,), (b"\xc0" * 48,), (b"\xc0" * 48,), 1),
     ((DATA,), (b"\xc0" * 48,), (b"\xc0" * 48,) * 128, 0), ((DATA,), (b"\xc0" * 47,), (b"\xc0" * 48,), 0),
     ((DATA[1:],), (b"\xc0" * 48,), (b"\xc0" * 48,), 0), ((DATA,), (b"\xc0" * 48,), (b"\xc0" * 48,), 2),
     ((DATA,), (b"\xc0" * 48,), (b"\xc0" * 48,), False)],
)  # fmt: skip
def test_sidecars_of_another_shape_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidInputError):
        BlobSidecar(*fields)


def test_numbers_of_a_blob_are_below_the_order_of_the_field() -> None:
    for number, fits in ((NUMBER_OF_THE_FIELD - 1, True), (NUMBER_OF_THE_FIELD, False), (2**256 - 1, False)):
        blob = DATA[:-32] + number.to_bytes(32, "big")
        if fits:
            check_blob(blob)
        else:
            with pytest.raises(InvalidInputError, match="number 4095"):
                check_blob(blob)
    for wrong in (DATA[:-1], bytearray(DATA), b""):
        with pytest.raises(InvalidInputError):
            BlobSidecar.of([wrong])  # type: ignore[list-item]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ckzg", None)
    with pytest.raises(MissingExtraError, match="ckzg"):
        kzg.commit(DATA)
    monkeypatch.undo()
    monkeypatch.setattr(kzg, "find_spec", lambda name: None)
    kzg._setup.cache_clear()
    with pytest.raises(MissingExtraError, match="trusted setup"):
        kzg.commit(DATA)
