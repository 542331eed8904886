"""The keys of a silent payment wallet (BIP-352, ``m/352h/coin/account``) and the labels that tell payments apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from bursar.bitcoin.silent_payments.address import SilentPaymentAddress
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.payment_points import check_tweak
from bursar.crypto.secp256k1 import parse_public_key, public_key, tweak_add_public
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.scheme import CoinType, silent_payment_paths

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.keys.bip32 import ExtendedPrivateKey

CHANGE_LABEL: Final = 0


@dataclass(frozen=True, slots=True)
class SilentPaymentKeys:
    """What finds payments but cannot spend them: the secret ``scan`` key and the public ``spend`` key (33 bytes)."""

    network: Network
    scan: Secret
    spend: bytes

    def __post_init__(self) -> None:
        parse_public_key(self.spend)
        public_key(self.scan.expose())

    @classmethod
    def derive(cls, root: ExtendedPrivateKey, network: Network, account: int = 0) -> Self:
        """From a master key."""
        coin = CoinType.TESTNET if network.testnet else CoinType.BITCOIN
        scan, spend = silent_payment_paths(coin, account)
        with root.derive(scan) as one, root.derive(spend) as other:
            return cls(network, one.secret(), other.public().key)

    def address(self, label: int | None = None) -> SilentPaymentAddress:
        """The address, or one with a label from 1; label 0 is the wallet's own change and not handed out here."""
        if label == CHANGE_LABEL:
            raise InvalidInputError(
                "label 0 marks change and is never given away: use change_address() for it", code="input.silent-payment"
            )
        return self._address(label)

    def change_address(self) -> SilentPaymentAddress:
        """The address this wallet sends its own change to; nobody else may ever see it."""
        return self._address(CHANGE_LABEL)

    def _address(self, label: int | None) -> SilentPaymentAddress:
        spend = self.spend if label is None else tweak_add_public(self.spend, self.label_tweak(label).expose())
        return SilentPaymentAddress(public_key(self.scan.expose()), spend, self.network.testnet)

    def label_tweak(self, label: int) -> Secret:
        """The tweak of a label from 0 to 2**32 - 1."""
        if type(label) is not int or not 0 <= label < 1 << 32:
            raise InvalidInputError(f"a label is a number from 0 to 4294967295, not {label!r}")
        tweak = tagged_hash("BIP0352/Label", self.scan.expose() + label.to_bytes(4, "big"))
        check_tweak(tweak)
        return Secret(tweak)
