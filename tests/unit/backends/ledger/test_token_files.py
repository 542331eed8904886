"""A folder of token descriptors: what is there is found and verified, what is damaged is refused."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

import pytest
from ecdsa import SECP256k1, SigningKey
from ecdsa.util import sigencode_der
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.ledger.token_files import TokenFolder
from bursar.crypto.hashes import sha256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address

VENDOR = SigningKey.from_secret_exponent(7, SECP256k1)
PUBLIC = VENDOR.get_verifying_key().to_string("uncompressed")


def entry(ticker: str, contract: bytes, decimals: int = 6, chain_id: int = 1) -> bytes:
    fields = ticker.encode() + contract + decimals.to_bytes(4, "big") + chain_id.to_bytes(4, "big")
    data = bytes((len(ticker),)) + fields + VENDOR.sign_digest(sha256(fields), sigencode=sigencode_der)
    return len(data).to_bytes(4, "big") + data


def folder(root: Path, data: bytes, *, quoted: bool = True) -> TokenFolder:
    path = root / "evm" / "1" / "erc20-signatures.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = base64.b64encode(data)
    path.write_bytes(b'"' + text + b'"\n' if quoted else text)
    return TokenFolder(root, signer=PUBLIC)


ONE, TWO = b"\x11" * 20, b"\x22" * 20
BOTH = entry("USDX", ONE) + entry("EURX", TWO, 18)


@pytest.mark.parametrize("quoted", [True, False])
def test_a_token_is_found_by_chain_and_contract(tmp_path: Path, quoted: bool) -> None:
    source = folder(tmp_path, BOTH, quoted=quoted)
    found = source(1, Address(TWO))
    assert found is not None
    assert (found.ticker, found.decimals, found.chain_id) == ("EURX", 18, 1)
    assert source(1, Address(b"\x33" * 20)) is None
    assert source(10, Address(TWO)) is None


def test_what_the_vendor_did_not_sign_is_refused(tmp_path: Path) -> None:
    source = folder(tmp_path, BOTH.replace(b"USDX", b"USDT"))
    with pytest.raises(InvalidInputError, match="does not verify"):
        source(1, Address(ONE))
    assert source(1, Address(TWO)) is not None
    with pytest.raises(InvalidInputError, match="does not verify"):
        TokenFolder(tmp_path)(1, Address(TWO))  # signed, and not by the vendor


@settings(max_examples=30)
@given(data=st.binary(max_size=60), cut=st.integers(1, 40))
def test_a_damaged_file_is_a_typed_error(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int) -> None:
    root = tmp_path_factory.mktemp("tokens")
    with pytest.raises(InvalidInputError) as caught:
        folder(root, BOTH[:-cut])(1, Address(TWO))
    assert caught.value.code == "input.token"
    with suppress(InvalidInputError):
        assert folder(root, data)(1, Address(ONE)) is None
    path = root / "evm" / "1" / "erc20-signatures.json"
    path.write_bytes(b'"' + data + b'\xff"')
    with pytest.raises(InvalidInputError, match="not base64"):
        TokenFolder(root)(1, Address(ONE))
