"""GetPublicKey and GetAddress."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import InputScriptType

from bursar.bitcoin.descriptor import add_checksum
from bursar.crypto import base58
from bursar.crypto.hashes import hmac_sha512
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar_devices.device import Lie, Page
from bursar_devices.trezor import scripts
from bursar_devices.trezor.coins import Coin, coin_named, path_fits, path_known, path_text
from bursar_devices.trezor.one_screen import QR_CODE, address_rows, dialog, own_text, xpub_page
from bursar_devices.trezor.workflow import (
    FailError,
    Flipped,
    Screen,
    Workflow,
    cancelled,
    data_error,
    processing_error,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_DESCRIPTORS = {
    InputScriptType.SPENDADDRESS: "pkh({})",
    InputScriptType.SPENDP2SHWITNESS: "sh(wpkh({}))",
    InputScriptType.SPENDWITNESS: "wpkh({})",
    InputScriptType.SPENDTAPROOT: "tr({})",
}
_SLIP25 = 0x80000000 + 10025


def forbidden_path() -> FailError:
    return data_error("Forbidden key path")


def check_path(
    board: Board, coin: Coin, path: Sequence[int], kind: int, *, multisig: bool = False, warn: bool = True
) -> Workflow[None]:
    """Refuse a path of another coin while safety checks are strict, and warn of one unusual for the script type."""
    legacy = board.legacy
    if path_fits(coin, path, kind, multisig=multisig, legacy=legacy):
        return
    if board.strict and not path_known(coin, path, legacy=legacy):
        raise forbidden_path()
    if warn:
        yield from show(path_warning(board, path))


def path_warning(board: Board, path: Sequence[int]) -> Screen:
    if board.legacy:
        warning = dialog("Wrong address path", "for selected coin.", "Continue at your", "own risk!")
        return Screen(_Code.UnknownDerivationPath, "", (warning,))
    page = Page("Unknown path", ("Wrong derivation path for selected account.", path_text(path)))
    return Screen(_Code.UnknownDerivationPath, "path_warning", (page,))


def slip21(seed: bytes, *labels: bytes) -> bytes:
    """SLIP-21's symmetric key at that path of labels."""
    node = hmac_sha512(b"Symmetric key seed", seed)
    for label in labels:
        node = hmac_sha512(node[:32], b"\x00" + label)
    return node[32:]


def xpub_text(key: ExtendedPrivateKey, version: int) -> str:
    place = bytes([key.depth]) + key.parent + key.index.to_bytes(4, "big")
    return base58.encode_check(version.to_bytes(4, "big") + place + key.chain_code + key.public_key)


def _xpub_version(coin: Coin, kind: int, *, ignore_magic: bool) -> int:
    if kind in (InputScriptType.SPENDADDRESS, InputScriptType.SPENDMULTISIG, InputScriptType.SPENDTAPROOT):
        return coin.xpub
    if kind == InputScriptType.SPENDP2SHWITNESS:
        return coin.xpub if ignore_magic else coin.xpub_p2sh
    if kind == InputScriptType.SPENDWITNESS:
        return coin.xpub if ignore_magic else coin.xpub_segwit
    raise data_error("Invalid combination of coin and script_type")


def _describes(board: Board) -> bool:
    """Whether this firmware fills ``PublicKey.descriptor``."""
    return board.version >= ((1, 13, 0) if board.legacy else (2, 7, 0))


