"""Park a transfer between two steps: a plan becomes JSON, and another process, days later, approves and signs it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import bursar
from bursar.keys.mnemonic import generate
from bursar.policy.policy import DEFAULT_POLICY_TOML

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def main() -> None:
    signer = bursar.SoftwareSigner.from_mnemonic(generate())
    master = signer.info.fingerprint
    assert master is not None  # a software signer always knows its own
    path = bursar.account_path(bursar.Scheme.BIP86, bursar.CoinType.TESTNET, 0)
    origin = bursar.KeyOrigin(master, path)
    account = bursar.BitcoinAccount(bursar.Network.REGTEST, bursar.Scheme.BIP86, origin, signer.xpub(path))

    with (
        TemporaryDirectory() as folder,
        bursar.Sandbox(None, ethereum="none") as sandbox,
        closing(
            bursar.BitcoindBackend(sandbox.bitcoin_url, network=account.network, cookie=sandbox.bitcoin_cookie)
        ) as node,
        closing(signer),
    ):
        store, parked = Path(folder) / "wallet.db", Path(folder) / "plan.json"

        # Monday, at the payment desk: no key is near
        with bursar.Wallet.open(store, create=True) as wallet:
            wallet.add_account("vault", account, signer=str(master))
            sandbox.fund_bitcoin(wallet.new_address("vault").address, bursar.Sats.from_text("2btc"))
            wallet.sync("vault", node)
            order = bursar.PaymentOrder(PAYEE, bursar.Sats.from_text("0.75btc"), "BTC")
            transfer = bursar.Transfer("vault", (order,), idempotency_key="invoice-2081")
            plan = wallet.plan(transfer, node)
            parked.write_text(json.dumps(plan.to_json()))
            print("parked", plan.id, "with digest", plan.digest()[:16])

        # Wednesday, where the signer is: the same plan, to the last byte, or none
        with bursar.Wallet.open(store) as wallet:
            plan = bursar.Plan.from_json(json.loads(parked.read_text()))
            approved = wallet.approve(plan, bursar.RulePolicy.from_toml(DEFAULT_POLICY_TOML))
            signed = wallet.sign(approved, signer=signer)
            print("sent", wallet.send(signed, node))
            print("the same key again is the same transfer:", wallet.plan(transfer, node).id == plan.id)
            print("journal:", wallet.journal.verify().sequence, "records, unbroken")


if __name__ == "__main__":
    main()
