"""``bursar eth userop``: hashed as the chain did, reviewed by what they do, signed in each version's form, verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data

from bursar.cli import compose
from bursar.errors import InvalidInputError, InvalidSignatureError, PolicyDeniedError, UserCancelledError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

PASSWORD = "correct horse battery"
CASES = json.loads((Path(__file__).parents[2] / "vectors" / "user_operations.json").read_text())["cases"]
PAYEE, SENDER = Address(b"\x35" * 20), Address(b"\x5a" * 20)
EXECUTE = AbiFunction.from_text("execute(address,uint256,bytes)")
CHAIN = 31337
RULES = """version = 1
[[rule]]
name = "anyone"
kind = "allow-any"
[[rule]]
name = "most"
kind = "limit"
max = "1eth"
"""


def operation(version: str, data: bytes, **changes: Any) -> dict[str, str]:
    fields: dict[str, Any] = {
        "sender": SENDER, "nonce": 2**70 + 1, "call_data": data, "call_gas_limit": 90_000,
        "verification_gas_limit": 80_000, "pre_verification_gas": 50_000, "max_fee_per_gas": 10**9,
        "max_priority_fee_per_gas": 10**8,
    }  # fmt: skip
    made = UserOperation(**{**fields, **changes})
    return made.to_rpc(EntryPoint.known(EntryPointVersion(version), CHAIN))


@pytest.fixture
def desk(wallet: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``desk(version, operation, *words)`` puts the operation into a file and runs a command on it."""
    (wallet.home / "policy.toml").write_text(RULES)
    monkeypatch.chdir(tmp_path)

    def run(version: str, found: dict[str, str], *words: str, answers: list[str] | None = None) -> Any:
        Path("operation.json").write_text(json.dumps(found))
        first, *rest = words
        given = ("eth", "userop", first, "operation.json", "--version", version, "--chain", str(CHAIN), *rest)
        return wallet.json(*given, answers=answers)

    run.heard = wallet.answers.heard  # type: ignore[attr-defined]
    return run


PAYING = EXECUTE.encode_call(PAYEE, 10**17, b"")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["hash"][:10])
def test_hashes_are_those_of_the_chain(wallet: CommandLine, tmp_path: Path, case: dict[str, Any]) -> None:
    file = tmp_path / "operation.json"
    file.write_text(json.dumps(case["operation"]))
    words = ("eth", "userop", "hash", str(file), "--version", case["version"], "--chain", str(case["chain_id"]))
    assert wallet.json(*words)["user_op_hash"] == case["hash"]
    assert case["hash"] in wallet.text(*words)


@pytest.mark.parametrize("version", ["0.6", "0.7", "0.8"])
def test_signed_in_the_form_of_its_version(desk: Any, version: str) -> None:
    one = operation(version, PAYING)
    done = desk(version, one, "sign", "--account", "gas", "--to", "signed.json", answers=["y", PASSWORD])
    heard = "\n".join(desk.heard)
    assert str(PAYEE) in heard
    assert "0.1 ETH" in heard
    assert done["user_op_hash"] in heard
    hashed = bytes.fromhex(done["user_op_hash"][2:])
    if version == "0.8":
        point = EntryPoint.known(EntryPointVersion.V08, CHAIN)
        typed = UserOperation.from_rpc(one, EntryPointVersion.V08).typed_data(point)
        message = encode_typed_data(full_message=json.loads(typed.to_json()))
    else:
        message = encode_defunct(hashed)
    assert Account.recover_message(message, signature=done["signature"]) == done["owner"]
    signed = json.loads(Path("signed.json").read_text())
    assert signed == {**one, "signature": done["signature"]}
    form = desk(version, signed, "verify", "--owner", done["owner"])["as"]
    assert form == ("typed data" if version == "0.8" else "a message")
    with pytest.raises(InvalidSignatureError, match="not signed by"):
        desk(version, signed, "verify", "--owner", str(PAYEE))
    with pytest.raises(InvalidSignatureError, match="not signed by"):
        desk(version, {**signed, "nonce": "0x7"}, "verify", "--owner", done["owner"])


