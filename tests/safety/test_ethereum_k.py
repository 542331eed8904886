"""Ethereum's checklist where keys come in and signatures go out: K1 to K5, E2, E6, S1 to S3, by the commands."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from bursar.backends.software import SoftwareSigner, keystore_v3
from bursar.backends.software.key_signer import KeySigner
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, public_key
from bursar.crypto.secret import Secret
from bursar.crypto.secret_storage import StoragePbkdf2, StorageScrypt, aes128_ctr
from bursar.errors import (
    CorruptKeystoreError,
    InvalidInputError,
    InvalidSignatureError,
    KeystoreError,
    SignerError,
    SignerMisbehavedError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_compact_signature, encode_signature, personal_digest
from bursar.ethereum.transaction import FEE_MARKET, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_personal_message, request_transaction
from bursar.signing.nonces import Placed, repeated_nonces

UNIT = Path(__file__).resolve().parents[1] / "unit"
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = "correct horse battery"
OWNER = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
PAYMENT = UnsignedTransaction(
    type=FEE_MARKET,
    chain_id=31337,
    nonce=0,
    to=Address(b"\x44" * 20),
    value=Wei(10**18),
    data=b"",
    gas_limit=21_000,
    max_fee_per_gas=Wei(10**9),
    max_priority_fee_per_gas=Wei(1),
)


@pytest.fixture(scope="module")
def file() -> str:
    """A good keystore, quick to open."""
    kdf = StorageScrypt(n=1 << 13)
    return keystore_v3.encrypted(Secret(KEY), Secret.from_text("old"), kdf=kdf).decode()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore_v3, "encrypted", partial(keystore_v3.encrypted, kdf=StorageScrypt(n=1 << 13)))


@pytest.fixture
def imported(line: Any, file: str, tmp_path: Path) -> Callable[..., Any]:
    """``imported(change)``: the file as changed, handed to ``bursar keys import-keystore``."""

    def run(change: Callable[[dict[str, Any]], None], password: str = "old") -> Any:
        document = json.loads(file)
        change(document)
        path = tmp_path / "theirs.json"
        path.write_text(json.dumps(document))
        words = ("keys", "import-keystore", str(path), "--name", "theirs")
        return line.run(*words, answers=[password, "new", "new"])

    return run


def parameters(kdf: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        crypto = document["crypto"]
        given = {"dklen": 32, "salt": "ab" * 32, **({"prf": "hmac-sha256", "c": 20_000} if kdf == "pbkdf2" else {})}
        given = given if kdf == "pbkdf2" else {**given, "n": 1 << 13, "r": 8, "p": 1}
        crypto["kdf"], crypto["kdfparams"] = kdf, {**given, **values}

    return change


@pytest.mark.parametrize(
    "change",
    [
        parameters("scrypt", n=1 << 30),
        parameters("scrypt", r=1 << 20),
        parameters("scrypt", p=1 << 20),
        parameters("scrypt", n=1 << 20, r=16),
        parameters("scrypt", n=0),
        parameters("scrypt", n=12_345),
        parameters("scrypt", n=-8192),
        parameters("scrypt", n="8192"),
        parameters("scrypt", n=8192.0),
        parameters("scrypt", r=True),
        parameters("scrypt", n=None),
        parameters("pbkdf2", c=1 << 40),
        parameters("pbkdf2", c=-1),
        parameters("pbkdf2", c="20000"),
        parameters("pbkdf2", c=20_000.5),
        parameters("pbkdf2", c=10**400),
    ],
)
def test_K1_the_work_a_file_asks_for_is_bounded(
    imported: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, line: Any, change: Any
) -> None:
    """Refused before a password is asked for, and before anything is derived."""

    def derived(*_: Any) -> bytes:
        raise AssertionError("something was derived")

    monkeypatch.setattr(StorageScrypt, "derive", derived)
    monkeypatch.setattr(StoragePbkdf2, "derive", derived)
    begun = time.process_time()
    result = imported(change)
    assert isinstance(result.exception, CorruptKeystoreError), result.exception
    assert time.process_time() - begun < 1
    assert line.answers.heard == []
    assert not (line.home / "keystores" / "theirs.json").exists()


@pytest.mark.parametrize(
    "change",
    [
        parameters("pbkdf2", prf="hmac-md5"),
        parameters("pbkdf2", prf="hmac-sha1"),
        parameters("scrypt", dklen=16),
        parameters("scrypt", dklen=1024),
        parameters("scrypt", dklen=0),
        parameters("scrypt", salt=""),
        parameters("pbkdf2", salt=""),
        parameters("argon2id"),
        parameters("scrypt", c=1),
    ],
)
def test_K2_parameters_that_protect_nothing_are_refused(imported: Callable[..., Any], line: Any, change: Any) -> None:
    result = imported(change)
    assert isinstance(result.exception, CorruptKeystoreError)
    assert line.answers.heard == []


@pytest.mark.parametrize("kdf", [("scrypt", 2), ("pbkdf2", 1)])
def test_K2_a_cheap_file_is_said_to_be_cheap_and_not_kept_so(line: Any, tmp_path: Path, kdf: Any) -> None:
    cheap = json.dumps(Account.encrypt(KEY, "old", kdf=kdf[0], iterations=kdf[1]))
    path = tmp_path / "cheap.json"
    path.write_text(cheap)
    result = line.run_or_raise(
        "keys", "import-keystore", str(path), "--name", "kept", "--keep-password", answers=["old"]
    )
    assert "cheap to guess" in result.stderr
    stored = json.loads((line.home / "keystores" / "kept.json").read_text())["crypto"]
    assert (stored["kdf"], stored["kdfparams"]["n"]) == ("scrypt", 1 << 13)
    used = line.home / "keystores" / "cheap.json"  # put there by hand, it opens nothing
    used.write_text(cheap)
    used.chmod(0o600)
    result = line.run("account", "add", "x", "--chain", "ethereum", "--signer", "software:cheap", answers=["old"])
    assert isinstance(result.exception, CorruptKeystoreError)
    assert "cheap to guess" in result.exception.message


def test_K3_a_file_for_another_address_is_refused(imported: Callable[..., Any], line: Any) -> None:
    result = imported(lambda document: document.update(address=OWNER[2:].lower()))
    assert isinstance(result.exception, CorruptKeystoreError)
    assert "not the one of the address it claims" in result.exception.message
    assert not (line.home / "keystores" / "theirs.json").exists()


@pytest.mark.parametrize("cipher", ["aes-256-ctr", "aes-128-cbc", "none", None, ["aes-128-ctr"]])
def test_K3_unknown_ciphers_are_refused(imported: Callable[..., Any], cipher: Any) -> None:
    assert isinstance(imported(lambda document: document["crypto"].update(cipher=cipher)).exception, KeystoreError)


def test_K3_a_forged_check_opens_nothing(imported: Callable[..., Any]) -> None:
    """With a derived length of 16 the key of the check is empty, and anybody can compute it."""

    def forge(document: dict[str, Any]) -> None:
        crypto = document["crypto"]
        crypto["kdfparams"]["dklen"] = 16
        crypto["mac"] = keccak256(bytes.fromhex(crypto["ciphertext"])).hex()

    for password in ("old", "anything"):
        result = imported(forge, password)
        assert isinstance(result.exception, CorruptKeystoreError)
        assert "dklen" in result.exception.message

    def truncated(document: dict[str, Any]) -> None:
        document["crypto"]["mac"] = document["crypto"]["mac"][:32]

    assert isinstance(imported(truncated).exception, CorruptKeystoreError)
    assert aes128_ctr(bytes(16), bytes(16), b"\0" * 4) != b"\0" * 4


SECRETS = (KEY.hex(), "hush-hush-71c2", "other-93ab")


def pipe(*lines: str) -> str:
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{one}\n" for one in lines).encode())
    os.close(writing)
    return str(reading)


def test_K4_no_argument_and_no_variable_holds_a_secret(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("--password", "--key", "--private-key"):
        for command in ("import-key", "import-keystore", "export-keystore"):
            assert line.run("keys", command, option, SECRETS[0]).exit_code == 2
    result = line.run("keys", "import-key", SECRETS[0], "--name", "hot")
    assert result.exit_code == 2
    for name in ("BURSAR_PASSWORD", "BURSAR_KEY", "PASSWORD"):
        monkeypatch.setenv(name, SECRETS[1])
    result = line.run("keys", "import-key", "--name", "hot", answers=[SECRETS[0], "", "one", "two", "a", "b"])
    assert isinstance(result.exception, InvalidInputError)  # it asks; nothing else is taken


def test_K4_secrets_are_said_nowhere(line: Any, tmp_path: Path) -> None:
    """Output, errors with their whole chain, the wallet's folder: whatever the commands write, right or wrong."""
    said: list[str] = []

    def run(*words: str, **options: Any) -> Any:
        result = line.run(*words, **options)
        said.extend((result.output, result.stderr, *line.answers.heard))
        if result.exc_info is not None:
            said.append("".join(traceback.format_exception(*result.exc_info)))
        return result

    new = ("--key-fd", pipe(SECRETS[0]), "--password-fd", pipe(SECRETS[1]))
    assert run("keys", "import-key", "--name", "hot", *new).exit_code == 0
    run("account", "add", "hot", "--chain", "ethereum", "--signer", "software:hot", "--password-fd", pipe(SECRETS[1]))
    run("account", "add", "no", "--chain", "ethereum", "--signer", "software:hot", "--password-fd", pipe(SECRETS[2]))
    run("keys", "import-key", "--name", "bad", answers=[SECRETS[0] + "0"])
    run("keys", "import-key", "--name", "bad", answers=["x" + SECRETS[0][1:]])
    out = str(tmp_path / "out.json")
    run("keys", "export-keystore", "--name", "hot", "-o", out, "--password-fd", pipe(SECRETS[1], SECRETS[2]))
    run("keys", "import-keystore", out, "--name", "again", "--password-fd", pipe(SECRETS[1], "x"))
    run("eth", "sign-message", "hi", "--account", "hot", "--yes", "--password-fd", pipe(SECRETS[1]))
    run("journal", "verify")
    for path in [Path(out), *(one for one in line.home.rglob("*") if one.is_file())]:
        data = path.read_bytes()
        said.append(data.decode("latin-1"))
        assert KEY not in data
    text = "\n".join(said).lower()
    assert "hot" in text
    for secret in SECRETS:
        assert secret not in text
    with KeySigner(Secret(KEY)) as signer:
        assert SECRETS[0] not in repr(signer) + str(vars(signer))


