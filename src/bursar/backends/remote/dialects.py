"""How web3signer's eth1 API and clef's external API are asked: their methods and the JSON they take."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY
from bursar.ethereum.typed_data_types import Kind

if TYPE_CHECKING:
    from bursar.backends.remote.json_rpc import RpcClient
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.ethereum.typed_data_types import FieldType

QUICK_SECONDS: Final = 3.0
_MACHINE_SECONDS: Final = 30.0
_HUMAN_SECONDS: Final = 300.0
_MOST_ACCOUNTS: Final = 10_000
_PUBLIC_KEY: Final = re.compile(r"0x(?:04)?([0-9a-f]{128})", re.ASCII | re.IGNORECASE)
_VERSION: Final = re.compile(r"([0-9]{1,3})\.[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)


class Dialect(Protocol):
    """One kind of remote signer. The answers of the signing methods are still unchecked."""

    asks_human: bool
    seconds: float

    def model(self) -> str: ...  # what it says it is, without asking a human

    def accounts(self) -> tuple[Address, ...]: ...

    def sign_transaction(self, address: Address, tx: UnsignedTransaction, *, seconds: float) -> Any: ...

    def sign_personal_message(self, address: Address, message: bytes, *, seconds: float) -> Any: ...

    def sign_typed_data(self, address: Address, typed: TypedData, *, seconds: float) -> Any: ...


class Web3Signer:
    """Consensys web3signer in eth1 mode. It signs for the one chain it was started for, and reads no access lists."""

    asks_human = False
    seconds = _MACHINE_SECONDS

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    def model(self) -> str:
        """``web3signer``, once it says that it is up."""
        if self._client.get("/upcheck", seconds=QUICK_SECONDS).body.strip().strip(b'"') != b"OK":
            raise self._client.garbled("its upcheck is not OK")
        return "web3signer"

    def accounts(self) -> tuple[Address, ...]:
        """The accounts of the public keys it holds."""
        found = self._client.parsed(self._client.get("/api/v1/eth1/publicKeys", seconds=self.seconds))
        if not isinstance(found, list) or len(found) > _MOST_ACCOUNTS:
            raise self._client.garbled("its public keys are no list")
        matches = [_PUBLIC_KEY.fullmatch(one) if isinstance(one, str) else None for one in found]
        if None in matches:
            raise self._client.garbled("a public key of it is not 64 bytes")
        return tuple(Address(keccak256(bytes.fromhex(one[1]))[12:]) for one in matches if one is not None)

    def sign_transaction(self, address: Address, tx: UnsignedTransaction, *, seconds: float) -> Any:
        """The raw signed transaction; types 0, 2 and 3 without an access list."""
        if tx.type not in (LEGACY, FEE_MARKET, BLOB) or tx.access_list:
            raise _unsupported("web3signer", f"type {tx.type}" + (" with an access list" if tx.access_list else ""))
        fields = _transaction_fields(address, tx)
        fields["data"] = "0x" + tx.data.hex()
        return self._client.ask("eth_signTransaction", [fields], seconds=seconds)

    def sign_personal_message(self, address: Address, message: bytes, *, seconds: float) -> Any:
        """``eth_sign``, which adds the prefix of EIP-191 itself."""
        return self._client.ask("eth_sign", [str(address), "0x" + message.hex()], seconds=seconds)

    def sign_typed_data(self, address: Address, typed: TypedData, *, seconds: float) -> Any:
        """``eth_signTypedData``. What its library (web3j) hashes otherwise than EIP-712 is not asked."""
        for struct, fields in typed.types.structs.items():
            odd = next((field for field in fields if _hashed_otherwise(field.type)), None)
            if odd is not None:
                raise UnsupportedError(
                    f"web3signer hashes {odd.type} otherwise than EIP-712 ({struct}.{odd.name}), its signature would "
                    "be one of something else: use another signer for this",
                    operation="sign_typed_data",
                    model="web3signer",
                )
        return self._client.ask("eth_signTypedData", [str(address), typed.to_json()], seconds=seconds)


class Clef:
    """Clef, go-ethereum's signer until 2026, and whatever speaks its external API of version 6: a human confirms."""

    asks_human = True
    seconds = _HUMAN_SECONDS

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    def model(self) -> str:
        """``clef 6.1.0``; another major version is not known here."""
        version = self._client.ask("account_version", [], seconds=QUICK_SECONDS)
        found = _VERSION.fullmatch(version) if isinstance(version, str) else None
        if found is None:
            raise self._client.garbled("its version is none")
        if found[1] != "6":
            raise UnsupportedError(f"clef's external API {version} is not known here: 6 is", model="clef")
        return f"clef {version}"

    def accounts(self) -> tuple[Address, ...]:
        """The accounts its human lets this caller see."""
        found = self._client.ask("account_list", [], seconds=self.seconds)
        if not isinstance(found, list) or len(found) > _MOST_ACCOUNTS:
            raise self._client.garbled("its accounts are no list")
        return tuple(self._address(one) for one in found)

    def _address(self, found: Any) -> Address:
        try:
            return Address.from_text(found if isinstance(found, str) else "", allow_lowercase=True)
        except InvalidInputError as error:
            raise self._client.garbled("an account of it is no address") from error

    def sign_transaction(self, address: Address, tx: UnsignedTransaction, *, seconds: float) -> Any:
        """The raw signed transaction; types 0 to 3. It answers with the JSON form too, which nobody needs."""
        if tx.type not in (LEGACY, ACCESS_LIST, FEE_MARKET, BLOB):
            raise _unsupported("clef", f"type {tx.type}")
        fields = _transaction_fields(address, tx)
        fields["input"] = "0x" + tx.data.hex()
        fields["chainId"] = hex(tx.chain_id)
        if tx.type != LEGACY:
            fields["accessList"] = [
                {"address": str(one.address), "storageKeys": ["0x" + key.hex() for key in one.storage_keys]}
                for one in tx.access_list
            ]
        answer = self._client.ask("account_signTransaction", [fields], seconds=seconds)
        if not isinstance(answer, dict) or not {"raw"} <= set(answer) <= {"raw", "tx"}:
            raise self._client.garbled("it holds no raw transaction")
        return answer["raw"]

    def sign_personal_message(self, address: Address, message: bytes, *, seconds: float) -> Any:
        """``account_signData`` of plain text, which adds the prefix of EIP-191 itself."""
        params = ["text/plain", str(address), "0x" + message.hex()]
        return self._client.ask("account_signData", params, seconds=seconds)

    def sign_typed_data(self, address: Address, typed: TypedData, *, seconds: float) -> Any:
        """``account_signTypedData``."""
        params = [str(address), json.loads(typed.to_json())]
        return self._client.ask("account_signTypedData", params, seconds=seconds)


