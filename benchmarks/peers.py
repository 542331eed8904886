"""Other libraries doing the same rows, each through the calls its own documentation shows."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from types import ModuleType

from pairing import Contender
from workload import BRANCHES, GAS, MAX_FEE, SECRET, SEED, TIP, TO, VALUE, WORDS, digests, psbt


def load(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def wallycore(row: str, size: int) -> Contender | None:
    w = load("wallycore")
    if w is None:
        return None
    half, _, kind = row.partition(" ")
    zeros = bytes(32)
    if half in ("public", "private") and kind in ("wpkh", "tr"):
        source = BRANCHES[kind]
        parent = w.bip32_key_from_base58(source.xpub if half == "public" else source.xprv)
        flag = w.BIP32_FLAG_KEY_PUBLIC if half == "public" else w.BIP32_FLAG_KEY_PRIVATE

        def derive(count: int) -> list[str]:
            if kind == "wpkh":
                return [
                    w.bip32_key_to_addr_segwit(w.bip32_key_from_parent(parent, i, flag), "bc", 0) for i in range(count)
                ]
            made = []
            for i in range(count):
                key = w.bip32_key_from_parent(parent, i, flag | w.BIP32_FLAG_SKIP_HASH)
                tweaked = w.ec_public_key_bip341_tweak(w.bip32_key_get_pub_key(key), None, 0)
                made.append(w.addr_segwit_from_bytes(b"\x51\x20" + tweaked[1:], "bc", 0))
            return made

        return Contender("wallycore", derive)
    if row in ("ecdsa", "schnorr", "recoverable"):
        flags = {"ecdsa": w.EC_FLAG_ECDSA, "schnorr": w.EC_FLAG_SCHNORR, "recoverable": w.EC_FLAG_ECDSA}[row]
        if row == "recoverable":
            flags |= w.EC_FLAG_RECOVERABLE

        def sign(count: int) -> list[bytes]:
            if row == "ecdsa":
                return [w.ec_sig_to_der(w.ec_sig_from_bytes(SECRET, digest, flags)) for digest in digests(count)]
            if row == "schnorr":
                return [w.ec_sig_from_bytes_aux(SECRET, digest, zeros, flags) for digest in digests(count)]
            made = [bytes(w.ec_sig_from_bytes(SECRET, digest, flags)) for digest in digests(count)]
            return [one[1:] + bytes([(one[0] - 27) & 3]) for one in made]

        return Contender("wallycore", sign)
    if half == "psbt":
        data = psbt(kind, size)
        master = w.bip32_key_from_seed(SEED, w.BIP32_VER_MAIN_PRIVATE, 0)

        def whole(count: int) -> list[bytes]:
            raw = b""
            for _ in range(count):
                one = w.psbt_from_bytes(data, 0)
                w.psbt_signing_cache_enable(one, 0)
                w.psbt_sign_bip32(one, master, w.EC_FLAG_GRIND_R)
                w.psbt_finalize(one, 0)
                raw = w.tx_to_bytes(w.psbt_extract(one, 0), w.WALLY_TX_FLAG_USE_WITNESS)
            return [bytes(raw)]

        return Contender("wallycore", whole, same_bytes=kind != "tr")
    if row == "bip39":
        return Contender("wallycore", lambda n: [bytes(w.bip39_mnemonic_to_seed512(WORDS, str(i))) for i in range(n)])
    return None


def embit(row: str, size: int) -> Contender | None:
    if load("embit") is None:
        return None
    from embit import bip32, bip39, ec, script
    from embit.psbt import PSBT

    half, _, kind = row.partition(" ")
    if half in ("public", "private") and kind in ("wpkh", "tr"):
        source = BRANCHES[kind]
        parent = bip32.HDKey.from_string(source.xpub if half == "public" else source.xprv)
        form = script.p2wpkh if kind == "wpkh" else script.p2tr

        def derive(count: int) -> list[str]:
            made = []
            for i in range(count):
                child = parent.child(i)
                made.append(form(child.to_public() if half == "private" else child).address())
            return made

        return Contender("embit", derive)
    if row in ("ecdsa", "schnorr"):
        key = ec.PrivateKey(SECRET)
        if row == "ecdsa":
            sign = lambda n: [key.sign(digest, grind=False).serialize() for digest in digests(n)]  # noqa: E731
        else:
            sign = lambda n: [key.schnorr_sign(digest).serialize() for digest in digests(n)]  # noqa: E731
        return Contender("embit", sign, same_bytes=row == "ecdsa")
    if half == "psbt":
        from embit.finalizer import finalize_psbt

        data, root = psbt(kind, size), bip32.HDKey.from_seed(SEED)

        def whole(count: int) -> list[bytes]:
            raw = b""
            for _ in range(count):
                one = PSBT.parse(data)
                one.sign_with(root)
                raw = finalize_psbt(one).serialize()
            return [raw]

        return Contender("embit", whole, same_bytes=False)  # grinds R in another way
    if row == "bip39":
        return Contender("embit", lambda n: [bip39.mnemonic_to_seed(WORDS, str(i)) for i in range(n)])
    return None


def bdkpython(row: str, size: int) -> Contender | None:
    b = load("bdkpython")
    if b is None:
        return None
    half, _, kind = row.partition(" ")
    if half not in ("public", "private", "psbt") or kind == "eth":
        return None
    source = BRANCHES[kind]
    form = f"{kind}({{}}/*)"
    private = half != "public"
    text = form.format(source.xprv if private else source.xpub)
    if half == "psbt":
        root = _master_xprv()
        text = f"{kind}({root}/{source.path.removeprefix('m/')}/*)"
    descriptor = b.Descriptor(text, b.NetworkKind.MAIN)
    wallet = b.Wallet.create_single(descriptor, b.Network.BITCOIN, b.Persister.new_in_memory())
    if half != "psbt":
        keychain = b.KeychainKind.EXTERNAL
        return Contender("bdkpython", lambda n: [str(wallet.peek_address(keychain, i).address) for i in range(n)])
    data = psbt(kind, size)
    import base64

    encoded = base64.b64encode(data).decode()
    wallet.reveal_addresses_to(b.KeychainKind.EXTERNAL, size)
    options = b.SignOptions(
        trust_witness_utxo=True,  # the row's PSBTs carry no previous transactions
        assume_height=None,
        allow_all_sighashes=False,
        try_finalize=True,
        sign_with_tap_internal_key=True,
        allow_grinding=True,
    )

    def whole(count: int) -> list[bytes]:
        raw = b""
        for _ in range(count):
            one = b.Psbt(encoded)
            wallet.sign(one, options)
            raw = bytes(one.extract_tx().serialize())
        return [raw]

    return Contender("bdkpython", whole, same_bytes=kind != "tr")


def bip_utils(row: str, _size: int) -> Contender | None:
    if load("bip_utils") is None:
        return None
    from bip_utils import Bip32Slip10Secp256k1, Bip39SeedGenerator, EthAddrEncoder, P2TRAddrEncoder, P2WPKHAddrEncoder

    half, _, kind = row.partition(" ")
    if half in ("public", "private"):
        source = BRANCHES[kind]
        parent = Bip32Slip10Secp256k1.FromExtendedKey(source.xpub if half == "public" else source.xprv)
        encoder = {"wpkh": P2WPKHAddrEncoder, "tr": P2TRAddrEncoder, "eth": EthAddrEncoder}[kind]
        options = {} if kind == "eth" else {"hrp": "bc"}

        def derive(count: int) -> list[str]:
            return [encoder.EncodeKey(parent.ChildKey(i).PublicKey().KeyObject(), **options) for i in range(count)]

        return Contender("bip_utils", derive)
    if row == "bip39":
        return Contender("bip_utils", lambda n: [Bip39SeedGenerator(WORDS).Generate(str(i)) for i in range(n)])
    return None


def eth_account(row: str, _size: int) -> Contender | None:
    if load("eth_account") is None:
        return None
    from eth_account import Account
    from eth_account.hdaccount import seed_from_mnemonic

    if row == "private eth":
        keys = [key.expose() for key in BRANCHES["eth"].private.children_secret(0, 2000)]
        return Contender("eth_account", lambda n: [Account.from_key(key).address for key in keys[:n]], most=2000)
    if row == "recoverable":

        def sign(count: int) -> list[bytes]:
            made = [Account.unsafe_sign_hash(digest, SECRET) for digest in digests(count)]
            return [one.r.to_bytes(32, "big") + one.s.to_bytes(32, "big") + bytes([one.v - 27]) for one in made]

        return Contender("eth_account", sign)
    if row == "eip1559":
        from eth_utils.address import to_checksum_address

        to = to_checksum_address(TO)

        def transfers(count: int) -> list[bytes]:
            made = []
            for nonce in range(count):
                fields = {
                    "type": 2, "chainId": 1, "nonce": nonce, "to": to, "value": VALUE, "gas": GAS,
                    "maxFeePerGas": MAX_FEE, "maxPriorityFeePerGas": TIP,
                }  # fmt: skip
                made.append(bytes(Account.sign_transaction(fields, SECRET).raw_transaction))
            return made

        return Contender("eth_account", transfers)
    if row == "bip39":
        return Contender("eth_account", lambda n: [seed_from_mnemonic(WORDS, str(i)) for i in range(n)])
    return None


def coincurve(row: str, _size: int) -> Contender | None:
    c = load("coincurve")
    if c is None:
        return None
    key = c.PrivateKey(SECRET)
    if row == "ecdsa":
        return Contender("coincurve", lambda n: [key.sign(digest, hasher=None) for digest in digests(n)])
    if row == "recoverable":
        return Contender("coincurve", lambda n: [key.sign_recoverable(digest, hasher=None) for digest in digests(n)])
    if row == "schnorr":
        zeros = bytes(32)
        return Contender("coincurve", lambda n: [key.sign_schnorr(digest, zeros) for digest in digests(n)])
    return None


def btclib_wallet(row: str, _size: int) -> Contender | None:
    if load("btclib_wallet") is None or load("btclib") is None:
        return None
    half, _, kind = row.partition(" ")
    if half in ("public", "private") and kind == "wpkh":
        from btclib.b32 import p2wpkh
        from btclib.key import PubKeyData
        from btclib_wallet.bip32 import derive_, pub_keyinfo_from_xpub
        from btclib_wallet.bip32.bip32 import BIP32KeyData, xpub_from_xprv_

        source = BRANCHES[kind]
        parent = BIP32KeyData.b58decode(source.xpub if half == "public" else source.xprv)

        def addresses(count: int) -> list[str]:
            made = []
            for i in range(count):
                child = derive_(parent, [i])
                key, network = pub_keyinfo_from_xpub(child if half == "public" else xpub_from_xprv_(child))
                made.append(p2wpkh(PubKeyData(key, network)))
            return made

        return Contender("btclib-wallet", addresses)
    return None


def cryptography(row: str, _size: int) -> Contender | None:
    if row == "bip39":
        from cryptography.hazmat.primitives.hashes import SHA512
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

        words = WORDS.encode()
        return Contender(
            "cryptography",
            lambda n: [PBKDF2HMAC(SHA512(), 64, b"mnemonic%d" % i, 2048).derive(words) for i in range(n)],
        )
    if row == "ecdsa":
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
        from cryptography.hazmat.primitives.hashes import SHA256

        key = ec.derive_private_key(int.from_bytes(SECRET, "big"), ec.SECP256K1())
        scheme = ec.ECDSA(Prehashed(SHA256()))
        return Contender(
            "cryptography", lambda n: [key.sign(digest, scheme) for digest in digests(n)], same_bytes=False
        )
    return None


def hashlib_only(row: str, _size: int) -> Contender | None:
    if row != "bip39":
        return None
    words = WORDS.encode()
    return Contender(
        "hashlib", lambda n: [hashlib.pbkdf2_hmac("sha512", words, b"mnemonic%d" % i, 2048) for i in range(n)]
    )


def _master_xprv() -> str:
    from workload import MASTER

    return MASTER.text().expose().decode()


PEERS: dict[str, Callable[[str, int], Contender | None]] = {
    "wallycore": wallycore,
    "bdkpython": bdkpython,
    "embit": embit,
    "btclib_wallet": btclib_wallet,
    "bip_utils": bip_utils,
    "eth_account": eth_account,
    "coincurve": coincurve,
    "cryptography": cryptography,
    "hashlib": hashlib_only,
}