@pytest.mark.parametrize("marker", ["h", "'", "H"])
def test_K5_paths_have_one_reading(marker: str) -> None:
    assert str(DerivationPath.from_text(f"m/44{marker}/60{marker}/0{marker}/0/7")) == "m/44h/60h/0h/0/7"
    for wrong in (
        "",
        "/",
        "m/",
        "44/60",
        f"m/44{marker}{marker}",
        "m/2147483648",
        f"m/2147483648{marker}",
        "m/-1",
        "m//0",
    ):
        with pytest.raises(InvalidInputError):
            DerivationPath.from_text(wrong)


def test_K5_what_is_stored_is_derived_again(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account whose record was changed: whatever it says, the key at its path has to be that of its address."""
    import sqlite3

    with closing(sqlite3.connect(line.home / "wallet.db")) as connection, connection:
        (body,) = connection.execute("SELECT body FROM accounts WHERE name = 'gas'").fetchone()
        other = body.replace("/44h/60h/0h", "/44h/61h/0h")
        assert other != body
        connection.execute("UPDATE accounts SET body = ? WHERE name = 'gas'", (other,))
    result = line.run("eth", "sign-message", "hi", "--account", "gas", "--yes", answers=[PASSWORD])
    assert isinstance(result.exception, SignerMisbehavedError)
    # a keystore's header is held to its keys when it is opened
    path = line.home / "keystores" / "main.json"
    path.write_text(re.sub(r'"fingerprint": *"[0-9a-f]{8}"', '"fingerprint": "00000001"', path.read_text()))
    result = line.run("account", "add", "y", "--chain", "ethereum", "--number", "9", answers=[PASSWORD] * 3)
    assert isinstance(result.exception, KeystoreError)


def test_K5_a_single_key_has_one_path(line: Any) -> None:
    with KeySigner(Secret(KEY)) as signer, pytest.raises(InvalidInputError):
        signer.sign_personal_message(PATH, b"hi")
    result = line.run("account", "add", "x", "--chain", "ethereum", "--number", str(2**31), answers=[PASSWORD])
    assert result.exit_code == 2


TYPES = {
    "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
    "Mail": [{"name": "to", "type": "address"}, {"name": "text", "type": "string"}],
}
MAIL: dict[str, Any] = {
    "types": TYPES,
    "primaryType": "Mail",
    "domain": {"name": "Post", "chainId": 31337},
    "message": {"to": OWNER, "text": "hello"},
}
TWICE = json.dumps(MAIL)[:-2] + ', "text": "other"}}'


@pytest.mark.parametrize(
    "given",
    [
        json.dumps({**MAIL, "message": {**MAIL["message"], "extra": 1}}),
        json.dumps({**MAIL, "message": {"to": OWNER}}),
        json.dumps({**MAIL, "domain": {**MAIL["domain"], "version": "1"}}),
        json.dumps({**MAIL, "domain": {"chainId": 31337}}),
        json.dumps({**MAIL, "types": {**TYPES, "Spare": [{"name": "x", "type": "string"}]}}),
        json.dumps({**MAIL, "types": {**TYPES, "Mail": [*TYPES["Mail"], {"name": "to", "type": "string"}]}}),
        json.dumps({**MAIL, "types": {**TYPES, "Mail": [*TYPES["Mail"], {"name": "again", "type": "Mail"}]}}),
        json.dumps({**MAIL, "types": {**TYPES, "Mail": [*TYPES["Mail"], {"name": "more", "type": "Mail[]"}]}}),
        json.dumps({**MAIL, "extra": {}}),
        TWICE,
    ],
)
def test_E2_fields_too_many_too_few_or_twice(line: Any, given: str) -> None:
    words = ("eth", "sign-typed", "-", "--account", "gas")
    assert json.loads(line.run_or_raise(*words, "--yes", "--json", stdin=json.dumps(MAIL), answers=[PASSWORD]).stdout)
    line.answers.heard.clear()
    result = line.run(*words, "--yes", stdin=given)
    assert isinstance(result.exception, InvalidInputError)
    assert line.answers.heard == []  # no password was asked for


def sign_in(domain: str = "app.example", nonce: str = "32891756", year: int = 2999) -> str:
    head = f"{domain} wants you to sign in with your Ethereum account:\n{OWNER}\n\n\n"
    tail = f"URI: https://app.example\nVersion: 1\nChain ID: 31337\nNonce: {nonce}\nIssued At: 2026-01-01T00:00:00Z"
    return f"{head}{tail}\nExpiration Time: {year}-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "content",
    [PAYMENT.signing_bytes(), b"0x" + PAYMENT.signing_bytes().hex().encode(), PAYMENT.digest()],
    ids=["transaction", "its digits", "its digest"],
)
@pytest.mark.parametrize("command", ["eth", "message"])
def test_E6_a_payment_is_not_signed_as_a_message(line: Any, content: bytes, command: str) -> None:
    words = ("eth", "sign-message", "-", "--account", "gas", "--yes")
    result = line.run(*(words if command == "eth" else ("message", "sign", "gas", "0", "-")), stdin=content)
    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.code == "input.message.refused"
    assert line.answers.heard == []


def test_E6_a_hash_in_digits_is_warned_about_and_bytes_are_shown_in_hexadecimal(line: Any) -> None:
    words = ("eth", "sign-message", "--account", "gas", "--yes")
    result = line.run_or_raise(*words, "0x" + PAYMENT.digest().hex(), answers=[PASSWORD])
    assert "nobody can tell what they stand for" in result.stderr
    result = line.run_or_raise(*words, "--hex", "00ff\u0020" + "07" * 20, answers=[PASSWORD])
    assert "0x00ff0707" in result.stderr
    assert "shown in hexadecimal" in result.stderr


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (sign_in("evil.example"), ("--domain", "app.example")),
        (sign_in(), ("--domain", "evil.example")),
        (sign_in(), ("--domain", "app.example", "--nonce", "00000000")),
        (sign_in(), ("--domain", "app.example", "--uri", "https://evil.example")),
        (sign_in(year=2025), ("--domain", "app.example")),
        (sign_in().replace("Chain ID: 31337", "Chain ID: 1"), ("--domain", "app.example")),
        (sign_in().replace(OWNER, "0x" + "4" * 40), ("--domain", "app.example")),
        (sign_in().replace("Nonce: 32891756\n", ""), ("--domain", "app.example")),
        (sign_in(), ()),
    ],
)
def test_E6_a_sign_in_is_held_to_the_site_that_asks(line: Any, text: str, options: tuple[str, ...]) -> None:
    result = line.run("eth", "sign-message", text, "--account", "gas", "--yes", *options)
    assert isinstance(result.exception, InvalidInputError)
    assert line.answers.heard == []


def test_E6_a_sign_in_that_fits_is_signed_and_verified(line: Any) -> None:
    text = sign_in()
    words = ("eth", "sign-message", text, "--account", "gas", "--yes", "--domain", "app.example")
    signed = line.json(*words, "--nonce", "32891756", answers=[PASSWORD])
    check = ("eth", "verify", OWNER, signed["signature"], text)
    assert line.json(*check, "--domain", "app.example", "--nonce", "32891756")["verified"]
    for wrong in (("--domain", "evil.example"), ("--nonce", "00000000")):
        assert isinstance(line.run(*check, *wrong).exception, InvalidInputError)


@pytest.fixture(scope="module")
def good() -> EcdsaSignature:
    with KeySigner(Secret(KEY)) as signer:
        return signer.sign_personal_message(DerivationPath(()), b"hi")


def test_S1_signatures_out_of_range_or_in_a_second_form(line: Any, good: EcdsaSignature) -> None:
    with KeySigner(Secret(KEY)) as signer:
        words = ("eth", "verify", str(signer.address))
    text = encode_signature(good)
    for right in (text, encode_compact_signature(good), text[:-2] + f"{int(text[-2:], 16) - 27:02x}"):
        assert line.json(*words, right, "hi")["verified"]
    r, s, parity = good.r, good.s, good.y_parity or 0
    wrong = [
        f"0x{r:064x}{ORDER - s:064x}{28 - parity:02x}",  # the same in its second form
        f"0x{0:064x}{s:064x}1b",
        f"0x{r:064x}{0:064x}1b",
        f"0x{ORDER:064x}{s:064x}1b",
        f"0x{r:064x}{ORDER:064x}1b",
        f"0x{r:064x}{s:064x}{28 - parity:02x}",  # another key's
        *(f"0x{r:064x}{s:064x}{v:02x}" for v in (2, 26, 29, 35, 37, 255)),
        f"0x{r:064x}{ORDER - s | (1 - parity) << 255:064x}",  # compact, and high
        f"0x{r:064x}",
        text + "00",
    ]
    for one in wrong:
        result = line.run(*words, one, "hi")
        assert isinstance(result.exception, InvalidSignatureError), one


class Twisted:
    """A signer that changes its good signatures."""

    def __init__(self, signer: SoftwareSigner, change: Callable[[EcdsaSignature], Any]) -> None:
        self._signer, self._change, self.info = signer, change, signer.info

    def xpub(self, path: DerivationPath) -> Any:
        return self._signer.xpub(path)

    def close(self) -> None: ...

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> Any:
        return self._change(self._signer.sign_personal_message(path, message))

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> Any:
        return self._change(self._signer.sign_transaction(path, tx))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: EcdsaSignature(one.r, ORDER - one.s, 1 - one.y_parity),
        lambda one: EcdsaSignature(one.r, one.s, 1 - one.y_parity),
        lambda one: EcdsaSignature(one.r, one.s, None),
        lambda one: EcdsaSignature(one.s, one.r, one.y_parity),
        lambda one: one.compact(),
        lambda _: None,
    ],
)
def test_S1_no_signer_brings_a_second_form_in(signer: SoftwareSigner, change: Any) -> None:
    twisted: Any = Twisted(signer, change)
    owner = Address.from_text(OWNER)
    with pytest.raises((SignerMisbehavedError, InvalidSignatureError)):
        request_personal_message(twisted, PATH, b"hi", sender=owner)
    with pytest.raises((SignerMisbehavedError, InvalidSignatureError)):
        request_transaction(twisted, PATH, PAYMENT, sender=owner)
    assert request_transaction(signer, PATH, PAYMENT, sender=owner).signature.low_s


def test_S3_the_same_message_twice_gives_the_same_signature(line: Any, signer: SoftwareSigner) -> None:
    """RFC 6979, as eth-account computes it too: no random number, so none that could be stuck."""
    theirs = Account.from_key(KEY).sign_message(encode_defunct(b"hi"))
    with KeySigner(Secret(KEY)) as single:
        made = {encode_signature(single.sign_personal_message(DerivationPath(()), b"hi")) for _ in range(3)}
    assert made == {"0x" + bytes(theirs.signature).hex()}
    words = ("eth", "sign-message", "hi", "--account", "gas", "--yes")
    twice = {line.json(*words, answers=[PASSWORD])["signature"] for _ in range(2)}
    assert twice == {encode_signature(signer.sign_personal_message(PATH, b"hi"))}


def test_S3_a_nonce_used_twice_is_found(good: EcdsaSignature) -> None:
    with KeySigner(Secret(KEY)) as signer:
        several = [signer.sign_personal_message(DerivationPath(()), b"%d" % number) for number in range(8)]
    assert len({one.r for one in several}) == len(several)
    placed = [Placed(f"0x{number}", one.compact()[:32], one.compact()[32:]) for number, one in enumerate(several)]
    assert repeated_nonces(placed) == ()
    halves = good.compact()
    stuck = [*placed, Placed("a", halves[:32], halves[32:]), Placed("b", halves[:32], personal_digest(b"other"))]
    assert [one.places for one in repeated_nonces(stuck)] == [("a", "b")]


def test_S3_words_and_keystore_agree() -> None:
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as one:
        assert one.sign_personal_message(PATH, b"hi") == one.sign_personal_message(PATH, b"hi")


@pytest.fixture
def elsewhere(line: Any) -> Iterator[Any]:
    """A web3signer that holds one key, known to the wallet as ``remote:treasury``."""
    path = UNIT / "backends" / "remote" / "conftest.py"
    spec = importlib.util.spec_from_file_location("bursar_safety_remote", path)
    assert spec is not None
    assert spec.loader is not None
    fakes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakes)
    fake = fakes.FakeWeb3Signer()
    face = fakes.HttpFace(fake)
    fake.address = Address.from_public_key(public_key(fake.key))
    folder = line.home / "remote"
    folder.mkdir()
    (folder / "treasury.toml").write_text(f'kind = "web3signer"\nurl = "{face.url}"\naddress = "{fake.address}"\n')
    yield fake
    face.close()


def test_S2_a_signer_elsewhere_with_another_key_or_message(line: Any, elsewhere: Any) -> None:
    add = ("account", "add", "far", "--chain", "ethereum", "--signer", "remote:treasury")
    for wrong in (("--address", OWNER), ("--number", "1")):
        assert isinstance(line.run(*add, *wrong).exception, InvalidInputError)
    added = line.json(*add, "--address", str(elsewhere.address))["account"]
    assert added["account"]["address"] == str(elsewhere.address)
    words = ("eth", "sign-message", "hi", "--account", "far", "--yes")
    good = line.json(*words)
    assert line.json("eth", "verify", good["address"], good["signature"], "hi")["verified"]
    elsewhere.result = lambda method, result: (
        elsewhere.signature(personal_digest(b"ho")) if method == "eth_sign" else result
    )
    assert isinstance(line.run(*words).exception, SignerMisbehavedError)
    elsewhere.result = lambda method, result: result
    right, elsewhere.key = elsewhere.key, KEY
    for command in (words, ("eth", "sign-typed", "-", "--account", "far", "--yes")):
        result = line.run(*command, stdin=json.dumps(MAIL))
        assert isinstance(result.exception, SignerError)
        assert "Signed" not in result.output
    place = line.home / "remote" / "treasury.toml"
    elsewhere.key = right
    place.write_text(place.read_text() + 'path = "m/44h/60h/0h/0/0"\n')
    result = line.run(*(one if one != "far" else "farther" for one in add))
    assert "take the line 'path' out" in str(result.exception)
