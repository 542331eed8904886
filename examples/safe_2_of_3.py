"""A Safe of three owners, of whom two agree: a software key, a Trezor and a Ledger (simulated), on the embedded EVM.

The Safe project's own contracts run here where BURSAR_CONTRACTS names a folder with them (the npm package
@safe-global/safe-contracts, 1.4.1). Without it a stand-in written for this project does (contracts/StandInSafe.sol),
which hashes and judges signatures the same way.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

import bursar
from bursar.backends.ledger import LedgerBackend
from bursar.chain.questions import answered
from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.ethereum.abi import AbiFunction, encode
from bursar.ethereum.address import Address
from bursar.ethereum.safe import (
    Confirmations,
    OwnerSignature,
    Proposal,
    Safe,
    SafeTransaction,
    check_hash,
    read_proposal,
    read_settings,
    read_state,
)
from bursar.keys.mnemonic import generate
from bursar.keys.origin import UNKNOWN
from bursar.signing.protocols import TypedDataSigner
from bursar.signing.registry import Registry

PAYEE = Address.from_text("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")  # an example of EIP-55
PATH = bursar.account_path(bursar.Scheme.BIP44, bursar.CoinType.ETHEREUM, 0)
SETUP = AbiFunction.from_text("setup(address[],uint256,address,bytes,address,address,uint256,address)")
NOBODY = Address(bytes(20))


class Sender:
    """Any account with ether: it brings transactions to the chain, and has no say in what the Safe does."""

    def __init__(self, sandbox: bursar.Sandbox, node: bursar.EthRpcBackend) -> None:
        self._sandbox, self._node = sandbox, node
        self._signer = bursar.SoftwareSigner.from_mnemonic(generate())
        master = self._signer.info.fingerprint
        assert master is not None  # a software signer always knows its own
        origin = bursar.KeyOrigin(master, PATH)
        self._account = bursar.EthereumAccount(node.chain_id, origin, self._signer.xpub(PATH))
        sandbox.fund_ether(str(self._account.address(0)), bursar.Wei.from_text("5eth"))

    def create(self, code: bytes) -> Address:
        """Make a contract; its address follows from the creator's and from the nonce."""
        own = self._account.address(0)
        nonce = self._node.nonce(own)
        self.send(None, code)
        return Address(keccak256(rlp.encode([own.value, nonce.to_bytes(8, "big").lstrip(b"\0")]))[12:])

    def send(self, to: Address | None, data: bytes) -> None:
        """Send and mine."""
        own, quote = self._account.address(0), self._node.fees()
        fees = bursar.Eip1559Fees.from_quote(base_fee=quote.base_fee, priority_fee=quote.normal)
        tx = bursar.UnsignedTransaction(
            chain_id=self._node.chain_id,
            nonce=self._node.nonce(own),
            to=to,
            value=bursar.Wei(0),
            data=data,
            gas_limit=8_000_000 if to is None else 500_000,
            max_fee_per_gas=fees.max_fee_per_gas,
            max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        )
        signed = bursar.request_transaction(self._signer, self._account.path(0), tx, sender=own)
        sent = self._node.broadcast(signed.serialize())
        self._sandbox.mine_ethereum(1)
        receipt = self._node.receipt(sent)
        assert receipt is not None
        assert receipt.succeeded


def deploy(sender: Sender, owners: list[Address], threshold: int) -> Address:
    """A Safe of these owners."""
    folder = os.environ.get("BURSAR_CONTRACTS")
    if folder is None:
        print("no contracts of the Safe project here: this is the stand-in")
        compiled = Path(__file__).with_name("contracts") / "StandInSafe.json"
        return sender.create(bytecode(compiled) + encode(("address[]", "uint256"), (owners, threshold)))
    paths = {name: next(Path(folder).glob(f"**/*1.4.1*/**/build/**/{name}.json")) for name in ("Safe", "SafeProxy")}
    code = sender.create(bytecode(paths["Safe"]))
    made = sender.create(bytecode(paths["SafeProxy"]) + encode(("address",), (code,)))
    sender.send(made, SETUP.encode_call(owners, threshold, NOBODY, b"", NOBODY, NOBODY, 0, NOBODY))
    return made


def bytecode(compiled: Path) -> bytes:
    return bytes.fromhex(json.loads(compiled.read_text())["bytecode"][2:])


def read(file: Path) -> Proposal:
    """The proposal in a file; every signature is checked and every hash computed again."""
    found = read_proposal(file.read_bytes())
    assert isinstance(found, Proposal)
    return found


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        trezor = stack.enter_context(TrezorSimulator(human=approve()))
        ledger = stack.enter_context(LedgerSimulator(app="Ethereum", human=approve(), blind_signing=True))
        known = Registry.installed([LedgerBackend(app="Ethereum")])
        signers = [
            bursar.SoftwareSigner.from_mnemonic(generate()),
            *[known.open(one.selector, BenchPrompt()) for one in (trezor, ledger)],
        ]
        for signer in signers:
            stack.enter_context(closing(signer))
        sandbox = stack.enter_context(bursar.Sandbox(None))
        node = stack.enter_context(
            closing(bursar.EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id))
        )

        accounts: list[bursar.EthereumAccount] = []
        for signer in signers:
            origin = bursar.KeyOrigin(signer.info.fingerprint or UNKNOWN, PATH)  # a Ledger tells none for Ethereum
            accounts.append(bursar.EthereumAccount(node.chain_id, origin, signer.xpub(PATH)))
        # two simulators may hold the same words: each owner signs with another index
        owners = [account.address(index) for index, account in enumerate(accounts)]

        sender = Sender(sandbox, node)
        place = deploy(sender, owners, 2)
        sandbox.fund_ether(str(place), bursar.Wei.from_text("3eth"))

        # what the chain says of the Safe, held to what is computed here
        state = read_state(lambda data: node.call(place, data))
        safe = Safe(node.chain_id, place, state.version)
        state.check(safe)
        print(f"Safe {place}, version {state.version}: {state.threshold} of {len(state.owners)} owners")
        for caution in answered(read_settings(place, state.version), node).cautions():
            print("  !", caution.text)

        payment = SafeTransaction(safe=safe, to=PAYEE, value=bursar.Wei.from_text("1.5eth"), nonce=state.nonce)
        answered(check_hash(payment), node)
        file = folder / "payment.json"
        file.write_text(Proposal(Confirmations(payment, state.owners, state.threshold), "Invoice 2081").to_text())

        # any two, in any order, days apart: the file goes from one to the next
        for index in (2, 1):
            signer, account = signers[index], accounts[index]
            proposal = read(file)
            assert isinstance(signer, TypedDataSigner)
            for name, value in proposal.hashes.to_json().items():
                print(f"  {name:8} {value}")
            signature = bursar.request_typed_data(
                signer,
                account.path(index),
                proposal.transaction.typed_data(),
                sender=account.address(index),
                chain_id=node.chain_id,
            )
            file.write_text(proposal.add(OwnerSignature.typed(payment.digest(), signature)).to_text())
            print(signer.info.model, "signed;", read(file).confirmations.missing, "more needed")

        sender.send(place, read(file).confirmations.execution())
        print(PAYEE, "has", node.balance(PAYEE).to_eth_text())
        assert node.balance(PAYEE) == bursar.Wei.from_text("1.5eth")
        assert read_state(lambda data: node.call(place, data)).nonce == state.nonce + 1


if __name__ == "__main__":
    main()
