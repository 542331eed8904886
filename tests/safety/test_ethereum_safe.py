"""B5, B2: code that would run as a Safe is refused, its hashes are compared, a lying device is caught."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account.messages import encode_typed_data

from bursar.backends.software import SoftwareSigner
from bursar.cli import compose
from bursar.crypto.hashes import keccak256
from bursar.errors import ChainError, InvalidInputError, PolicyDeniedError, SignerMisbehavedError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.safe import (
    KNOWN_DELEGATES,
    Confirmations,
    MultiSendCall,
    Operation,
    Proposal,
    Safe,
    SafeTransaction,
    SafeVersion,
    encode_multi_send,
    read_proposal,
)
from bursar.ethereum.safe.words import selector, word
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic

if TYPE_CHECKING:
    from bursar.ethereum.typed_data import TypedData

PASSWORD = "correct horse battery"
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
CHAIN = 31337
BATCH = Address.from_text("0x40A2aCCbd92BCA938b02010E17A5b8929b49130D")
CALLS_ONLY = Address.from_text("0x9641d764fc13c8B624c04430C7356C1C7C8102e2")
PAYEE, EVIL = Address(b"\x35" * 20), Address(b"\x66" * 20)
OWNER = Address.from_text("0x9858EfFD232B4033E47d90003D41EC34EcaEda94")  # m/44h/60h/0h/0/0 of the words
OTHER = Address(b"\x44" * 20)
SAFE = Safe(CHAIN, Address(b"\x5a" * 20), SafeVersion(1, 4, 1))
HASH = AbiFunction.from_text(
    "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
)
TYPES = {
    "EIP712Domain": [("chainId", "uint256"), ("verifyingContract", "address")],
    "SafeTx": [
        ("to", "address"), ("value", "uint256"), ("data", "bytes"), ("operation", "uint8"), ("safeTxGas", "uint256"),
        ("baseGas", "uint256"), ("gasPrice", "uint256"), ("gasToken", "address"), ("refundReceiver", "address"),
        ("nonce", "uint256"),
    ],
}  # fmt: skip
ANYONE = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
KNOWN_CODE = ANYONE + f'[[rule]]\nname = "code"\nkind = "allow-calls"\ncontracts = ["{EVIL}"]\n'


def second_opinion(tx: SafeTransaction) -> dict[str, str]:
    """The three hashes by eth_account."""
    names = [name for name, _ in TYPES["SafeTx"]]
    fields = (tx.to, tx.value, tx.data, tx.operation, tx.safe_tx_gas, tx.base_gas, tx.gas_price, tx.gas_token)
    values = [int(one) if isinstance(one, int) else one if isinstance(one, bytes) else str(one) for one in fields]
    made = encode_typed_data(
        full_message={
            "types": {kind: [{"name": n, "type": t} for n, t in members] for kind, members in TYPES.items()},
            "primaryType": "SafeTx",
            "domain": {"chainId": CHAIN, "verifyingContract": str(tx.safe.address)},
            "message": dict(zip(names, [*values, str(tx.refund_receiver), tx.nonce], strict=True)),
        }
    )
    whole = keccak256(b"\x19\x01" + made.header + made.body)
    return {"domain": "0x" + made.header.hex(), "message": "0x" + made.body.hex(), "safe_tx": "0x" + whole.hex()}


class Contract:
    """A node with one Safe, which hashes by eth_account; ``says`` is a hash it gives instead."""

    def __init__(self) -> None:
        self.says: bytes | None = None

    def check_chain(self) -> None: ...

    def close(self) -> None: ...

    def code(self, address: Address) -> bytes:
        return b"\x60" if address == CALLS_ONLY else b""

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        assert to == SAFE.address
        version = word(32) + word(5) + b"1.4.1".ljust(32, b"\0")
        simple = {
            "VERSION()": version,
            "getOwners()": word(32) + word(2) + word(OWNER) + word(OTHER),
            "getThreshold()": word(1),
            "nonce()": word(7),
            "domainSeparator()": SAFE.domain_separator,
            "approvedHashes(address,bytes32)": word(0),
        }
        for name, answer in simple.items():
            if data[:4] == selector(name):
                return answer
        if data[:4] == HASH.selector:
            to_, value, payload, operation, gas, base, price, token, receiver, nonce = HASH.decode_call(data)
            tx = SafeTransaction(
                safe=SAFE, to=to_, value=Wei(value), data=payload, operation=Operation(operation), safe_tx_gas=gas,
                base_gas=base, gas_price=price, gas_token=token, refund_receiver=receiver, nonce=nonce,
            )  # fmt: skip
            return self.says or bytes.fromhex(second_opinion(tx)["safe_tx"][2:])
        raise ChainError("execution reverted", code="chain.reverted")


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Contract:
    made = Contract()
    monkeypatch.setattr(compose, "ethereum_node", lambda _session, _chain_id: made)
    monkeypatch.chdir(tmp_path)
    return made


def proposal(name: str, **fields: Any) -> SafeTransaction:
    tx = SafeTransaction(safe=SAFE, nonce=7, **fields)
    Path(name).write_text(Proposal(Confirmations(tx, frozenset((OWNER, OTHER)), 1)).to_text())
    return tx


def sign(line: Any, name: str, *options: str, answers: list[str] | None = None) -> Any:
    words = ("eth", "safe", "sign", name, "--account", "gas", *options)
    return line.json(*words, answers=["y", PASSWORD] if answers is None else answers)


def batch(*calls: MultiSendCall) -> dict[str, Any]:
    return {"to": BATCH, "data": encode_multi_send(calls), "operation": Operation.DELEGATE_CALL}


EVIL_CALL = MultiSendCall(EVIL, data=b"\xa9\x05\x9c\xbb" + word(PAYEE) + word(0), operation=Operation.DELEGATE_CALL)


@pytest.mark.parametrize(
    "fields",
    [
        {"to": EVIL, "data": EVIL_CALL.data, "operation": Operation.DELEGATE_CALL},
        batch(MultiSendCall(PAYEE, Wei(1)), EVIL_CALL),
        batch(MultiSendCall(BATCH, data=encode_multi_send([EVIL_CALL]), operation=Operation.DELEGATE_CALL)),
    ],
    ids=["alone", "in a batch", "in a batch in a batch"],
)
@pytest.mark.usefixtures("contract")
def test_B5_foreign_code_needs_a_flag_and_the_policy(line: Any, fields: dict[str, Any]) -> None:
    (line.home / "policy.toml").write_text(ANYONE)
    proposal("evil.json", **fields)
    for options in ((), ("--offline",)):
        with pytest.raises(InvalidInputError, match="as the Safe itself") as caught:
            sign(line, "evil.json", *options, answers=[])
        assert caught.value.code == "input.safe.delegate-call"
    shown = line.text("eth", "safe", "show", "evil.json")
    assert "No owner should sign this" in shown
    assert "it can take everything" in shown
    allowed = ("--allow-delegate", str(EVIL))
    with pytest.raises(PolicyDeniedError, match=r"delegate-call|opaque-call"):
        sign(line, "evil.json", *allowed, answers=[])
    found = read_proposal(Path("evil.json").read_bytes())
    assert isinstance(found, Proposal)
    assert not found.confirmations.signatures
    (line.home / "policy.toml").write_text(KNOWN_CODE)
    if len(fields["data"]) < 100:  # nothing else is called: with both, an owner may
        assert sign(line, "evil.json", *allowed)["missing"] == 0


def test_B5_hashes_are_computed_shown_and_compared(line: Any, contract: Contract) -> None:
    (line.home / "policy.toml").write_text(ANYONE)
    tx = proposal("pay.json", to=PAYEE, value=Wei(10**15), data=b"")
    hashes = second_opinion(tx)
    sign(line, "pay.json")
    heard = "\n".join(line.answers.heard)
    assert all(one in heard for one in hashes.values())
    line.json("eth", "safe", "verify", "pay.json", "--hash", hashes["safe_tx"], "--domain-hash", hashes["domain"])
    proposal("fresh.json", to=PAYEE, value=Wei(10**15))
    contract.says = keccak256(b"another transaction")
    for words in (
        ("sign", "fresh.json", "--account", "gas"),
        ("show", "fresh.json"),
        ("execute", "pay.json", "--prepare"),
    ):
        with pytest.raises(InvalidInputError, match="sign nothing") as caught:
            line.json("eth", "safe", *words)
        assert caught.value.code == "input.safe.hash"
    contract.says = None
    data = json.loads(Path("fresh.json").read_text())
    data["transaction"]["operation"], data["transaction"]["value"] = 1, "0"
    Path("fresh.json").write_text(json.dumps(data))
    with pytest.raises(InvalidInputError, match="sign nothing"):
        sign(line, "fresh.json", answers=[])


@pytest.mark.usefixtures("contract")
def test_B5_a_batch_is_judged_call_by_call(line: Any) -> None:
    limit = ANYONE + '[[rule]]\nname = "most"\nkind = "limit"\nmax = "0.5eth"\n'
    (line.home / "policy.toml").write_text(limit)
    propose = ("eth", "safe", "propose", str(SAFE.address))
    made = line.json(*propose, "two.json", str(PAYEE), "0.2eth", str(OTHER), "0.2eth")
    assert made["transaction"]["to"] == str(CALLS_ONLY)
    shown = line.text("eth", "safe", "show", "two.json")
    assert str(PAYEE) in shown
    assert str(OTHER) in shown
    assert sign(line, "two.json")["missing"] == 0
    line.json(*propose, "much.json", str(PAYEE), "0.3eth", str(OTHER), "0.3eth")
    with pytest.raises(PolicyDeniedError, match="most"):
        sign(line, "much.json", answers=[])
    elsewhere = ("--batch", str(OTHER))
    with pytest.raises(InvalidInputError, match="no MultiSend contract"):
        line.json(*propose, "odd.json", str(PAYEE), "1wei", str(OTHER), "1wei", *elsewhere)
    assert not Path("odd.json").exists()


def test_B5_a_safe_without_a_chain_has_to_be_accepted_by_each_owner(line: Any, tmp_path: Path) -> None:
    for version in (SafeVersion(1, 1, 1), SafeVersion(0, 1, 0)):
        old = Safe(CHAIN, SAFE.address, version, any_chain=True)
        tx = SafeTransaction(safe=old, to=PAYEE, value=Wei(5), nonce=7)
        file = tmp_path / f"{version}.json"
        file.write_text(Proposal(Confirmations(tx, frozenset((OWNER,)), 1)).to_text())
        (line.home / "policy.toml").write_text(ANYONE)
        with pytest.raises(InvalidInputError, match="counts on every one"):
            sign(line, str(file), "--offline", answers=[])
        with pytest.raises(PolicyDeniedError, match="domain-mismatch"):
            sign(line, str(file), "--offline", "--any-chain", answers=[])
        (line.home / "policy.toml").write_text(KNOWN_CODE.replace(str(EVIL), str(PAYEE)))
        assert sign(line, str(file), "--offline", "--any-chain")["missing"] == 0


class Liar:
    """A device that is told something else on the way, and signs that."""

    def __init__(self) -> None:
        self._signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))
        self.info = self._signer.info

    def xpub(self, path: Any) -> Any:
        return self._signer.xpub(path)

    def close(self) -> None:
        self._signer.close()

    def sign_typed_data(self, path: Any, typed: TypedData) -> Any:
        tx = SafeTransaction.from_typed_data(typed)
        fields = {name: getattr(tx, name) for name in tx.__slots__} | {"value": Wei(tx.value * 1000)}
        return self._signer.sign_typed_data(path, SafeTransaction(**fields).typed_data(delegates=KNOWN_DELEGATES))


@pytest.mark.usefixtures("contract")
def test_B2_a_signature_of_another_amount_is_caught_and_not_kept(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (line.home / "policy.toml").write_text(ANYONE)
    proposal("pay.json", to=PAYEE, value=Wei(10**15))
    before = Path("pay.json").read_bytes()

    @contextmanager
    def lying(*_: Any) -> Any:
        yield "liar", Liar()

    monkeypatch.setattr(compose, "signer", lying)
    with pytest.raises(SignerMisbehavedError, match="is not one of this typed data"):
        sign(line, "pay.json", answers=["y"])
    with pytest.raises(SignerMisbehavedError):
        sign(line, "pay.json", "--to", "mine.json", answers=["y"])
    assert Path("pay.json").read_bytes() == before
    assert not Path("mine.json").exists()
