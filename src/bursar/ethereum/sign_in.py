"""Sign-In with Ethereum (EIP-4361): the message written and read by its grammar, and held to what a server expects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.message import verify_message
from bursar.ethereum.uri_grammar import AUTHORITY, PCHARS, SCHEME, URI

MOST_BYTES: Final = 16_384
_MOST_RESOURCES: Final = 64
_HEADER: Final = " wants you to sign in with your Ethereum account:"
_STATEMENT = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;= ]+", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9]{8,}", re.ASCII)
_CHAIN_ID = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:)(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))", re.ASCII
)
_TAGS: Final = ("URI", "Version", "Chain ID", "Nonce", "Issued At", "Expiration Time", "Not Before", "Request ID")
_REQUIRED: Final = 5  # of them


def _wrong(problem: str, *, code: str = "input.sign-in") -> InvalidInputError:
    return InvalidInputError(f"sign-in message, {problem}", code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInMessage:
    """The fields of a sign-in message; times are texts of RFC 3339, kept as they were written.

    ``domain`` asks for the signature (an authority, ``example.com:8080``), ``scheme`` its scheme where given; ``uri``
    is what is signed in to. Whatever exists keeps the grammar.
    """

    domain: str
    address: Address
    uri: str
    chain_id: int
    nonce: str
    issued_at: str
    scheme: str | None = None
    statement: str | None = None
    expiration_time: str | None = None
    not_before: str | None = None
    request_id: str | None = None
    resources: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.scheme is not None:
            _check(self.scheme, SCHEME, "scheme")
        _check(self.domain, AUTHORITY, "domain")
        if not self.domain:
            raise _wrong("domain: it is missing")
        if not isinstance(self.address, Address):
            raise _wrong("address: an Address is expected")
        if self.statement is not None:
            _check(self.statement, _STATEMENT, "statement")
        _check(self.uri, URI, "URI")
        if type(self.chain_id) is not int or not _CHAIN_ID.fullmatch(str(self.chain_id)):
            raise _wrong("Chain ID: a number from 1 is expected")
        _check(self.nonce, _NONCE, "Nonce")
        for name in ("issued_at", "expiration_time", "not_before"):
            if getattr(self, name) is not None or name == "issued_at":
                _time(getattr(self, name), name.replace("_", " "))
        if self.request_id is not None:
            _check(self.request_id, PCHARS, "Request ID")
        if self.resources is not None:
            if type(self.resources) is not tuple or len(self.resources) > _MOST_RESOURCES:
                raise _wrong(f"Resources: a tuple of at most {_MOST_RESOURCES} is expected")
            for one in self.resources:
                _check(one, URI, "Resources")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a message; InvalidInputError (``input.sign-in``) names the line that leaves the grammar."""
        if not isinstance(text, str) or len(text) > MOST_BYTES:
            raise _wrong(f"the whole: a text of at most {MOST_BYTES} characters is expected")
        lines = text.split("\n")
        if len(lines) < 6 or not lines[0].endswith(_HEADER):
            raise _wrong(f"the whole: its first line does not end in{_HEADER!r}")
        scheme, separator, domain = lines[0][: -len(_HEADER)].rpartition("://")
        fields: dict[str, object] = {"scheme": scheme if separator else None, "domain": domain}
        try:
            fields["address"] = Address.from_text(lines[1])
        except InvalidInputError as error:
            raise _wrong(f"address: {error.message}") from error
        rest = lines[4:]
        if lines[2] or (lines[3] and lines[4]):
            raise _wrong("statement: one line between empty lines is expected")
        if lines[3]:
            fields["statement"] = lines[3]
            rest = lines[5:]
        return cls(**fields, **_tagged(rest))  # type: ignore[arg-type]

    def __str__(self) -> str:
        head = f"{self.domain}{_HEADER}" if self.scheme is None else f"{self.scheme}://{self.domain}{_HEADER}"
        lines = [head, str(self.address), "", *([] if self.statement is None else [self.statement]), ""]
        values = (self.uri, "1", self.chain_id, self.nonce, self.issued_at)
        values += (self.expiration_time, self.not_before, self.request_id)  # type: ignore[assignment]
        lines += [f"{tag}: {value}" for tag, value in zip(_TAGS, values, strict=True) if value is not None]
        if self.resources is not None:
            lines += ["Resources:", *(f"- {one}" for one in self.resources)]
        return "\n".join(lines)

    def check(
        self,
        *,
        domain: str,
        nonce: str,
        now: datetime,
        scheme: str | None = None,
        uri: str | None = None,
        chain_id: int | None = None,
        address: Address | None = None,
    ) -> None:
        """InvalidInputError (``input.sign-in.expected``) unless it is for ``domain``, with ``nonce``, valid at ``now``.

        ``now`` has a time zone. ``scheme``, ``uri``, ``chain_id`` and ``address`` are compared where they are given.
        """
        expected = {"domain": domain, "nonce": nonce, "scheme": scheme, "uri": uri, "chain_id": chain_id}
        for name, value in expected.items():
            found = getattr(self, name)
            if value is not None and found != value:
                raise _wrong(f"{name}: it is {found!r:.100}, expected was {value!r:.100}", code=_UNEXPECTED)
        if address is not None and self.address != address:
            raise _wrong(f"address: it is {self.address}, expected was {address}", code=_UNEXPECTED)
        if now.tzinfo is None:
            raise InvalidInputError("the time of a check has a time zone")
        if self.expiration_time is not None and now >= _time(self.expiration_time, ""):
            raise _wrong(f"Expiration Time: it expired at {self.expiration_time}", code=_UNEXPECTED)
        if self.not_before is not None and now < _time(self.not_before, ""):
            raise _wrong(f"Not Before: it is valid from {self.not_before} on", code=_UNEXPECTED)