def get_public_key(board: Board, message: messages.GetPublicKey) -> Workflow[messages.PublicKey]:
    if board.setup_seed is None:
        board.require_initialized()
    kind = message.script_type
    kind = InputScriptType.SPENDADDRESS if kind is None else kind
    coin = coin_named(message.coin_name, legacy=board.legacy)
    if message.ecdsa_curve_name not in (None, "secp256k1"):
        raise FailError(messages.FailureType.NotInitialized, "Unsupported curve")
    path = message.address_n
    if path and path[0] == _SLIP25:
        raise forbidden_path()
    if board.setup_seed is not None:
        if message.show_display:
            raise data_error("Showing temporary XPUB is forbidden")
        root = ExtendedPrivateKey.from_seed(board.setup_seed)
    else:
        root = yield from board.root()
    key = root.derive(path)
    if Lie.WRONG_KEY in board.lies:
        key = key.child(0)
    xpub = xpub_text(key, _xpub_version(coin, kind, ignore_magic=bool(message.ignore_xpub_magic)))
    descriptor = None
    if kind in _DESCRIPTORS and _describes(board):
        origin = f"{root.fingerprint}{path_text(path)[1:].replace(chr(39), 'h')}"
        descriptor = add_checksum(
            _DESCRIPTORS[InputScriptType(kind)].format(f"[{origin}]{xpub_text(key, coin.xpub)}/<0;1>/*")
        )
    if message.show_display:
        shown = descriptor if kind == InputScriptType.SPENDTAPROOT and descriptor else xpub
        yield from _show_xpub(board, shown, path)
    node = messages.HDNodeType(
        depth=key.depth,
        fingerprint=int.from_bytes(key.parent, "big"),
        child_num=key.index,
        chain_code=key.chain_code,
        public_key=key.public_key,
    )
    return messages.PublicKey(
        node=node,
        xpub=xpub,
        root_fingerprint=int.from_bytes(root.fingerprint, "big"),
        descriptor=descriptor,
    )


def _wrap(text: str, width: int) -> tuple[str, ...]:
    return tuple(text[start : start + width] for start in range(0, len(text), width))


def _show_xpub(board: Board, xpub: str, path: Sequence[int]) -> Workflow[None]:
    if not board.legacy:
        yield from show(Screen(_Code.PublicKey, "show_xpub", (Page("XPUB", (*_wrap(xpub, 18), path_text(path))),)))
        return
    part, flipped = 0, False
    while part < 2:
        page = QR_CODE if flipped else xpub_page(f"XPUB {part + 1}/2", xpub, part)
        answer = yield Screen(_Code.PublicKey, "", (page,), flips=True)
        if isinstance(answer, Flipped):
            flipped = not flipped
        elif answer:
            part, flipped = part + 1, False
        else:
            raise cancelled()


def get_address(board: Board, message: messages.GetAddress) -> Workflow[messages.Address]:
    board.require_initialized()
    coin = coin_named(message.coin_name, legacy=board.legacy)
    path, multisig = message.address_n, message.multisig
    kind = InputScriptType.SPENDADDRESS if message.script_type is None else message.script_type
    if not board.legacy:
        yield from board.seed()
    show_it = bool(message.show_display)
    if board.legacy or show_it:
        yield from check_path(board, coin, path, kind, multisig=multisig is not None, warn=show_it)
    elif board.strict and not path_known(coin, path, legacy=False):
        raise forbidden_path()
    key = yield from board.derive(path)
    address = address_at(board, coin, kind, key.public_key, multisig)
    if show_it and multisig is not None:
        yield from _check_multisig_paths(board, multisig)
    mac = None
    if board.attests and multisig is None:
        usual = path_fits(coin, path, kind, multisig=False, legacy=False)
        if show_it or usual:
            mac = address_mac((yield from board.seed()), coin.network.coin_type, address)
    if show_it:
        cosigners: tuple[Page, ...] = ()
        if multisig is not None:
            ignore_magic = bool(message.ignore_xpub_magic)
            cosigners = _cosigner_pages(coin, kind, multisig, key.public_key, ignore_magic=ignore_magic)
        yield from show_address(board, address, path, multisig, cosigners=cosigners)
    if Lie.WRONG_ADDRESS in board.lies:
        address = address_at(board, coin, kind, key.child(0).public_key, None)
    return messages.Address(address=address, mac=mac)


