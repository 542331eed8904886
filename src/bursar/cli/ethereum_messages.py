"""Messages before an Ethereum key signs them: told apart, a sign-in held to the site that asks (EIP-191, EIP-4361)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bursar.cli.message_proofs import LARGEST_MESSAGE, read_text
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.message_review import MessageReview
    from bursar.ethereum.sign_in import SignInMessage

_REASON: Final = {
    "raw-digest": "sign what it is a digest of, in a form that can be read",
    "transaction": "pay with 'bursar send', which shows what is paid",
    "sign-in-broken": "no site can read it either, or it is a trick",
    "sign-in-domain": "somebody else would be signed in",
}


def read_message(argument: str | None, *, hexadecimal: bool, file: str | None) -> bytes:
    """The message of an argument ('-': standard input) or of a file's bytes; in hexadecimal where that is said."""
    if (argument is None) == (file is None):
        raise InvalidInputError("give the message, or its --file", code="input.usage")
    if file is not None:
        with Path(file).open("rb") as opened:
            data = opened.read(LARGEST_MESSAGE + 1)
        if len(data) > LARGEST_MESSAGE:
            raise InvalidInputError(f"{file} is longer than {LARGEST_MESSAGE} bytes", code="input.message")
    else:
        assert argument is not None
        data = read_text(argument)
    return from_hexadecimal(data) if hexadecimal else data


def from_hexadecimal(data: bytes) -> bytes:
    """The bytes that digits stand for, with or without 0x in front."""
    try:
        text = "".join(data.decode("ascii").split())
        return bytes.fromhex(text[2:] if text[:2] in ("0x", "0X") else text)
    except ValueError:
        raise InvalidInputError("this is no hexadecimal: an even number of digits", code="input.message") from None


def refuse_tricks(review: MessageReview) -> None:
    """Raise for what nobody should be asked to sign: ``input.message.refused``."""
    for caution in review.cautions:
        if caution.code == "sign-in-broken" and review.text.endswith("\n"):
            raise InvalidInputError(
                f"not signed: the message {caution.text}. It ends with a line break, which editors add and sign-ins do "
                "not have: take that off the file",
                code="input.message.refused",
            )
        if caution.code in _REASON:
            raise InvalidInputError(
                f"not signed: the message {caution.text}; {_REASON[caution.code]}", code="input.message.refused"
            )


def site(text: str) -> str:
    """The domain of a site as people write it: whole urls are cut to their authority."""
    text = text.strip()
    return urlsplit(text).netloc if "://" in text else text.rstrip("/")


def check_sign_in(
    message: SignInMessage,
    *,
    domain: str,
    address: Address,
    chain_id: int | None,
    uri: str | None = None,
    nonce: str | None = None,
) -> list[str]:
    """Hold a sign-in to what is expected (``input.sign-in.expected``) now; what remains to be weighed, in words.

    ``domain`` is the site that asks; ``uri`` and ``nonce`` are compared where they are known.
    """
    message.check(
        domain=domain,
        nonce=message.nonce if nonce is None else nonce,
        uri=uri,
        chain_id=chain_id,
        address=address,
        now=datetime.now(UTC),
    )
    named = urlsplit(message.uri)
    if uri is None and named.netloc and named.netloc != message.domain:
        return [f"it is about {named.netloc}, another site than {message.domain}, which asks"]
    return []


def message_words(review: MessageReview, account: str, signer: Address, digest: bytes, remarks: list[str]) -> str:
    """What is signed, whole, with the warnings; ``remarks`` are more of those."""
    from bursar.policy.render import plain_text

    kind = "a sign-in (EIP-4361)" if review.sign_in else "bytes" if review.text[:2] == "0x" else "text"
    if any(one.code == "digest-text" for one in review.cautions):
        kind = "text"
    lines = [
        "Message to sign (EIP-191)",
        f"  With     {plain_text(account, longest=64)}, {signer}",
        f"  As       {kind}",
    ]
    lines += ["", *(f"  | {line}" for line in review.text.split("\n"))]
    lines += ["", f"Digest  0x{digest.hex()}"]
    warnings = [one.text for one in review.cautions if one.code != "sign-in"] + remarks
    if warnings:
        lines += ["", f"Warnings ({len(warnings)})", *(f"  ! {_sentence(text)}" for text in warnings)]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text if text.startswith("the ") else f"the message {text}"


def sign_in_document(message: SignInMessage | None) -> dict[str, Any] | None:
    """The fields of a sign-in, for JSON."""
    if message is None:
        return None
    return {
        "domain": message.domain,
        "address": str(message.address),
        "uri": message.uri,
        "chain_id": message.chain_id,
        "nonce": message.nonce,
        "issued_at": message.issued_at,
        "expiration_time": message.expiration_time,
        "not_before": message.not_before,
        "statement": message.statement,
    }
