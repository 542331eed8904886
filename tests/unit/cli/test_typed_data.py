"""``bursar message sign-typed``: everything in words before it is signed, permits put to the policy as payments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from bursar.cli.typed_data_review import typed_data_text
from bursar.errors import InvalidInputError, PolicyDeniedError, UserCancelledError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.token import Token
from bursar.ethereum.typed_data import TypedData
from bursar.policy.review import Asset
from bursar.policy.typed_data import review_of_typed_data
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

PASSWORD = "correct horse battery"
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
SPENDER, COIN = Address(b"\x22" * 20), Address(b"\x33" * 20)
PERMIT = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]


def chain_of(wallet: CommandLine) -> int:
    with Wallet.open(wallet.home / "wallet.db") as opened:
        held = opened.account("gas").account
        assert isinstance(held, EthereumAccount)
        return held.chain_id


def typed(types: dict[str, Any], message: dict[str, Any], chain: int = 31337, fields: Any = DOMAIN) -> TypedData:
    domain = {"name": "USD Coin", "version": "2", "chainId": chain, "verifyingContract": COIN}
    named = {name: domain[name] for name, _ in fields}
    return TypedData.of({"EIP712Domain": fields, **types}, next(iter(types)), named, message)


def permit(value: int = 12_500_000, chain: int = 31337) -> TypedData:
    message = {
        "owner": COIN,
        "spender": SPENDER,
        "value": value,
        "nonce": 3,
        "deadline": 1_700_000_000,
    }
    return typed({"Permit": [*PERMIT, ("deadline", "uint256")]}, message, chain)


def mail(chain: int = 31337, fields: Any = DOMAIN) -> TypedData:
    message = {"to": SPENDER, "contents": "hello \u202eworld", "numbers": (1, 2), "none": (), "nonce": b"\x01" * 300}
    types = {"Mail": [("to", "address"), ("contents", "string"), ("numbers", "uint8[]"), ("none", "bool[]")]}
    types["Mail"].append(("nonce", "bytes"))
    return typed(types, message, chain, fields)


@pytest.fixture
def put(tmp_path: Path) -> Any:
    def write(value: TypedData) -> str:
        path = tmp_path / "typed.json"
        path.write_text(value.to_json(), "utf-8")
        return str(path)

    return write


def sign(wallet: CommandLine, file: str, *options: str, answers: list[str] | None = None) -> Any:
    words = ("eth", "sign-typed", file, "--account", "gas", *options)
    return wallet.json(*words, answers=["y", PASSWORD] if answers is None else answers)


def test_signed_shown_and_verified(wallet: CommandLine, put: Any) -> None:
    chain = chain_of(wallet)
    file = put(mail(chain))
    done = sign(wallet, file, "--index", "2")
    signer = Account.recover_message(
        encode_typed_data(full_message=json.loads(Path(file).read_text())), signature=done["signature"]
    )
    assert signer == done["address"]
    text = "\n".join(wallet.answers.heard)
    for words in (
        "USD Coin 2",
        f"chain {chain}",
        "As       Mail",
        "numbers[1]",
        "an empty array",
        "hello \\u202eworld",
    ):
        assert words in text
    assert "… (300 bytes)" in text
    assert "policy" not in text.lower()
    wallet.text("message", "verify-typed", done["address"], done["signature"], file)
    other = put(mail(chain + 1))
    with pytest.raises(InvalidInputError, match="was signed by"):
        wallet.text("message", "verify-typed", done["address"], done["signature"], other)
    again = wallet.text("message", "verify-typed", done["address"], done["signature"], "-", stdin=mail(chain).to_json())
    assert done["address"] in again


def test_another_chain_or_none(wallet: CommandLine, put: Any) -> None:
    chain = chain_of(wallet)
    with pytest.raises(InvalidInputError, match="the account is on chain") as caught:
        sign(wallet, put(mail(chain + 1)), answers=[])
    assert caught.value.code == "input.typed-data.chain"
    nowhere = put(mail(chain, fields=DOMAIN[:1]))
    with pytest.raises(InvalidInputError, match="names no chain"):
        sign(wallet, nowhere, answers=[])
    sign(wallet, nowhere, "--any-chain")
    assert any("counts on every one" in heard for heard in wallet.answers.heard)


def test_no_is_no(wallet: CommandLine, put: Any) -> None:
    with pytest.raises(UserCancelledError):
        sign(wallet, put(mail(chain_of(wallet))), answers=["n"])


def test_a_bitcoin_account_signs_none(wallet: CommandLine, put: Any) -> None:
    with pytest.raises(InvalidInputError, match="bitcoin account"):
        wallet.json("message", "sign-typed", put(mail()), "--account", "savings")


def test_a_permit_needs_the_policys_leave(wallet: CommandLine, put: Any) -> None:
    chain = chain_of(wallet)
    file = put(permit(chain=chain))
    with pytest.raises(PolicyDeniedError, match="no rule allows 0x2222"):
        sign(wallet, file, answers=[])
    assert any("without asking again" in heard for heard in wallet.answers.heard)
    rules = f"""version = 1
