"""The wallet: accounts, balances and transfers of their public halves; it holds no key and knows no concrete node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.protocols import Speed
from bursar.wallet.actions import ContractCall, Delegate, FillNonce, NftTransfer, SendBlobs, SetAllowance
from bursar.wallet.coin_control import SpendWith
from bursar.wallet.coin_records import CoinRecord
from bursar.wallet.deposit_records import DepositRecord
from bursar.wallet.nonce_records import HeldNonce, NonceGap, NonceRecord
from bursar.wallet.plan import ApprovedPlan, Plan, SignedTransfer, SigningProgress
from bursar.wallet.records import (
    AccountRecord,
    AddressRecord,
    AssetBalance,
    HistoryRow,
    JournalHead,
    Recovery,
    SyncReport,
    TransferRecord,
    TransferState,
)
from bursar.wallet.transfer import FeeChoice, PaymentOrder, Transfer

if TYPE_CHECKING:
    from bursar.wallet.wallet import Wallet

__all__ = [
    "AccountRecord",
    "AddressRecord",
    "ApprovedPlan",
    "AssetBalance",
    "CoinRecord",
    "ContractCall",
    "Delegate",
    "DepositRecord",
    "FeeChoice",
    "FillNonce",
    "HeldNonce",
    "HistoryRow",
    "JournalHead",
    "NftTransfer",
    "NonceGap",
    "NonceRecord",
    "PaymentOrder",
    "Plan",
    "Recovery",
    "SendBlobs",
    "SetAllowance",
    "SignedTransfer",
    "SigningProgress",
    "Speed",
    "SpendWith",
    "SyncReport",
    "Transfer",
    "TransferRecord",
    "TransferState",
    "Wallet",
]


def __getattr__(name: str) -> object:
    if name == "Wallet":
        from bursar.wallet.wallet import Wallet

        return Wallet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
