"""Remote signers: what is asked and taken, and every way in which an answer can be another one's (S2)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bursar.backends.remote import RemoteBackend, RemotePlace
from bursar.backends.remote import channel as channel_module
from bursar.crypto.curve import ORDER
from bursar.errors import (
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    SignerNotFoundError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.authorization import Authorization
from bursar.ethereum.transaction import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE, SignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_personal_message, request_transaction, request_typed_data
from bursar.signing.protocols import EthereumSigner, PersonalMessageSigner, Signer, TypedDataSigner

ROOT = DerivationPath()
KINDS = ("web3signer", "clef", "socket")
OTHER = Address(b"\x99" * 20)
ENTRY = AccessListEntry(OTHER, (b"\x07" * 32,))
MAIL = TypedData.of(
    {"EIP712Domain": [("chainId", "uint256")], "Mail": [("text", "string"), ("many", "uint256[]")]},
    "Mail",
    {"chainId": 31337},
    {"text": "grüezi", "many": [0, 2**256 - 1]},
)


def misbehaves(ask: Callable[[], Any], match: str | None = None) -> None:
    with pytest.raises(SignerMisbehavedError, match=match):
        ask()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_signed_and_accepted(bench: Any, kind: str) -> None:
    bench.serve(kind)
    (info,) = bench.backend.discover()
    assert (info.trouble, info.label, info.fingerprint) == (None, "there", None)
    assert info.model == ("web3signer" if kind == "web3signer" else "clef 6.1.0")
    signer = bench.open()
    for protocol in (Signer, EthereumSigner, PersonalMessageSigner, TypedDataSigner):
        assert isinstance(signer, protocol)
    plain = [bench.make(LEGACY), bench.make(FEE_MARKET), bench.make(BLOB), bench.make(FEE_MARKET, to=None)]
    more = [bench.make(ACCESS_LIST, access_list=(ENTRY,)), bench.make(FEE_MARKET, access_list=(ENTRY,))]
    for tx in plain if kind == "web3signer" else plain + more:
        assert request_transaction(signer, ROOT, tx, sender=bench.holder).unsigned == tx
    for message in (b"", b"hello", bytes(range(256))):
        request_personal_message(signer, ROOT, message, sender=bench.holder)
    request_typed_data(signer, ROOT, MAIL, sender=bench.holder, chain_id=31337)
    assert bool(bench.human.told) == (kind != "web3signer")
    assert bench.backend.accounts(RemotePlace.load(Path(info.location))) == (bench.holder,)


def test_what_web3signer_would_leave_out_is_not_asked(bench: Any) -> None:
    fake = bench.serve("web3signer")
    signer = bench.open()
    delegated = Authorization(31337, OTHER, 10).sign_with(SignedTransaction.parse(_raw(bench, signer)).signature)
    set_code = bench.make(SET_CODE, authorization_list=(delegated,), gas_limit=90_000)
    fake.asked.clear()
    wrong = [bench.make(ACCESS_LIST), bench.make(FEE_MARKET, access_list=(ENTRY,)), set_code]
    for tx in wrong:
        with pytest.raises(UnsupportedError):
            signer.sign_transaction(ROOT, tx)
    assert not fake.asked
    bench.serve("clef")
    with pytest.raises(UnsupportedError):
        bench.open().sign_transaction(ROOT, set_code)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bool[]", [True]), ("bytes4[]", [b"abcd"]), ("uint8[2][]", [[1, 2]]), ("bytes31[1]", [bytes(31)])],
)
def test_typed_data_that_web3signer_hashes_otherwise_is_not_asked(bench: Any, kind: str, value: Any) -> None:
    typed = TypedData.of(
        {"EIP712Domain": [("chainId", "uint256")], "Odd": [("items", kind)]},
        "Odd",
        {"chainId": 31337},
        {"items": value},
    )
    fake = bench.serve("web3signer")
    with pytest.raises(UnsupportedError, match="otherwise than EIP-712"):
        bench.open().sign_typed_data(ROOT, typed)
    assert not fake.asked
    bench.serve("clef")
    request_typed_data(bench.open(), ROOT, typed, sender=bench.holder, chain_id=31337)


def _raw(bench: Any, signer: Any) -> bytes:
    tx = bench.make()
    return tx.sign_with(signer.sign_transaction(ROOT, tx)).serialize()


BENT: list[dict[str, Any]] = [
    {"to": OTHER}, {"to": None}, {"value": Wei(10**18 + 1)}, {"nonce": 10}, {"gas_limit": 60_001}, {"data": b"\x01"},
    {"chain_id": 1}, {"max_fee_per_gas": Wei(31 * 10**9)}, {"max_priority_fee_per_gas": Wei(1)},
    {"access_list": (ENTRY,)},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["web3signer", "clef"])
def test_s2_another_transaction_than_was_asked(bench: Any, kind: str) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    for bent in BENT:
        fake.bend = lambda tx, bent=bent: _changed(tx, bent)
        misbehaves(lambda: signer.sign_transaction(ROOT, bench.make()), next(iter(bent)))
    fake.bend = lambda _: bench.make(LEGACY)
    misbehaves(lambda: signer.sign_transaction(ROOT, bench.make()), "type is 0")
    fake.bend = lambda _: bench.make(BLOB, blob_versioned_hashes=(b"\x01" * 32, b"\x01" + b"\x02" * 31))
    misbehaves(lambda: signer.sign_transaction(ROOT, bench.make(BLOB)), "blob_versioned_hashes")


def _changed(tx: Any, changes: dict[str, Any]) -> Any:
    names = [one.name for one in dataclasses.fields(tx) if one.init]
    return type(tx)(**{**{name: getattr(tx, name) for name in names}, **changes})


def test_s2_access_lists_dropped_or_swapped(bench: Any) -> None:
    fake = bench.serve("clef")
    signer = bench.open()
    for left in ((), (AccessListEntry(OTHER, ()),)):
        fake.bend = lambda tx, left=left: _changed(tx, {"access_list": left})
        misbehaves(lambda: signer.sign_transaction(ROOT, bench.make(access_list=(ENTRY,))), "access_list")


@pytest.mark.parametrize("kind", KINDS)
def test_s2_another_key(bench: Any, kind: str) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    fake.key = b"\x24" * 32
    misbehaves(lambda: signer.sign_transaction(ROOT, bench.make()), "key of")
    misbehaves(lambda: signer.sign_personal_message(ROOT, b"hello"))
    misbehaves(lambda: signer.sign_typed_data(ROOT, MAIL))
    if kind == "web3signer":
        with pytest.raises(SignerNotFoundError, match="and not"):
            bench.open()


def test_s2_a_legacy_signature_without_its_chain(bench: Any) -> None:
    fake = bench.serve("web3signer")
    signer = bench.open()
    tx = bench.make(LEGACY)
    signature = signer.sign_transaction(ROOT, tx)
    from bursar.crypto import rlp

    items = rlp.decode(tx.sign_with(signature).serialize())
    assert isinstance(items, list)
    for v in (27 + (signature.y_parity or 0), 35 + 2 * 1 + (signature.y_parity or 0), 0, 2**70):
        raw = rlp.encode([*items[:6], v.to_bytes(9, "big").lstrip(b"\0"), *items[7:]])
        fake.result = lambda _, __, raw=raw: "0x" + raw.hex()
        misbehaves(lambda: signer.sign_transaction(ROOT, tx))


def test_s2_malleable_and_broken_signatures(bench: Any) -> None:
    fake = bench.serve("web3signer")
    signer = bench.open()
    good = signer.sign_personal_message(ROOT, b"hello")
    high = f"0x{good.r:064x}{ORDER - good.s:064x}{28 - (good.y_parity or 0):02x}"
    for wrong in (high, "0x", "0x" + "00" * 65, "0x" + "11" * 64, "0x" + "zz" * 65, None, 5, ["0x"], {}):
        fake.result = lambda _, __, wrong=wrong: wrong
        misbehaves(lambda: signer.sign_personal_message(ROOT, b"hello"))
        misbehaves(lambda: signer.sign_typed_data(ROOT, MAIL))
        misbehaves(lambda: signer.sign_transaction(ROOT, bench.make()))


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_replies(bench: Any, kind: str) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    wrong = [
        b"5", b"[]", b"{", b"\xff", b"null", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":999,"result":"0x"}',
        b'{"jsonrpc":"1.0","id":1,"result":"0x"}', b'{"jsonrpc":"2.0","id":1,"id":1,"result":"0x"}', b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"error":5}', b'{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":1}}',
        b'{"jsonrpc":"2.0","id":1,"result":NaN}', b'{"jsonrpc":"2.0","id":1,"result":' + b"9" * 500 + b"}",
        b'{"jsonrpc":"2.0","id":true,"result":"0x"}',
        b'{"jsonrpc":"2.0","id":1,"result":"0x","error":{"code":1,"message":""}}',
    ]  # fmt: skip
    for body in wrong:
        fake.reply = lambda _, body=body: body + b"\n"
        misbehaves(lambda: signer.sign_transaction(ROOT, bench.make()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_is_cut_off(bench: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "MOST_BYTES", 10_000)
    fake = bench.serve(kind)
    signer = bench.open()
    fake.reply = lambda _: b'{"' + b"x" * 20_000
    misbehaves(lambda: signer.sign_personal_message(ROOT, b""), "longer than")


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_takes_too_long_or_hangs_up(bench: Any, kind: str) -> None:
    import threading

    released = threading.Event()
    fake = bench.serve(kind, timeout=1)
    signer = bench.open()
    signer._seconds = 0.15

    def wait(body: bytes) -> bytes:
        released.wait(5)
        return body

    fake.reply = wait
    with pytest.raises(SignerUnavailableError, match="longer than"):
        signer.sign_transaction(ROOT, bench.make())
    released.set()
    for face in bench.faces:
        face.close()
    with pytest.raises(SignerUnavailableError):
        signer.sign_transaction(ROOT, bench.make())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        (-32000, "Request denied", UserCancelledError),
        (-32000, "No unlocked account matches the Sender", SignerNotFoundError),
        (-32000, "unknown account", SignerNotFoundError),
        (-32601, "the method does not exist/is not available", UnsupportedError),
        (-32602, "Invalid params \x1b[31m" + "x" * 500, SignerError),
    ],
)
def test_refusals_are_told_apart(bench: Any, kind: str, code: int, message: str, error: type[SignerError]) -> None:
    fake = bench.serve(kind)
    signer = bench.open()
    fake.result = bench.refusal(code, message)
    with pytest.raises(error) as caught:
        signer.sign_typed_data(ROOT, MAIL)
    assert type(caught.value) is error
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (302, SignerError, "signer.remote"), (404, SignerError, "signer.remote"),
        (403, SignerUnavailableError, "signer.permission"), (503, SignerUnavailableError, "signer.unavailable"),
    ],
)  # fmt: skip
def test_http_that_is_no_answer(bench: Any, status: int, error: type[SignerError], code: str) -> None:
    fake = bench.serve("web3signer")
    signer = bench.open()
    fake.status = status
    fake.reply = lambda _: b"<html>"
    with pytest.raises(error) as caught:
        signer.sign_transaction(ROOT, bench.make())
    assert caught.value.code == code
    (info,) = bench.backend.discover()
    assert (info.trouble is not None, info.trouble_code) == (True, code)


def test_an_account_of_one_address_is_signed_for(bench: Any) -> None:
    bench.serve("web3signer")
    account = AddressAccount(bench.chain, bench.holder)
    tx = bench.make()
    signed = request_transaction(bench.open(), account.path(0), tx, sender=account.address(0))
    assert signed.sender == bench.holder


def test_one_key_at_one_path(bench: Any) -> None:
    path = DerivationPath.from_text("m/44h/60h/0h/0/0")
    bench.serve("web3signer", path=str(path))
    signer = bench.open()
    assert (signer.address, signer.path) == (bench.holder, path)
    request_transaction(signer, path, bench.make(), sender=bench.holder)
    with pytest.raises(InvalidInputError, match="has one key"):
        signer.sign_transaction(ROOT, bench.make())
    with pytest.raises(UnsupportedError):
        signer.xpub(path)
    signer.close()
    with pytest.raises(SignerUnavailableError, match="closed"):
        signer.sign_transaction(path, bench.make())


def test_another_version_of_clef_is_refused(bench: Any) -> None:
    fake = bench.serve("clef")
    fake.result = lambda _, __: "7.0.0"
    (info,) = bench.backend.discover()
    assert "7.0.0" in info.trouble
    with pytest.raises(UnsupportedError):
        bench.backend.open(info, bench.human)
    for version in ("six", 6, None):
        fake.result = lambda _, __, version=version: version
        misbehaves(lambda: bench.backend.open(info, bench.human))


@pytest.mark.parametrize("keys", [5, ["0x00"], [None], ["0x" + "00" * 65]])
def test_public_keys_that_are_none(bench: Any, keys: Any) -> None:
    fake = bench.serve("web3signer")
    fake.reply = lambda _: json.dumps(keys).encode()
    misbehaves(bench.open)


def _fingerprint(pem: Path) -> str:
    return hashlib.sha256(x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER)).hexdigest()


def test_tls_by_authority_by_pin_and_for_both_sides(bench: Any) -> None:
    server, client, other = (bench.certificate(name) for name in ("server", "client", "other"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client)
    fake = bench.serve("web3signer")
    face = bench.face(fake, context)
    ours = {"kind": "web3signer", "url": face.url, "certificate": "client.pem", "key": "client.pem"}
    bench.write("authority", authorities="server.pem", **ours)
    bench.write("pin", pin=_fingerprint(server).upper(), **ours)
    for name in ("authority", "pin"):
        request_transaction(bench.open(name), ROOT, bench.make(), sender=bench.holder)
    bench.write("stranger", **ours)
    bench.write("elsewhere", authorities="other.pem", **ours)
    bench.write("renewed", pin=_fingerprint(other), **ours)
    bench.write("nobody", kind="web3signer", url=face.url, authorities="server.pem")
    trouble = {one.label: one.trouble_code for one in bench.backend.discover()}
    assert trouble["stranger"] == trouble["elsewhere"] == trouble["renewed"] == "signer.certificate"
    assert trouble["nobody"] in ("signer.certificate", "signer.unavailable")
    assert trouble["authority"] is trouble["pin"] is None


WRONG = [
    "", 'kind = "web3signer"', 'address = "x"', "kind =", "a = 1", 'kind = 5\naddress = "x"',
    'kind = "eth"\nurl = "https://a"', 'kind = "clef"', 'kind = "clef"\nurl = "https://a"\nsocket = "s"',
    'kind = "web3signer"\nsocket = "s"', 'kind = "clef"\nurl = "http://signer.bank.example"',
    'kind = "clef"\nurl = "ftp://127.0.0.1"', 'kind = "clef"\nurl = "https://"', 'kind = "clef"\nurl = "https://a:0"',
    'kind = "clef"\nurl = "https://user:secret@a"', 'kind = "clef"\nurl = "https://a/?key=secret"',
    'kind = "clef"\nurl = "https://a:b"', 'kind = "clef"\nurl = "https://a"\npin = "00"',
    'kind = "clef"\nurl = "https://a"\npin = "%s"\nauthorities = "a"' % ("00" * 32),
    'kind = "clef"\nurl = "https://a"\nkey = "a"', 'kind = "clef"\nurl = "http://localhost"\npin = "%s"' % ("00" * 32),
    'kind = "clef"\nurl = "https://a"\ntimeout = 0', 'kind = "clef"\nurl = "https://a"\ntimeout = 1.5',
    'kind = "clef"\nurl = "https://a"\ntimeout = true', 'kind = "clef"\nurl = "https://a"\nnew = "x"',
    'kind = "clef"\nurl = "https://a"\npath = "44h"', 'kind = "clef"\nurl = ""',
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_files_that_are_refused(tmp_path: Path, text: str) -> None:
    holder = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
    whole = text if "address" in text else f'address = "{holder}"\n{text}'
    with pytest.raises(InvalidInputError) as caught:
        RemotePlace.from_toml(whole, folder=tmp_path)
    assert "secret" not in caught.value.message
    (tmp_path / "bad.toml").write_text(whole)
    (info,) = RemoteBackend(tmp_path).discover()
    assert info.trouble is not None


def test_files_that_are_gone_or_unreadable(tmp_path: Path, bench: Any) -> None:
    bench.serve("web3signer")
    (info,) = bench.backend.discover()
    (tmp_path / "there.toml").unlink()
    with pytest.raises(SignerNotFoundError):
        bench.backend.open(info, bench.human)
    (tmp_path / "big.toml").write_bytes(b"#" * 20_000)
    (tmp_path / "latin.toml").write_bytes(b"\xe9")
    (tmp_path / "far.toml").write_text(
        f'kind = "clef"\nsocket = "{"x" * 200}"\naddress = "{bench.holder}"\nauthorities = "a"'
    )
    assert all(one.trouble for one in bench.backend.discover())
    (tmp_path / "far.toml").write_text(f'kind = "clef"\nsocket = "{"x" * 200}"\naddress = "{bench.holder}"')
    assert {one.trouble_code for one in bench.backend.discover()} == {"signer.unavailable", None}