_UNEXPECTED: Final = "input.sign-in.expected"


def verify_sign_in(
    text: str,
    signature_text: str,
    *,
    domain: str,
    nonce: str,
    now: datetime,
    scheme: str | None = None,
    uri: str | None = None,
    chain_id: int | None = None,
    address: Address | None = None,
) -> SignInMessage:
    """The message, once it is what a server expects (``SignInMessage.check``) and its account's key signed it.

    ``InvalidInputError`` for the message, ``InvalidSignatureError`` for the signature. Accounts that are contracts
    sign otherwise: ``contract_signature.verify_signature`` asks them.
    """
    message = SignInMessage.parse(text)
    message.check(domain=domain, nonce=nonce, now=now, scheme=scheme, uri=uri, chain_id=chain_id, address=address)
    verify_message(message.address, text.encode("utf-8"), signature_text)
    return message


def _check(value: object, grammar: re.Pattern[str], name: str) -> None:
    if not isinstance(value, str) or not grammar.fullmatch(value):
        raise _wrong(f"{name}: {value!r:.60} does not keep the grammar of EIP-4361")


def _tagged(lines: list[str]) -> dict[str, object]:
    """The fields behind tags, which stand in their order, and the resources."""
    found: dict[str, str] = {}
    place = 0
    for number, tag in enumerate(_TAGS):
        if place < len(lines) and lines[place].startswith(f"{tag}: "):
            found[tag] = lines[place][len(tag) + 2 :]
            place += 1
        elif number < _REQUIRED:
            raise _wrong(f"{tag}: it is missing, or not in its place")
    rest = lines[place:]
    if rest and (rest[0] != "Resources:" or any(one[:2] != "- " for one in rest[1:])):
        raise _wrong(f"the whole: {rest[0][:40]!r} is not in its place")
    if found["Version"] != "1":
        raise _wrong("Version: only 1 is known")
    if not _CHAIN_ID.fullmatch(found["Chain ID"]):
        raise _wrong("Chain ID: a number from 1, without leading zeros, is expected")
    return {
        "uri": found["URI"],
        "chain_id": int(found["Chain ID"]),
        "nonce": found["Nonce"],
        "issued_at": found["Issued At"],
        "expiration_time": found.get("Expiration Time"),
        "not_before": found.get("Not Before"),
        "request_id": found.get("Request ID"),
        "resources": tuple(one[2:] for one in rest[1:]) if rest else None,
    }


def _time(text: object, name: str) -> datetime:
    """The moment of an RFC 3339 text; what is finer than a microsecond is cut off, a leap second is the next one."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise _wrong(f"{name}: {text!r:.60} is no time of RFC 3339")
    day, minutes, seconds, fraction, zulu, sign, hours_off, minutes_off = found.groups()
    leap = seconds == "60"
    try:
        moment = datetime.strptime(f"{day} {minutes}{'59' if leap else seconds}", "%Y-%m-%d %H:%M:%S").replace(
            tzinfo=UTC
        )
        moment += timedelta(seconds=leap, microseconds=int((fraction or "0")[:6].ljust(6, "0")))
        if zulu is None:
            if int(hours_off) > 23 or int(minutes_off) > 59:
                raise ValueError("no such offset")
            offset = timedelta(hours=int(hours_off), minutes=int(minutes_off))
            moment += offset if sign == "-" else -offset
    except (ValueError, OverflowError) as error:
        raise _wrong(f"{name}: {text!r:.60} is no moment that exists") from error
    return moment
