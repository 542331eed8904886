"""Ask a policy what it would say, and why, with no wallet, node or key: rules, a review, one English sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import bursar
from bursar.policy.history import HistoryEntry

POLICY = """
version = 1

[[rule]]
name = "suppliers"
kind = "allow-list"
addresses = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]

[[rule]]
name = "per-day"
kind = "rolling-limit"
max = "2btc"
window = "24h"
"""


def main() -> None:
    bitcoin = bursar.Asset("bitcoin", "main", "BTC", 8)
    payment = bursar.Payment(bitcoin, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 150_000_000)
    review = bursar.Review(
        chain="bitcoin",
        network="main",
        account="operations",
        payments=(payment,),
        change=(),
        fee=1_000,
        max_fee=1_000,
        fee_asset=bitcoin,
        fee_rate="7 sat/vB",
    )
    stranger = replace(payment, to="bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3")
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    earlier = HistoryEntry(now - timedelta(hours=3), bitcoin, payment.to, 100_000_000)

    policy = bursar.RulePolicy.from_toml(POLICY)
    print(policy.explain(review, bursar.History(now)))
    print(policy.explain(review, bursar.History(now, [earlier])))
    print(policy.explain(replace(review, payments=(stranger,)), bursar.History(now)))


if __name__ == "__main__":
    main()
