"""What type checkers see of ``bursar/__init__.py``: a test holds the two to the same names."""

from bursar.backends.software import SoftwareBackend as SoftwareBackend
from bursar.backends.software import SoftwareSigner as SoftwareSigner
from bursar.bitcoin.account import BitcoinAccount as BitcoinAccount
from bursar.bitcoin.accounts import ScriptAccount as ScriptAccount
from bursar.bitcoin.accounts import account_of_descriptor as account_of_descriptor
from bursar.bitcoin.descriptor_account import DescriptorAccount as DescriptorAccount
from bursar.bitcoin.descriptors.descriptor import Descriptor as Descriptor
from bursar.bitcoin.multisig import MultisigAccount as MultisigAccount
from bursar.bitcoin.multisig import MultisigKind as MultisigKind
from bursar.bitcoin.network import Network as Network
from bursar.bitcoin.psbt import Psbt as Psbt
from bursar.bitcoin.units import FeeRate as FeeRate
from bursar.bitcoin.units import Sats as Sats
from bursar.bitcoin.wallet_policy import WalletPolicy as WalletPolicy
from bursar.chain.estimates import CrossChecked as CrossChecked
from bursar.chain.estimates import FixedRate as FixedRate
from bursar.chain.protocols import BitcoinBackend as BitcoinBackend
from bursar.chain.protocols import ChainWatcher as ChainWatcher
from bursar.chain.protocols import EthereumBackend as EthereumBackend
from bursar.chain.protocols import FeeEstimator as FeeEstimator
from bursar.chain.protocols import PackageBroadcaster as PackageBroadcaster
from bursar.crypto.secret import Secret as Secret
from bursar.errors import ApprovalPendingError as ApprovalPendingError
from bursar.errors import BroadcastRejectedError as BroadcastRejectedError
from bursar.errors import BursarError as BursarError
from bursar.errors import ChainError as ChainError
from bursar.errors import ChainUnavailableError as ChainUnavailableError
from bursar.errors import ConflictError as ConflictError
from bursar.errors import CorruptKeystoreError as CorruptKeystoreError
from bursar.errors import CorruptStoreError as CorruptStoreError
from bursar.errors import InconclusiveError as InconclusiveError
from bursar.errors import InsufficientFundsError as InsufficientFundsError
from bursar.errors import InvalidContributionError as InvalidContributionError
from bursar.errors import InvalidInputError as InvalidInputError
from bursar.errors import InvalidSignatureError as InvalidSignatureError
from bursar.errors import KeystoreBusyError as KeystoreBusyError
from bursar.errors import KeystoreError as KeystoreError
from bursar.errors import MissingExtraError as MissingExtraError
from bursar.errors import PolicyDeniedError as PolicyDeniedError
from bursar.errors import SignerError as SignerError
from bursar.errors import SignerMisbehavedError as SignerMisbehavedError
from bursar.errors import SignerNotFoundError as SignerNotFoundError
from bursar.errors import SignerUnavailableError as SignerUnavailableError
from bursar.errors import StoreBusyError as StoreBusyError
from bursar.errors import StoreError as StoreError
from bursar.errors import UnsupportedError as UnsupportedError
from bursar.errors import UserCancelledError as UserCancelledError
from bursar.errors import WrongChainError as WrongChainError
from bursar.errors import WrongPasswordError as WrongPasswordError
from bursar.ethereum.account import EthereumAccount as EthereumAccount
from bursar.ethereum.fees import Eip1559Fees as Eip1559Fees
from bursar.ethereum.token import Token as Token
from bursar.ethereum.transaction import SignedTransaction as SignedTransaction
from bursar.ethereum.transaction import UnsignedTransaction as UnsignedTransaction
from bursar.ethereum.typed_data import TypedData as TypedData
from bursar.ethereum.units import Wei as Wei
from bursar.keys.bip32 import ExtendedPrivateKey as ExtendedPrivateKey
from bursar.keys.bip32 import ExtendedPublicKey as ExtendedPublicKey
from bursar.keys.mnemonic import Mnemonic as Mnemonic
from bursar.keys.origin import Fingerprint as Fingerprint
from bursar.keys.origin import KeyOrigin as KeyOrigin
from bursar.keys.path import DerivationPath as DerivationPath
from bursar.keys.scheme import CoinType as CoinType
from bursar.keys.scheme import Scheme as Scheme
from bursar.keys.scheme import account_path as account_path
from bursar.nodes.bitcoind import BitcoindBackend as BitcoindBackend
from bursar.nodes.electrum import ElectrumBackend as ElectrumBackend
from bursar.nodes.esplora import EsploraBackend as EsploraBackend
from bursar.nodes.ethrpc import EthRpcBackend as EthRpcBackend
from bursar.nodes.sandbox import Sandbox as Sandbox
from bursar.policy.history import History as History
from bursar.policy.policy import RulePolicy as RulePolicy
from bursar.policy.protocols import Policy as Policy
from bursar.policy.render import review_text as review_text
from bursar.policy.review import Asset as Asset
from bursar.policy.review import Change as Change
from bursar.policy.review import Payment as Payment
from bursar.policy.review import Review as Review
from bursar.policy.review import ReviewWarning as ReviewWarning
from bursar.policy.verdict import Allow as Allow
from bursar.policy.verdict import Deny as Deny
from bursar.policy.verdict import NeedApproval as NeedApproval
from bursar.signing.checks import confirm_address as confirm_address
from bursar.signing.checks import request_message as request_message
from bursar.signing.checks import request_personal_message as request_personal_message
from bursar.signing.checks import request_signatures as request_signatures
from bursar.signing.checks import request_transaction as request_transaction
from bursar.signing.checks import request_typed_data as request_typed_data
from bursar.signing.protocols import AddressDisplay as AddressDisplay
from bursar.signing.protocols import DeviceEvent as DeviceEvent
from bursar.signing.protocols import EthereumSigner as EthereumSigner
from bursar.signing.protocols import MessageSigner as MessageSigner
from bursar.signing.protocols import PersonalMessageSigner as PersonalMessageSigner
from bursar.signing.protocols import Prompt as Prompt
from bursar.signing.protocols import PsbtSigner as PsbtSigner
from bursar.signing.protocols import SecretRequest as SecretRequest
from bursar.signing.protocols import Signer as Signer
from bursar.signing.protocols import SignerBackend as SignerBackend
from bursar.signing.protocols import SignerInfo as SignerInfo
from bursar.signing.protocols import TypedDataSigner as TypedDataSigner
from bursar.signing.registry import Registry as Registry
from bursar.version import __version__ as __version__
from bursar.wallet.coin_control import SpendWith as SpendWith
from bursar.wallet.coin_records import CoinRecord as CoinRecord
from bursar.wallet.plan import ApprovedPlan as ApprovedPlan
from bursar.wallet.plan import Plan as Plan
from bursar.wallet.plan import SignedTransfer as SignedTransfer
from bursar.wallet.plan import SigningProgress as SigningProgress
from bursar.wallet.records import AccountRecord as AccountRecord
from bursar.wallet.records import AddressRecord as AddressRecord
from bursar.wallet.records import AssetBalance as AssetBalance
from bursar.wallet.records import HistoryRow as HistoryRow
from bursar.wallet.records import JournalHead as JournalHead
from bursar.wallet.records import Recovery as Recovery
from bursar.wallet.records import SyncReport as SyncReport
from bursar.wallet.records import TransferRecord as TransferRecord
from bursar.wallet.records import TransferState as TransferState
from bursar.wallet.transfer import FeeChoice as FeeChoice
from bursar.wallet.transfer import PaymentOrder as PaymentOrder
from bursar.wallet.transfer import Transfer as Transfer
from bursar.wallet.wallet import Wallet as Wallet