def address_at(
    board: Board, coin: Coin, kind: int, key: bytes, multisig: messages.MultisigRedeemScriptType | None
) -> str:
    """The address of ``key`` for the script type, or of a multisig that must hold the key."""
    try:
        if kind not in scripts.INTERNAL:
            raise processing_error("Invalid script type")
        if multisig is None and kind == InputScriptType.SPENDMULTISIG:
            raise processing_error("Multisig details required")
        if multisig is not None:
            _check_multisig(board, kind, key, multisig)
        return scripts.address_of(scripts.output_script(kind, key, multisig), coin)
    except FailError as error:
        if board.legacy:
            raise data_error("Can't encode address") from error
        raise


def _check_multisig(board: Board, kind: int, key: bytes, multisig: messages.MultisigRedeemScriptType) -> None:
    if key not in scripts.multisig_keys(multisig):
        raise data_error("Pubkey not found in multisig script")
    if kind == InputScriptType.SPENDTAPROOT:
        raise processing_error("Multisig not supported for taproot")
    if not board.legacy:
        scripts.check_threshold(multisig)


def address_mac(seed: bytes, coin_type: int, address: str) -> bytes:
    """The proof that this device made an address (SLIP-24's key)."""
    key = slip21(seed, b"SLIP-0024", b"Address MAC key")
    content = coin_type.to_bytes(4, "little") + bytes([len(address)]) + address.encode()
    return hmac.digest(key, content, "sha256")


def _check_multisig_paths(board: Board, multisig: messages.MultisigRedeemScriptType) -> Workflow[None]:
    if not board.legacy:
        page = Page("Important", ("The multisig address", "is made with others."))
        yield from show(Screen(_Code.Warning, "warning_multisig", (page,)))
    if scripts.uses_one_path(multisig):
        return
    if board.strict:
        raise data_error("Using different paths for different xpubs is not allowed")
    page = dialog("Using different paths", "for different XPUBs.", "Continue at your", "own risk!")
    yield from show(Screen(_Code.Warning, "" if board.legacy else "warning_different_paths", (page,)))


def _cosigner_pages(
    coin: Coin, kind: int, multisig: messages.MultisigRedeemScriptType, key: bytes, *, ignore_magic: bool
) -> tuple[Page, ...]:
    """Every cosigner's extended public key, two pages each."""
    version = _xpub_version(coin, kind, ignore_magic=ignore_magic)
    pages = []
    for number, (node, path) in enumerate(scripts.cosigners(multisig), 1):
        whose = "yours" if scripts.node_key(node).derive(path).key == key else "cosigner"
        place = bytes([node.depth]) + node.fingerprint.to_bytes(4, "big") + node.child_num.to_bytes(4, "big")
        text = base58.encode_check(version.to_bytes(4, "big") + place + node.chain_code + node.public_key)
        pages += [xpub_page(f"XPUB #{number:<2} {part + 1}/2 ({whose})", text, part) for part in range(2)]
    return tuple(pages)


def show_address(
    board: Board,
    address: str,
    path: Sequence[int],
    multisig: messages.MultisigRedeemScriptType | None = None,
    *,
    cosigners: Sequence[Page] = (),
    numbered: bool = False,
) -> Workflow[None]:
    """Show an address until the human says it is the right one; ``numbered`` where each is an account of its own."""
    title = "Address:"
    if multisig is not None:
        order = " (sorted)" if multisig.pubkeys_order == messages.MultisigPubkeysOrder.LEXICOGRAPHIC else ""
        title = f"Multisig {multisig.m:2} of {len(scripts.cosigners(multisig)):2}{order}:"
    if not board.legacy:
        title = "Receive address" if multisig is None else title.removesuffix(":")
        yield from show(Screen(_Code.Address, "show_address", (Page(title, _wrap(address, 18)),)))
        return
    sides = [Page(title, (*address_rows(address, most=4), own_text(path, address_number=numbered))), QR_CODE]
    sides += cosigners
    side = 0
    while True:
        answer = yield Screen(_Code.Address, "", (sides[side],), flips=True)
        if isinstance(answer, Flipped):
            side = (side + 1) % len(sides)
        elif answer:
            return
        else:
            raise cancelled()