def _transaction_fields(address: Address, tx: UnsignedTransaction) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "from": str(address),
        "gas": hex(tx.gas_limit),
        "value": hex(tx.value),
        "nonce": hex(tx.nonce),
    }
    if tx.to is not None:
        fields["to"] = str(tx.to)
    if tx.gas_price is not None:
        fields["gasPrice"] = hex(tx.gas_price)
    if tx.max_fee_per_gas is not None and tx.max_priority_fee_per_gas is not None:
        fields["maxFeePerGas"] = hex(tx.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(tx.max_priority_fee_per_gas)
    if tx.max_fee_per_blob_gas is not None:
        fields["maxFeePerBlobGas"] = hex(tx.max_fee_per_blob_gas)
        fields["blobVersionedHashes"] = ["0x" + one.hex() for one in tx.blob_versioned_hashes]
    return fields


def _hashed_otherwise(kind: FieldType) -> bool:
    """Arrays that web3j 5 flattens, fills up on the wrong side, or leaves out."""
    short = kind.kind is Kind.FIXED_BYTES and kind.size != 32
    return len(kind.levels) > 1 or (len(kind.levels) == 1 and (short or kind.kind is Kind.BOOL))


def _unsupported(model: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{model} signs no transactions of {what}: it would leave a part out, so use another signer for this",
        operation="sign_transaction",
        model=model,
    )