def test_the_policy_sees_what_the_account_would_do(desk: Any) -> None:
    much = EXECUTE.encode_call(PAYEE, 2 * 10**18, b"")
    with pytest.raises(PolicyDeniedError, match="most"):
        desk("0.7", operation("0.7", much), "sign", "--account", "gas", answers=[])
    for version in ("0.6", "0.8"):
        with pytest.raises(PolicyDeniedError, match="opaque-call"):
            desk(version, operation(version, b"\xde\xad\xbe\xef"), "sign", "--account", "gas", answers=[])
    with pytest.raises(UserCancelledError):
        desk("0.8", operation("0.8", PAYING), "sign", "--account", "gas", answers=["n"])
    with pytest.raises(InvalidInputError, match="only entry point 0"):
        desk("0.6", operation("0.6", PAYING), "sign", "--account", "gas", "--as", "typed", answers=[])


def test_what_pays_and_what_runs_is_said(desk: Any) -> None:
    paid = operation("0.8", PAYING, paymaster=PAYEE, paymaster_data=b"\x01" * 300)
    desk("0.8", paid, "sign", "--account", "gas", answers=["y", PASSWORD])
    heard = "\n".join(desk.heard)
    assert "on terms that only its data tell" in heard
    assert "… (300 bytes)" in heard
    lent = operation("0.8", PAYING, delegate=SENDER)
    with pytest.raises(PolicyDeniedError, match="creation"):
        desk("0.8", lent, "sign", "--account", "gas", "--delegate", str(SENDER), answers=[])
    assert f"runs the code of {SENDER}" in "\n".join(desk.heard)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"[]", "no JSON object"),
        (b"{" * 3000, "nested deeper|no JSON"),
        (b'{"sender": "0x1", "sender": "0x2"}', "twice"),
        (b'{"nonce": 1.5}', "in the place of a whole number"),
        (b"\xff", "no JSON"),
        (b'{"sender": 5}', "members are texts"),
        (b" " * 3_000_001, "more than"),
    ],
)
def test_garbage_is_refused(wallet: CommandLine, tmp_path: Path, raw: bytes, words: str) -> None:
    (tmp_path / "operation.json").write_bytes(raw)
    with pytest.raises(InvalidInputError, match=words) as caught:
        wallet.json("eth", "userop", "hash", str(tmp_path / "operation.json"), "--version", "0.7")
    assert caught.value.code == "input.user-operation"


class Node:
    """A node whose one contract answers with ``answer``."""

    def __init__(self, answer: int) -> None:
        self._answer = answer
        self.asked: list[tuple[Address, bytes, Address | None]] = []

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        self.asked.append((to, data, sender))
        return self._answer.to_bytes(32, "big")


@pytest.mark.parametrize("version", ["0.6", "0.7", "0.8"])
def test_the_smart_account_is_asked(desk: Any, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    signed = operation(version, PAYING, signature=b"\x01" * 65)
    point = EntryPoint.known(EntryPointVersion(version), CHAIN)

    def verify(answer: int) -> Any:
        node = Node(answer)
        monkeypatch.setattr(compose, "ethereum_node", lambda _session, _chain_id: node)
        found = desk(version, signed, "verify")
        assert [(to, sender) for to, _, sender in node.asked] == [(SENDER, point.address)]
        return found

    assert verify(0)["valid_until"] is None
    timed = verify((7 << 208) | (9 << 160))
    assert (timed["valid_after"], timed["valid_until"]) == (7, 9)
    for answer, words in ((1, "does not accept"), (0x1234, "aggregator")):
        with pytest.raises(InvalidSignatureError, match=words):
            verify(answer)


def test_every_version_can_be_named() -> None:
    from bursar.cli.user_operations import VERSIONS

    assert set(VERSIONS) == {one.value for one in EntryPointVersion}
