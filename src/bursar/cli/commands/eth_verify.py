"""``bursar eth verify``: signatures of keys and of contracts, over messages, sign-ins and typed data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.ethereum.contract_signature import Signed
    from bursar.ethereum.sign_in import SignInMessage

_KEY, _COMPACT = 65, 64  # bytes of a signature by a key, and of its compact form
_LONGEST = 65_536


@command(
    "verify",
    examples=(
        'bursar eth verify 0x… 0x… "I own this address"',
        "bursar eth verify 0x… 0x… --file login.txt --domain app.example --nonce 32891756",
        "bursar eth verify 0x… 0x… --typed permit.json",
        "bursar eth verify 0x… signature.txt --file statement.txt --chain eth   # of a contract, such as a Safe",
    ),
)
@click.argument("address")
@click.argument("signature", metavar="SIGNATURE|FILE")
@click.argument("message", required=False)
@click.option("--file", type=click.Path(), metavar="FILE", help="What was signed are the bytes of FILE.")
@click.option("--hex", "hexadecimal", is_flag=True, help="The message is written in hexadecimal.")
@click.option("--typed", type=click.Path(allow_dash=True), metavar="FILE", help="What was signed is typed data.")
@click.option("--validator", metavar="ADDRESS", help="It was signed for this contract only (version 0x00).")
@click.option("--digest", "digest_text", metavar="HEX", help="What was signed, as its 32-byte digest.")
@click.option("--chain", metavar="CHAIN", help="Ask this chain's nodes (name or id) whether a contract signed.")
@click.option("--domain", help="Sign-in: the site it must be for.")
@click.option("--uri", help="Sign-in: the URI it must name.")
@click.option("--nonce", help="Sign-in: the nonce that was given out for it.")
@pass_session
def verify(
    session: Session,
    address: str,
    signature: str,
    message: str | None,
    file: str | None,
    hexadecimal: bool,
    typed: str | None,
    validator: str | None,
    digest_text: str | None,
    chain: str | None,
    domain: str | None,
    uri: str | None,
    nonce: str | None,
) -> None:
    """Check that ADDRESS signed MESSAGE ('-': standard input). A wrong signature is an error (exit code 2).

    Signatures of keys are judged here, in their 65 bytes or 64 (EIP-2098). Those of contracts (ERC-1271), deployed or
    not yet (ERC-6492), are judged by the contract itself, today: --chain says where. A sign-in (EIP-4361) must be of
    ADDRESS and valid now; give its --domain and --nonce, which only you know.
    """
    from bursar.ethereum.address import Address

    account = Address.from_text(address)
    signed = _signature(signature)
    digest, kind, sign_in = _digest(message, file, hexadecimal, typed, validator, digest_text)
    checked: list[str] = []
    if sign_in is not None:
        checked = _check_sign_in(sign_in, account, domain, uri, nonce)
    elif domain or uri or nonce:
        raise InvalidInputError("--domain, --uri and --nonce are for a sign-in, and this is none", code="input.usage")
    by = _judged(session, account, digest, signed, chain)
    document: dict[str, Any] = {
        "address": str(account),
        "verified": True,
        "by": by,
        "kind": kind,
        "digest": f"0x{digest.hex()}",
    }
    if sign_in is not None:
        from bursar.cli.ethereum_messages import sign_in_document

        document["sign_in"] = {**(sign_in_document(sign_in) or {}), "checked": checked}

    def words() -> None:
        click.echo(f"Signed by {account}" + ("" if by == "key" else f", the {by} itself says"))
        if sign_in is not None:
            click.echo(f"Sign-in to {sign_in.domain}, nonce {sign_in.nonce}, valid now")
            missing = [name for name in ("domain", "nonce") if name not in checked]
            if missing:
                click.echo(f"Not checked: its {' and its '.join(missing)}; whoever copied it can show it too", err=True)

    session.output.answer(document, words)


def _signature(given: str) -> bytes:
    """The bytes of a signature, those of a key in the one form that is judged here."""
    from bursar.cli.message_proofs import read_signature
    from bursar.ethereum.message import decode_compact_signature, encode_signature

    text = read_signature(given)
    try:
        data = bytes.fromhex(text[2:] if text[:2] == "0x" else text)
    except ValueError:
        raise InvalidSignatureError("a signature is hexadecimal, or a file that holds it") from None
    if not data or len(data) > _LONGEST:
        raise InvalidSignatureError(f"a signature is 1 to {_LONGEST} bytes, not {len(data)}")
    if len(data) == _COMPACT:
        return bytes.fromhex(encode_signature(decode_compact_signature(f"0x{data.hex()}"))[2:])
    return data


def _digest(
    message: str | None,
    file: str | None,
    hexadecimal: bool,
    typed: str | None,
    validator: str | None,
    digest_text: str | None,
) -> tuple[bytes, str, SignInMessage | None]:
    """What was signed, as 32 bytes; what it is; the sign-in where it is one."""
    from bursar.cli.ethereum_messages import from_hexadecimal, read_message
    from bursar.ethereum.address import Address
    from bursar.ethereum.message import personal_digest, validator_digest
    from bursar.ethereum.message_review import review_message

    if sum(one is not None for one in (message, file, typed, digest_text)) != 1:
        raise InvalidInputError("say once what was signed: MESSAGE, --file, --typed or --digest", code="input.usage")
    if (typed or digest_text) and (hexadecimal or validator):
        raise InvalidInputError("--hex and --validator go with a message or a file", code="input.usage")
    if digest_text is not None:
        found = from_hexadecimal(digest_text.encode())
        if len(found) != 32:
            raise InvalidInputError(f"a digest is 32 bytes, not {len(found)}", code="input.message")
        return found, "digest", None
    if typed is not None:
        from bursar.cli.typed_data_review import read_typed_data

        return read_typed_data(typed).digest(), "typed data", None
    data = read_message(message, hexadecimal=hexadecimal, file=file)
    if validator is not None:
        return validator_digest(Address.from_text(validator), data), "data for a validator", None
    sign_in = review_message(data).sign_in
    return personal_digest(data), "message" if sign_in is None else "sign-in", sign_in


def _check_sign_in(
    sign_in: SignInMessage, account: Address, domain: str | None, uri: str | None, nonce: str | None
) -> list[str]:
    from bursar.cli.ethereum_messages import check_sign_in, site

    expected = sign_in.domain if domain is None else site(domain)
    check_sign_in(sign_in, domain=expected, address=account, chain_id=None, uri=uri, nonce=nonce)
    return [name for name, value in (("domain", domain), ("uri", uri), ("nonce", nonce)) if value is not None]


def _judged(session: Session, account: Address, digest: bytes, signed: bytes, chain: str | None) -> str:
    """Who signed, ``key`` or a kind of contract; InvalidSignatureError if neither."""
    from bursar.ethereum.message import recover_signer

    wrong = "it is none of a key, which has 65 bytes or 64"
    if len(signed) == _KEY:
        try:
            signer = recover_signer(digest, f"0x{signed.hex()}")
        except InvalidSignatureError as error:
            wrong = error.message
        else:
            if signer == account:
                return "key"
            wrong = f"it is one of {signer}, not of {account}"
    if chain is None:
        raise InvalidSignatureError(
            f"the signature does not verify: {wrong}; if {account} is a contract, name its chain with --chain"
        )
    return _asked(session, account, digest, signed, chain).value


def _asked(session: Session, account: Address, digest: bytes, signed: bytes, chain: str) -> Signed:
    from bursar.chain.questions import answered
    from bursar.ethereum.contract_signature import verify_signature

    backend = compose.ethereum_node(session, compose.chain_id_of(session, chain))
    with session.output.progress("asking the chain"):
        backend.check_chain()
        return answered(verify_signature(account, digest, signed), backend)