[[token]]
symbol = "USDC"
network = "eip155:{chain}"
contract = "{COIN}"
decimals = 6
[[rule]]
name = "tokens"
kind = "allow-any"
asset = "USDC"
[[rule]]
name = "most"
kind = "limit"
max = "20USDC"
"""
    (wallet.home / "policy.toml").write_text(rules)
    wallet.text("account", "token", "gas", str(COIN), "USDC", "6")
    sign(wallet, file)
    assert any("12.5 USDC" in heard for heard in wallet.answers.heard)
    for value in (20_000_001, 2**256 - 1):
        with pytest.raises(PolicyDeniedError):
            sign(wallet, put(permit(value, chain)), answers=[])


def test_permits_count_towards_rolling_limits(wallet: CommandLine, put: Any) -> None:
    chain = chain_of(wallet)
    rules = f"""version = 1
[[token]]
symbol = "USDC"
network = "eip155:{chain}"
contract = "{COIN}"
decimals = 6
[[rule]]
name = "tokens"
kind = "allow-any"
asset = "USDC"
[[rule]]
name = "daily"
kind = "rolling-limit"
max = "20USDC"
window = "24h"
"""
    (wallet.home / "policy.toml").write_text(rules)
    wallet.text("account", "token", "gas", str(COIN), "USDC", "6")
    with pytest.raises(UserCancelledError):
        sign(wallet, put(permit(19_000_000, chain)), answers=["n"])  # what was not signed does not count
    sign(wallet, put(permit(12_500_000, chain)))
    sign(wallet, put(permit(12_500_000, chain)))  # the very same once more is nothing more
    sign(wallet, put(permit(7_500_000, chain)))
    with pytest.raises(PolicyDeniedError, match="over the limit"):
        sign(wallet, put(permit(1, chain)), answers=[])
    with Wallet.open(wallet.home / "wallet.db") as opened:
        asset = Asset("ethereum", f"eip155:{chain}", "USDC", 6, str(COIN))
        assert opened.policy_history().spent(asset, timedelta(days=1)) == 20_000_000
        later = datetime.now(UTC) + timedelta(days=2)
        assert opened.policy_history(now=later).spent(asset, timedelta(days=1)) == 0
        assert opened.policy_history(now=later + timedelta(days=400)).spent(asset, timedelta(days=366)) == 0
        opened.journal.verify()


def test_what_only_looks_like_an_allowance_is_denied(wallet: CommandLine, put: Any) -> None:
    one = typed({"Grant": [("operator", "address")]}, {"operator": SPENDER}, chain_of(wallet))
    with pytest.raises(PolicyDeniedError, match="opaque-call"):
        sign(wallet, put(one), answers=[])


def words_of(one: TypedData, tokens: dict[Address, Token]) -> str:
    review = review_of_typed_data(one, account="gas", chain_id=31337, tokens=tokens)
    return typed_data_text(one, "gas", SPENDER, tokens, review)


def test_the_words_of_a_permit() -> None:
    token = {COIN: Token(31337, COIN, "USDC", 6)}
    text = words_of(permit(), token)
    assert f"{SPENDER} may take 12.5 USDC (token contract {COIN}), if it is used by 2023-11-14 22:13 UTC" in text
    text = words_of(permit(2**256 - 1), token)
    assert f"{SPENDER} may take ALL tokens of USDC {COIN}, now and later" in text
    assert "base units of the unregistered token" in words_of(permit(), {})


def test_endless_fields_are_counted_and_not_shown() -> None:
    deep, names = "uint8[]", {}
    for number in range(12):  # long names in one another make each place long
        name = f"S{number}"
        names[name] = [("x" * 120, deep)]
        deep = name
    value: Any = (0,) * 60_000
    for _ in range(12):
        value = {"x" * 120: value}
    one = typed(dict(reversed(names.items())), value)
    text = words_of(one, {})
    assert "58004 more fields" in text
    assert len(text) < 5_000_000
