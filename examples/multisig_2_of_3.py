"""2 of 3: a software key, a Trezor and a Ledger (simulated, from bursar-devices) spend together, on a real chain."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

import bursar
from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.policies import FilePolicyStore
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.keys.mnemonic import generate
from bursar.keys.scheme import MultisigScript, multisig_path
from bursar.policy.policy import DEFAULT_POLICY_TOML
from bursar.signing.policies import register_policy
from bursar.signing.protocols import PsbtSigner, ScriptAddressDisplay
from bursar.signing.registry import Registry

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        trezor = stack.enter_context(TrezorSimulator(human=approve()))
        ledger = stack.enter_context(LedgerSimulator(app="Bitcoin Test", human=approve()))

        # a Ledger signs for accounts of several keys that it was shown once; what it answers then is kept in a file
        store = FilePolicyStore(folder / "ledger" / "policies.json")
        known = Registry.installed([LedgerBackend(policies=store)])
        signers: list[PsbtSigner] = [bursar.SoftwareSigner.from_mnemonic(generate())]
        for device in (trezor, ledger):
            opened = known.open(device.selector, BenchPrompt())
            assert isinstance(opened, PsbtSigner)
            signers.append(opened)
        for signer in signers:
            stack.enter_context(closing(signer))

        path = multisig_path(MultisigScript.WSH, bursar.CoinType.TESTNET, 0)
        cosigners: list[tuple[bursar.KeyOrigin, bursar.ExtendedPublicKey]] = []
        for signer in signers:
            master = signer.info.fingerprint
            assert master is not None
            cosigners.append((bursar.KeyOrigin(master, path), replace(signer.xpub(path), testnet=True)))
        account = MultisigAccount(bursar.Network.REGTEST, MultisigKind.WSH, 2, tuple(cosigners))

        registration = register_policy(signers[2], account, "Board 2 of 3")
        print("registered", registration.policy.template)
        for signer in signers[1:]:
            assert isinstance(signer, ScriptAddressDisplay)
            print(signer.info.model, "shows", bursar.confirm_address(signer, account, 0))

        sandbox = stack.enter_context(bursar.Sandbox(None, ethereum="none"))
        wallet = stack.enter_context(bursar.Wallet.open(folder / "wallet.db", create=True))
        node = stack.enter_context(
            closing(bursar.BitcoindBackend(sandbox.bitcoin_url, network=account.network, cookie=sandbox.bitcoin_cookie))
        )
        wallet.add_account("board", account)
        sandbox.fund_bitcoin(wallet.new_address("board").address, bursar.Sats.from_text("0.5btc"))
        wallet.sync("board", node)

        payment = bursar.PaymentOrder(PAYEE, bursar.Sats.from_text("0.1btc"), "BTC")
        plan = wallet.plan(bursar.Transfer("board", (payment,)), node)
        print(bursar.review_text(plan.review))
        wallet.approve(plan, bursar.RulePolicy.from_toml(DEFAULT_POLICY_TOML))
        for signer in (signers[2], signers[1]):  # any two, in any order, days apart if need be
            progress = wallet.add_signatures(plan.id, signer=signer)
            print(f"{progress.count} of {progress.need} signatures")
        assert progress.signed is not None
        print("sent", wallet.send(progress.signed, node))

        sandbox.mine(1)
        for record in wallet.refresh("board", node):
            print(record.state, "in block", record.height, "for a fee of", record.fee, "sat")


if __name__ == "__main__":
    main()
