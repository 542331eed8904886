"""Reviews and moments the policy tests share."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from bursar.policy.history import History
from bursar.policy.review import Asset, Payment, Review, ReviewWarning

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BTC = Asset("bitcoin", "main", "BTC", 8)
REGTEST = Asset("bitcoin", "regtest", "BTC", 8)
ETH = Asset("ethereum", "eip155:1", "ETH", 18)
TOKEN = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55's first example
TUSD = Asset("ethereum", "eip155:1", "TUSD", 6, TOKEN)
ALICE = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"  # BIP-173's P2WPKH example
BOB = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
CAROL = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"


def make_review(
    *payments: tuple[Asset, str, int],
    fee: int = 1000,
    rate: str | None = None,
    account: str = "treasury",
    warnings: tuple[str, ...] = (),
    asset: Asset = BTC,
) -> Review:
    """A review that makes these payments; its chain is that of the first, or of ``asset`` without payments."""
    first = payments[0][0] if payments else asset
    coin = Asset(
        first.chain,
        first.network,
        "ETH" if first.chain == "ethereum" else "BTC",
        18 if first.chain == "ethereum" else 8,
    )
    return Review(
        chain=first.chain,
        network=first.network,
        account=account,
        payments=tuple(Payment(asset, to, amount) for asset, to, amount in payments),
        change=(),
        fee=fee // 2,
        max_fee=fee,
        fee_asset=coin,
        fee_rate=rate or ("2 gwei + 1 gwei tip" if first.chain == "ethereum" else "12.5 sat/vB"),
        warnings=tuple(ReviewWarning(code, "mind this") for code in warnings),
    )


@pytest.fixture
def stage() -> SimpleNamespace:
    """The assets, addresses and moment of the policy tests, ``review(...)``, and ``empty``, a history of nothing."""
    return SimpleNamespace(
        now=NOW,
        BTC=BTC,
        REGTEST=REGTEST,
        ETH=ETH,
        TUSD=TUSD,
        TOKEN=TOKEN,
        ALICE=ALICE,
        BOB=BOB,
        CAROL=CAROL,
        review=make_review,
        empty=History(NOW),
    )
