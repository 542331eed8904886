"""``bursar eth sign-message``, ``sign-typed`` and ``verify``: what is signed is shown, tricks are not signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_intended_validator

from bursar.errors import InvalidInputError, InvalidSignatureError, UserCancelledError
from bursar.ethereum.abi import AbiFunction, encode
from bursar.ethereum.address import Address
from bursar.ethereum.contract_signature import MULTICALL3
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

PASSWORD = "correct horse battery"
OWNER = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"  # of the test words, at m/44h/60h/0h/0/0
CONTRACT = Address(b"\x44" * 20)
SIGN = ("eth", "sign-message", "--account", "gas")


def sign_in(*, domain: str = "app.example", expires: int | None = 600, chain: int = 31337, **fields: str) -> str:
    now = datetime.now(UTC)
    stamp = lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731
    lines = [
        f"{domain} wants you to sign in with your Ethereum account:",
        fields.get("address", OWNER),
        "",
        "Be welcome.",
        "",
        f"URI: {fields.get('uri', 'https://app.example/login')}",
        "Version: 1",
        f"Chain ID: {chain}",
        f"Nonce: {fields.get('nonce', '32891756')}",
        f"Issued At: {stamp(now)}",
    ]
    if expires is not None:
        lines.append(f"Expiration Time: {stamp(now + timedelta(seconds=expires))}")
    return "\n".join(lines)


def transaction() -> bytes:
    return UnsignedTransaction(
        type=2,
        chain_id=31337,
        nonce=0,
        to=CONTRACT,
        value=Wei(10**18),
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=Wei(10**9),
        max_priority_fee_per_gas=Wei(1),
    ).signing_bytes()


@pytest.mark.parametrize(
    ("words", "content"),
    [
        (("I own this",), b"I own this"),
        (("--hex", "0xC0 FFee"), b"\xc0\xff\xee"),
        (("--index", "1", "zwei\nZeilen ü"), "zwei\nZeilen ü".encode()),
    ],
)
def test_messages_are_shown_signed_and_verified(wallet: CommandLine, words: tuple[str, ...], content: bytes) -> None:
    signed = wallet.json(*SIGN, *words, answers=["y", PASSWORD])
    assert Account.recover_message(encode_defunct(content), signature=signed["signature"]) == signed["address"]
    assert (
        "I own this" in wallet.answers.heard[0]
        or "0xc0ffee" in wallet.answers.heard[0]
        or "| zwei\n" in (wallet.answers.heard[0])
    )
    checked = ["--hex", content.hex()]
    for form in ("signature", "compact"):
        found = wallet.json("eth", "verify", signed["address"], signed[form], *checked)
        assert (found["verified"], found["by"], found["digest"]) == (True, "key", signed["digest"])
    with pytest.raises(InvalidSignatureError, match="is a contract, name its chain"):
        wallet.text("eth", "verify", signed["address"], signed["signature"], "something else")
    with pytest.raises(InvalidSignatureError):
        wallet.text("eth", "verify", str(CONTRACT), signed["signature"], *checked)


def test_a_file_is_signed_as_it_is(wallet: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "statement.txt"
    path.write_bytes(b"with its last line break\n")
    signed = wallet.json(*SIGN, "--file", str(path), answers=["y", PASSWORD])
    recovered = Account.recover_message(encode_defunct(path.read_bytes()), signature=signed["signature"])
    assert recovered == OWNER == signed["address"]
    (tmp_path / "signature").write_text(signed["signature"] + "\n")
    assert "Signed by" in wallet.text("eth", "verify", OWNER, str(tmp_path / "signature"), "--file", str(path))
    for words in ((), ("text", "--file", str(path)), ("--hex", "0xabc"), ("--file", str(tmp_path / "none"))):
        assert wallet.run(*SIGN, *words).exit_code != 0


def test_for_a_validator(wallet: CommandLine) -> None:
    signed = wallet.json(*SIGN, "--hex", "c0ffee", "--validator", str(CONTRACT), answers=["y", PASSWORD])
    theirs = encode_intended_validator(str(CONTRACT), hexstr="0xc0ffee")
    assert Account.recover_message(theirs, signature=signed["signature"]) == OWNER
    words = ("eth", "verify", OWNER, signed["signature"], "--hex", "c0ffee")
    assert wallet.json(*words, "--validator", str(CONTRACT))["kind"] == "data for a validator"
    with pytest.raises(InvalidSignatureError):
        wallet.text(*words)


def test_a_no_is_a_no(wallet: CommandLine) -> None:
    with pytest.raises(UserCancelledError):
        wallet.text(*SIGN, "text", answers=["n"])


@pytest.mark.parametrize("sender", ["eth", "message"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(range(128, 160)), "a digest"),
        (transaction(), "a transaction|ethereum transaction"),
        (b"0x" + transaction().hex().encode(), "ethereum transaction"),
        (sign_in().replace("Version: 1", "Version: 2").encode(), "looks like a sign-in"),
        (sign_in().replace("Ethereum", "ethereum").encode(), "looks like a sign-in"),
    ],
)
def test_tricks_are_not_signed(wallet: CommandLine, content: bytes, said: str, sender: str, tmp_path: Path) -> None:
    path = tmp_path / "trick"
    path.write_bytes(content)
    words = (*SIGN, "--file", str(path)) if sender == "eth" else ("message", "sign", "gas", "0", "-")
    with pytest.raises(InvalidInputError, match=said) as caught:
        wallet.run_or_raise(*words, stdin=content)
    assert caught.value.code == "input.message.refused"


def test_a_digest_in_words_is_warned_about(wallet: CommandLine) -> None:
    digest = "0x" + "ab" * 32
    wallet.json(*SIGN, digest, answers=["y", PASSWORD])
    assert "nobody can tell what they stand for" in wallet.answers.heard[0]
    result = wallet.run("message", "sign", "gas", "0", digest, answers=[PASSWORD])
    assert "nobody can tell" in result.stderr


def test_a_sign_in(wallet: CommandLine) -> None:
    text = sign_in()
    signed = wallet.json(*SIGN, text, answers=["https://app.example/login", "y", PASSWORD])
    assert "Which site asks" in wallet.answers.heard[0]
    assert signed["sign_in"]["nonce"] == "32891756"
    check = ("eth", "verify", OWNER, signed["signature"], text)
    assert wallet.json(*check, "--domain", "app.example", "--nonce", "32891756")["sign_in"]["checked"] == [
        "domain",
        "nonce",
    ]
    assert "Not checked: its domain and its nonce" in wallet.run_or_raise(*check).stderr
    for wrong in (("--domain", "other.example"), ("--nonce", "99999999"), ("--uri", "https://other.example")):
        with pytest.raises(InvalidInputError) as caught:
            wallet.text(*check, *wrong)
        assert caught.value.code == "input.sign-in.expected"
    with pytest.raises(InvalidInputError, match="bursar eth sign-message"):
        wallet.text("message", "sign", "gas", "0", text)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (sign_in(domain="evil.example"), ("--domain", "app.example"), "domain: it is 'evil.example'"),
        (sign_in(), ("--domain", "app.example", "--nonce", "00000000"), "nonce"),
        (sign_in(), ("--domain", "app.example", "--uri", "https://app.example"), "uri"),
        (sign_in(expires=-5), ("--domain", "app.example"), "it expired at"),
        (sign_in(chain=1), ("--domain", "app.example"), "chain_id: it is 1"),
        (sign_in(address=str(CONTRACT)), ("--domain", "app.example"), "address: it is 0x44"),
        (sign_in(), ("--yes",), "with --domain"),
        ("no sign-in", ("--domain", "app.example"), "this message is none"),
    ],
)
def test_a_sign_in_that_is_not_what_was_expected(
    wallet: CommandLine, text: str, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        wallet.text(*SIGN, text, *words)
    assert not wallet.answers.heard


def test_what_is_to_be_weighed_in_a_sign_in(wallet: CommandLine) -> None:
    text = sign_in(uri="https://other.example/x", expires=None, chain=1)
    wallet.json(*SIGN, text, "--domain", "app.example", "--any-chain", answers=["y", PASSWORD])
    assert "never expires" in wallet.answers.heard[0]
    assert "about other.example, another site" in wallet.answers.heard[0]


class Contracts:
    """A chain with a contract that accepts one signature, and one that is not deployed yet."""

    def __init__(self, accepted: bytes) -> None:
        self.accepted = accepted
        self.asked = 0

    def check_chain(self) -> None:
        self.asked += 1

    def code(self, address: Address) -> bytes:
        return b"\x60" if address in (CONTRACT, MULTICALL3) else b""

    def call(self, to: Address, data: bytes, *, sender: Any = None) -> bytes:
        good = self.accepted in data
        if to == MULTICALL3:
            answer = bytes.fromhex("1626ba7e").ljust(32, b"\0")
            return encode(("(bool,bytes)[]",), ([(True, b""), (good, answer)],))
        return bytes.fromhex("1626ba7e" if good else "ffffffff").ljust(32, b"\0")


def test_contracts_sign(wallet: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Contracts(b"yes, that was me" * 5)
    monkeypatch.setattr("bursar.cli.compose.ethereum_node", lambda session, chain_id: chain)
    good, bad = "0x" + chain.accepted.hex(), "0x" + b"no".hex() * 40
    words = ("eth", "verify", str(CONTRACT), good, "I own this")
    assert wallet.json(*words, "--chain", "eth")["by"] == "contract"
    assert "the contract itself says" in wallet.text(*words, "--chain", "1")
    with pytest.raises(InvalidSignatureError, match="--chain"):
        wallet.text(*words)
    with pytest.raises(InvalidSignatureError, match="does not accept"):
        wallet.text("eth", "verify", str(CONTRACT), bad, "I own this", "--chain", "eth")
    inner = encode(("address", "bytes", "bytes"), (CONTRACT, b"", chain.accepted)) + bytes.fromhex("6492" * 16)
    future = str(Address(b"\x55" * 20))
    found = wallet.json("eth", "verify", future, "0x" + inner.hex(), "--digest", "0x" + "07" * 32, "--chain", "eth")
    assert (found["by"], found["kind"]) == ("undeployed contract", "digest")
    assert chain.asked == 4
    assert AbiFunction.from_text("isValidSignature(bytes32,bytes)").selector.hex() == "1626ba7e"


@pytest.mark.parametrize(
    "words",
    [
        ("0x00", "text"),
        ("zz", "text"),
        ("0x" + "11" * 65,),
        ("0x" + "11" * 65, "text", "--digest", "00" * 32),
        ("0x" + "11" * 65, "--digest", "00" * 31),
        ("0x" + "11" * 65, "text", "--nonce", "12345678"),
        ("0x" + "11" * 65, "--digest", "00" * 32, "--hex"),
        ("0x" + "ff" * 65, "text"),
        ("0x" + "ff" * 64, "text"),
    ],
)
def test_what_cannot_be_verified(wallet: CommandLine, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        wallet.text("eth", "verify", OWNER, *words)
