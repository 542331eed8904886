"""Bursar, a wallet toolkit for Bitcoin and Ethereum: names come from their rooms when first used (PEP 562)."""

_ROOMS = {
    "bursar.backends.software": "SoftwareBackend SoftwareSigner",
    "bursar.bitcoin.account": "BitcoinAccount",
    "bursar.bitcoin.accounts": "ScriptAccount account_of_descriptor",
    "bursar.bitcoin.descriptor_account": "DescriptorAccount",
    "bursar.bitcoin.descriptors.descriptor": "Descriptor",
    "bursar.bitcoin.multisig": "MultisigAccount MultisigKind",
    "bursar.bitcoin.network": "Network",
    "bursar.bitcoin.psbt": "Psbt",
    "bursar.bitcoin.units": "FeeRate Sats",
    "bursar.bitcoin.wallet_policy": "WalletPolicy",
    "bursar.chain.estimates": "CrossChecked FixedRate",
    "bursar.chain.protocols": "BitcoinBackend ChainWatcher EthereumBackend FeeEstimator PackageBroadcaster",
    "bursar.crypto.secret": "Secret",
    "bursar.errors": (
        "ApprovalPendingError BroadcastRejectedError BursarError ChainError ChainUnavailableError "
        "ConflictError CorruptKeystoreError CorruptStoreError InconclusiveError InsufficientFundsError "
        "InvalidContributionError InvalidInputError InvalidSignatureError KeystoreBusyError KeystoreError "
        "MissingExtraError PolicyDeniedError SignerError SignerMisbehavedError SignerNotFoundError "
        "SignerUnavailableError StoreBusyError StoreError UnsupportedError UserCancelledError WrongChainError "
        "WrongPasswordError"
    ),
    "bursar.ethereum.account": "EthereumAccount",
    "bursar.ethereum.fees": "Eip1559Fees",
    "bursar.ethereum.token": "Token",
    "bursar.ethereum.transaction": "SignedTransaction UnsignedTransaction",
    "bursar.ethereum.typed_data": "TypedData",
    "bursar.ethereum.units": "Wei",
    "bursar.keys.bip32": "ExtendedPrivateKey ExtendedPublicKey",
    "bursar.keys.mnemonic": "Mnemonic",
    "bursar.keys.origin": "Fingerprint KeyOrigin",
    "bursar.keys.path": "DerivationPath",
    "bursar.keys.scheme": "CoinType Scheme account_path",
    "bursar.nodes.bitcoind": "BitcoindBackend",
    "bursar.nodes.electrum": "ElectrumBackend",
    "bursar.nodes.esplora": "EsploraBackend",
    "bursar.nodes.ethrpc": "EthRpcBackend",
    "bursar.nodes.sandbox": "Sandbox",
    "bursar.policy.history": "History",
    "bursar.policy.policy": "RulePolicy",
    "bursar.policy.protocols": "Policy",
    "bursar.policy.render": "review_text",
    "bursar.policy.review": "Asset Change Payment Review ReviewWarning",
    "bursar.policy.verdict": "Allow Deny NeedApproval",
    "bursar.signing.checks": (
        "confirm_address request_message request_personal_message request_signatures request_transaction "
        "request_typed_data"
    ),
    "bursar.signing.protocols": (
        "AddressDisplay DeviceEvent EthereumSigner MessageSigner PersonalMessageSigner Prompt PsbtSigner "
        "SecretRequest Signer SignerBackend SignerInfo TypedDataSigner"
    ),
    "bursar.signing.registry": "Registry",
    "bursar.version": "__version__",
    "bursar.wallet.actions": "ContractCall Delegate FillNonce NftTransfer SetAllowance",
    "bursar.wallet.coin_control": "SpendWith",
    "bursar.wallet.coin_records": "CoinRecord",
    "bursar.wallet.deposit_records": "DepositRecord",
    "bursar.wallet.nonce_records": "HeldNonce NonceGap NonceRecord",
    "bursar.wallet.plan": "ApprovedPlan Plan SignedTransfer SigningProgress",
    "bursar.wallet.records": (
        "AccountRecord AddressRecord AssetBalance HistoryRow JournalHead Recovery SyncReport TransferRecord "
        "TransferState"
    ),
    "bursar.wallet.transfer": "FeeChoice PaymentOrder Transfer",
    "bursar.wallet.wallet": "Wallet",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