__all__ = [
    "AccountRecord",
    "AddressDisplay",
    "AddressRecord",
    "Allow",
    "ApprovalPendingError",
    "ApprovedPlan",
    "Asset",
    "AssetBalance",
    "BitcoinAccount",
    "BitcoinBackend",
    "BitcoindBackend",
    "BroadcastRejectedError",
    "BursarError",
    "ChainError",
    "ChainUnavailableError",
    "ChainWatcher",
    "Change",
    "CoinRecord",
    "CoinType",
    "ConflictError",
    "CorruptKeystoreError",
    "CorruptStoreError",
    "CrossChecked",
    "Deny",
    "DerivationPath",
    "Descriptor",
    "DescriptorAccount",
    "DeviceEvent",
    "Eip1559Fees",
    "ElectrumBackend",
    "EsploraBackend",
    "EthRpcBackend",
    "EthereumAccount",
    "EthereumBackend",
    "EthereumSigner",
    "ExtendedPrivateKey",
    "ExtendedPublicKey",
    "FeeChoice",
    "FeeEstimator",
    "FeeRate",
    "Fingerprint",
    "FixedRate",
    "History",
    "HistoryRow",
    "InconclusiveError",
    "InsufficientFundsError",
    "InvalidContributionError",
    "InvalidInputError",
    "InvalidSignatureError",
    "JournalHead",
    "KeyOrigin",
    "KeystoreBusyError",
    "KeystoreError",
    "MessageSigner",
    "MissingExtraError",
    "Mnemonic",
    "MultisigAccount",
    "MultisigKind",
    "NeedApproval",
    "Network",
    "PackageBroadcaster",
    "Payment",
    "PaymentOrder",
    "PersonalMessageSigner",
    "Plan",
    "Policy",
    "PolicyDeniedError",
    "Prompt",
    "Psbt",
    "PsbtSigner",
    "Recovery",
    "Registry",
    "Review",
    "ReviewWarning",
    "RulePolicy",
    "Sandbox",
    "Sats",
    "Scheme",
    "ScriptAccount",
    "Secret",
    "SecretRequest",
    "SignedTransaction",
    "SignedTransfer",
    "Signer",
    "SignerBackend",
    "SignerError",
    "SignerInfo",
    "SignerMisbehavedError",
    "SignerNotFoundError",
    "SignerUnavailableError",
    "SigningProgress",
    "SoftwareBackend",
    "SoftwareSigner",
    "SpendWith",
    "StoreBusyError",
    "StoreError",
    "SyncReport",
    "Token",
    "Transfer",
    "TransferRecord",
    "TransferState",
    "TypedData",
    "TypedDataSigner",
    "UnsignedTransaction",
    "UnsupportedError",
    "UserCancelledError",
    "Wallet",
    "WalletPolicy",
    "Wei",
    "WrongChainError",
    "WrongPasswordError",
    "__version__",
    "account_of_descriptor",
    "account_path",
    "confirm_address",
    "request_message",
    "request_personal_message",
    "request_signatures",
    "request_transaction",
    "request_typed_data",
    "review_text",
]
