"""Calls and typed data in the words of their descriptors (ERC-7730); for people, never for policies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.calldata import read_arguments
from bursar.ethereum.clear_signing.paths import TOP
from bursar.ethereum.clear_signing.rendering import Rendering, Row
from bursar.ethereum.clear_signing.resolve import Found, Scope
from bursar.ethereum.clear_signing.rows import Budget, Rows
from bursar.ethereum.clear_signing.sentence import interpolated
from bursar.ethereum.clear_signing.shapes import ADDRESS, UINT, named, struct_shape
from bursar.ethereum.clear_signing.texts import bounded, label
from bursar.ethereum.clear_signing.words import Value, Words, address_of, number_of, raw_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.ethereum.address import Address
    from bursar.ethereum.clear_signing.descriptor import Descriptor
    from bursar.ethereum.clear_signing.descriptors import Descriptors
    from bursar.ethereum.clear_signing.fields import Format
    from bursar.ethereum.clear_signing.known import Known
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData

MOST_CALLS: Final = 4  # one in another
_MOST_MISSING: Final = 200
_LONGEST_MISSING: Final = 140


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as a transaction makes it; ``to`` is ``None`` for one that creates a contract."""

    chain_id: int
    to: Address | None
    value: int
    data: bytes
    sender: Address | None = None

    @classmethod
    def of(cls, tx: UnsignedTransaction, *, sender: Address | None = None) -> Self:
        """The call of a transaction."""
        return cls(chain_id=tx.chain_id, to=tx.to, value=int(tx.value), data=tx.data, sender=sender)


def render_call(call: Call, *, book: Descriptors, known: Known) -> Rendering | None:
    """What ``call`` does in the words of its descriptor; ``None`` where ``book`` has none for it.

    ``input.clear-signing.data`` where the call is not what the descriptor's function takes, and
    ``input.clear-signing.ambiguous`` where two descriptors differ: show the decoded effects alone then.
    """
    return _render_call(call, book, known, Budget(), MOST_CALLS)


def render_typed_data(
    typed: TypedData, *, book: Descriptors, known: Known, signer: Address | None = None
) -> Rendering | None:
    """What a message says in the words of its descriptor; errors as those of :func:`render_call`."""
    chain_id, contract = typed.chain_id, typed.verifying_contract
    place = None if chain_id is None or contract is None else (chain_id, contract)
    descriptor = book.for_message(typed, None if place is None else known.implementations.get(place))
    key = typed.types.type_hash(typed.primary_type)
    if descriptor is None and place is not None:
        descriptor = _generic(book, known, place, key)
    if descriptor is None:
        return None
    data = Found("", struct_shape(typed.types, typed.primary_type), typed.message)
    container = _container(chain_id, contract, 0, signer)
    pages = _Pages(book, known, Budget(), MOST_CALLS)
    return pages.rendering(descriptor, descriptor.messages[key], Scope(data, container, descriptor.tree))


def _render_call(call: Call, book: Descriptors, known: Known, budget: Budget, depth: int) -> Rendering | None:
    if call.to is None or len(call.data) < 4 or not depth:
        return None
    selector, place = call.data[:4], (call.chain_id, call.to)
    code = known.implementations.get(place)
    descriptor = book.for_call(call.chain_id, (call.to,) if code is None else (call.to, code), selector)
    if descriptor is None:
        descriptor = _generic(book, known, place, selector)
    if descriptor is None:
        return None
    function, form = descriptor.functions[selector]
    values, behind = read_arguments([part.abi for _, part in function.inputs.parts], call.data[4:])
    data = Found("", function.inputs, named(function.inputs, values))
    container = _container(call.chain_id, call.to, call.value, call.sender)
    pages = _Pages(book, known, budget, depth)
    return pages.rendering(descriptor, form, Scope(data, container, descriptor.tree), behind)


def _generic(book: Descriptors, known: Known, place: tuple[int, Address], key: bytes) -> Descriptor | None:
    if place in known.tokens:
        return book.generic_for("token", key)
    return book.generic_for("collection", key) if place in known.collections else None


def _container(chain_id: int | None, to: Address | None, value: int, sender: Address | None) -> Mapping[str, Found]:
    values = (("chainId", UINT, chain_id), ("to", ADDRESS, to), ("value", UINT, value), ("from", ADDRESS, sender))
    return {name: Found(f"@.{name}", shape, one) for name, shape, one in values if one is not None}


@dataclass(frozen=True, slots=True)
class _Pages:
    """Renderings of one call and those in it, ``depth`` of them one in another."""

    book: Descriptors
    known: Known
    budget: Budget
    depth: int

    def rendering(self, descriptor: Descriptor, form: Format, scope: Scope, behind: bytes = b"") -> Rendering:
        """The rendering of data in ``scope``; ``behind`` are bytes that follow the arguments."""
        chain, to = scope.container.get("chainId"), scope.container.get("to")
        words = Words(scope, self.known, None if chain is None else chain.value)

        rows = Rows(words, partial(self._embedded, words), self.budget)
        listed = tuple(rows.of(form.fields, TOP, TOP))
        value = scope.container.get("value")
        if value is not None and value.value and any(rows.shown.missing(value)):
            words.caution("value-not-shown", f"also pays {words.coin(value.value, words.chain_id)}, which no row shows")
        if behind:
            words.caution("trailing-bytes", f"{len(behind)} bytes follow the arguments: {_short('0x' + behind.hex())}")
        left = rows.shown.missing(scope.data)
        missing = tuple(Row(one.place, _short(raw_text(one)), one.place) for one in islice(left, _MOST_MISSING))
        further = sum(1 for _ in left)
        if further:
            words.caution("cut", f"{further} more values are neither shown nor listed as not shown")
        return Rendering(
            ", ".join(f"{label(name)}: {label(text)}" if name else label(text) for name, text in form.intent),
            None if form.sentence is None else interpolated(form.sentence, rows.texts),
            descriptor.owner,
            descriptor.contract_name,
            None if to is None else to.value,
            listed,
            missing,
            tuple(words.cautions.values()),
            descriptor.name,
        )

    def _embedded(self, words: Words, it: Value) -> Rendering | None:
        """The rendering of a call within; ``None``, and a caution, where nothing puts it into words."""
        if not isinstance(it.found.value, bytes):
            return None
        callee, selector = words.parameter(it, "callee"), words.parameter(it, "selector")
        amount, spender = words.parameter(it, "amount"), words.parameter(it, "spender")
        chain = words.parameter(it, "chainId")
        chain_id = words.chain_id if chain is None else number_of(chain)
        if callee is None or chain_id is None or not it.found.value:
            it.used.clear()
            return None
        data = it.found.value if selector is None else _selector(selector) + it.found.value
        target = address_of(callee)
        call = Call(
            chain_id=chain_id,
            to=target,
            value=0 if amount is None else number_of(amount),
            data=data,
            sender=None if spender is None else address_of(spender),
        )
        why = "no descriptor describes it"
        try:
            rendered = _render_call(call, self.book, self.known, self.budget, self.depth - 1)
        except InvalidInputError as error:
            rendered, why = None, error.message
        if rendered is None:
            it.used[:] = [one for one in it.used if one is callee]  # the caution names it
            words.caution(
                "opaque-call", f"{label(it.field.label)} is a call of {target} that is not put into words: {why}"
            )
        return rendered


def _selector(found: Found) -> bytes:
    if isinstance(found.value, bytes) and len(found.value) == 4:
        return found.value
    return (number_of(found) % (1 << 32)).to_bytes(4, "big")


def _short(text: str) -> str:
    return bounded(text, _LONGEST_MISSING)[0]
