"""Labels of the store: import with its report, freezing, networks and origins, export by account."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bursar.bitcoin.labels import LabelRecord, LabelType, read_labels, write_labels
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.wallet.labels import export_labels, import_labels
from bursar.wallet.store.labels import LabelRow, frozen, label_rows, put_label
from bursar.wallet.store.schema import coins

if TYPE_CHECKING:
    from bursar.wallet.wallet import Wallet

OTHER = "ab" * 32


def tx(label: str | None, ref: str = OTHER, origin: str | None = None) -> LabelRecord:
    return LabelRecord(LabelType.TX, ref, label, origin=origin)


def coin(funded: SimpleNamespace, label: str | None, spendable: bool | None) -> LabelRecord:
    with funded.wallet._context.store.read() as connection:
        row = connection.execute(coins.select()).first()
    return LabelRecord(LabelType.OUTPUT, f"{row.txid}:{row.vout}", label, spendable)


def test_import_reports_and_stores(funded: SimpleNamespace) -> None:
    wallet = funded.wallet
    address = LabelRecord(
        LabelType.ADDRESS, funded.account.address(0, 0).text, "first", details=(("keypath", '"/0/0"'),)
    )
    frozen_coin = coin(funded, "change", False)
    report = import_labels(wallet, [address, frozen_coin, tx("rent")], account="btc")
    assert [(one.before, one.after) for one in report.changes] == [
        (None, address),
        (None, frozen_coin),
        (None, tx("rent")),
    ]
    assert report.skipped == ()
    assert import_labels(wallet, [address, tx("rent")], account="btc").changes == ()
    with wallet._context.store.read() as connection:
        assert frozen(connection, "regtest")[0] == {(frozen_coin.reference[:64], int(frozen_coin.reference[65:]))}
    last = list(wallet.journal.records())[-1]
    assert (last.kind, last.body["changed"], last.body["frozen"]) == ("labels.imported", 3, 1)
    assert report.to_json()["changes"][0]["after"]["label"] == "first"


def test_newer_wins_unless_told_to_keep(funded: SimpleNamespace) -> None:
    wallet = funded.wallet
    import_labels(wallet, [tx("old"), coin(funded, None, False)], account="btc")
    kept = import_labels(wallet, [tx("new"), coin(funded, "filled in", True)], account="btc", keep=True)
    assert [one.after for one in kept.changes] == [coin(funded, "filled in", False)]
    newer = import_labels(wallet, [tx("new"), coin(funded, None, True)], account="btc")
    assert [one.after for one in newer.changes] == [tx("new"), coin(funded, "filled in", True)]
    gone = import_labels(wallet, [tx("")], account="btc")
    assert len(gone.changes) == 1
    assert [one.reference for one in export_labels(wallet, network=Network.REGTEST)] == [
        coin(funded, None, None).reference
    ]


def test_what_belongs_elsewhere_is_passed_over(funded: SimpleNamespace) -> None:
    own = f"wpkh([{funded.account.origin}])".replace("h", "'").replace("wpk'", "wpkh")
    main = LabelRecord(LabelType.ADDRESS, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "main")
    xpub = LabelRecord(LabelType.XPUB, str(funded.account.xpub), "ours")
    records = [main, tx("ours", origin=own), tx("theirs", "cd" * 32, "wpkh([00000001/84h/1h/0h])"), xpub]
    report = import_labels(funded.wallet, records, account="btc")
    assert [one.after for one in report.changes] == [records[1], xpub]
    assert [reason for _, reason in report.skipped] == [
        "it does not belong to regtest",
        "its origin is another wallet's",
    ]
    assert len(import_labels(funded.wallet, records, network=Network.REGTEST).changes) == 1


def test_export_of_an_account_and_of_all(funded: SimpleNamespace) -> None:
    wallet, account = funded.wallet, funded.account
    ours = coin(funded, "ours", None)
    records = [
        tx("outside"),
        ours,
        tx("funding", ours.reference[:64]),
        LabelRecord(LabelType.ADDRESS, account.address(1, 3).text, "change"),
        LabelRecord(LabelType.XPUB, str(account.xpub), "key"),
        LabelRecord(LabelType.ADDRESS, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "somebody"),
    ]
    import_labels(wallet, records, account="btc")
    assert set(export_labels(wallet, network=Network.REGTEST)) == set(records)
    found = export_labels(wallet, account="btc")
    assert {one.label for one in found} == {"ours", "funding", "change", "key"}
    assert {one.origin for one in found} == {f"wpkh([{account.origin}])"}
    assert read_labels(write_labels(found)).records == found
    assert import_labels(wallet, found, account="btc").skipped == ()


def test_a_frozen_address_stays_frozen(funded: SimpleNamespace) -> None:
    address = funded.account.address(0, 1).text
    with funded.wallet._context.store.write() as connection:
        put_label(connection, LabelRow("regtest", "addr", address, None, None, False))
    import_labels(funded.wallet, [LabelRecord(LabelType.ADDRESS, address, "named")], account="btc")
    import_labels(funded.wallet, [LabelRecord(LabelType.ADDRESS, address, "")], account="btc")
    with funded.wallet._context.store.read() as connection:
        assert frozen(connection, "regtest")[1] == {address}
        assert label_rows(connection) == [LabelRow("regtest", "addr", address, None, None, False)]
    assert export_labels(funded.wallet, account="btc") == ()


def test_whose_labels(funded: SimpleNamespace, fakes: SimpleNamespace, wallet: Wallet) -> None:
    with pytest.raises(InvalidInputError, match="name one"):
        export_labels(wallet)
    with pytest.raises(InvalidInputError):
        import_labels(wallet, [], account="nobody")
    with pytest.raises(InvalidInputError, match="not on main"):
        import_labels(wallet, [], account="btc", network=Network.MAIN)
    wallet.add_account("eth", fakes.ethereum_account(), signer="test")
    with pytest.raises(InvalidInputError, match="ethereum"):
        export_labels(wallet, account="eth")
