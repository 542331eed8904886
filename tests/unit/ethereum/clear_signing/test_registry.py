"""The cases of the public ERC-7730 registry, each rendered and compared word by word (``BURSAR_ERC7730``)."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing import (
    Call,
    Descriptors,
    Known,
    KnownToken,
    Rendering,
    render_call,
    render_typed_data,
)
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.typed_data import TypedData

COINS = {56: "BNB", 137: "POL", 43114: "AVAX"}
TEXT = re.compile(r"0x[0-9a-fA-F]{40}(?![0-9a-fA-F])")
SIGNER = Address(bytes([0x11] * 20))


class AnyChain(dict[Any, Any]):
    """Facts of the cases are by address alone, and hold on every chain."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1], default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and super().__contains__(key[1])


class Coins(dict[Any, Any]):
    def get(self, key: Any, default: Any = None) -> Any:
        return (f"chain {key}", COINS.get(key, "ETH"))


@cache
def whole_registry(folder: Path) -> Descriptors:
    files = (path for part in ("registry", "ercs") for path in (folder / part).rglob("*.json"))
    texts = {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in files
        if not {"tests", "testsv2", "sigs"} & set(path.parts)
    }
    return Descriptors.from_files(texts)


def address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]))


def known(facts: dict[str, Any]) -> Known:
    def by_address(member: str) -> dict[Address, Any]:
        return {address(key): value for key, value in facts.get(member, {}).items()}

    tokens = {key: KnownToken(one["symbol"], one["decimals"]) for key, one in by_address("tokens").items()}
    times = {int(height): value for height, value in facts.get("blockTimestamps", {}).items()}
    return Known(
        tokens=AnyChain(tokens),
        labels=by_address("addressNames"),
        ens=by_address("ensNames"),
        collections=AnyChain(by_address("nftCollectionNames")),
        chains=Coins(),
        block_times=AnyChain(times),
    )


def call_of(case: dict[str, Any]) -> Call:
    raw = bytes.fromhex(case["rawTx"][2:])
    sender = address(case["from"]) if "from" in case else SIGNER
    try:
        signed = SignedTransaction.parse(raw)
    except InvalidInputError:
        return Call.of(UnsignedTransaction.parse(raw), sender=sender)
    return Call.of(signed.unsigned, sender=address(case["from"]) if "from" in case else signed.sender)


def rendered(case: dict[str, Any], book: Descriptors, facts: Known, *, lower: bool) -> Rendering | None:
    if "rawTx" in case:
        return render_call(call_of(case), book=book, known=facts)
    text = json.dumps(case["data"])
    if lower:  # some cases have addresses with a wrong checksum, which typed data is refused for
        text = TEXT.sub(lambda found: found[0].lower(), text)
    return render_typed_data(TypedData.from_json(text), book=book, known=facts)


def plain(one: Rendering) -> dict[str, Any]:
    values = [{"label": row.label, "value": row.value if isinstance(row.value, str) else plain(row.value)}
              for row in one.rows]  # fmt: skip
    found: dict[str, Any] = {"intent": one.intent, "owner": one.owner, "fields": values}
    return found if one.sentence is None else found | {"interpolatedIntent": one.sentence}


def outcome(case: dict[str, Any], book: Descriptors, facts: Known) -> str:
    """``agrees``, ``agrees in lower case``, or why not."""
    for lower in (False, True):
        try:
            found = rendered(case, book, facts, lower=lower)
        except InvalidInputError as error:
            reason = f"{error.code}: {error.message}"
            continue
        if found is None:
            return "no descriptor"
        if plain(found) == case["expected"]:
            return "agrees in lower case" if lower else "agrees"
        return f"differs: {plain(found)} where {case['expected']}"
    return reason


def test_every_descriptor_of_the_registry_is_read(registry: Path) -> None:
    book = whole_registry(registry)
    assert not book.refused
    assert len(book.descriptors) > 300


def test_cases_with_structured_results(registry: Path) -> None:
    """All agree, but those whose typed data is not sound and those that break the standard's own binding rule."""
    book = whole_registry(registry)
    counted: Counter[str] = Counter()
    others = []
    for path in sorted(registry.glob("*/**/testsv2/*.json")):
        file = json.loads(path.read_text("utf-8"))
        name = posixpath.normpath((path.parent / file["descriptor"]).relative_to(registry).as_posix())
        facts = known(file.get("dataProvider", {}))
        for case in file["tests"]:
            result = outcome(case, book, facts)
            sound = result.startswith("agrees")
            counted[result if sound else "other"] += 1
            unbound = result == "no descriptor" and "chainId" not in case.get("data", {"domain": "chainId"})["domain"]
            if not (sound or unbound or result.startswith("input.typed-data")):
                others.append((name, case["description"], result))
    print(counted)
    assert not others
    assert sum(counted.values()) > 400
    assert counted["other"] <= 5


DEVICE = re.compile(r"R?eview (?:transaction|message)(?: to)? ?(.*?) ?Swipe to review")
CLOCK = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d):(\d\d):(\d\d) (AM|PM) UTC")
FRAMES = ("Interaction with", "Max fees", "From", "Network", "To")


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text).lower()


def device_texts(texts: list[str], flow: str) -> Iterator[str]:
    """What the screens of a device say of the descriptor: without their frames, in 24 hours, without a line's end."""
    rest = iter(range(len(texts)))
    for place in rest:
        text = texts[place]
        if text in FRAMES and place + 1 < len(texts) and squeezed(text + texts[place + 1]) not in flow:
            next(rest)
            continue
        if text in ("signed", "review"):
            continue
        text = CLOCK.sub(lambda m: f"{m[1]} {int(m[2]) % 12 + 12 * (m[5] == 'PM'):02}:{m[3]}:{m[4]}Z", text)
        text = re.sub(r"(\d\d)T(\d\d:)", r"\1 \2", text)
        framed = DEVICE.fullmatch(text)
        text = framed[1] if framed else text
        for noise in (r"\.\.\. More$", r"(^| )Network [A-Z][A-Za-z -]+$", r" \?\?\?$"):
            text = re.sub(noise, "", text)
        yield squeezed(text)


def words(one: Rendering) -> str:
    parts = [one.intent, one.sentence or "", one.owner or "", one.contract_name or ""]
    for row in one.rows:
        parts += [row.label, row.value if isinstance(row.value, str) else words(row.value)]
    return " ".join(parts)


def test_cases_with_the_texts_of_device_screens(registry: Path) -> None:
    """The older cases: texts photographed from a device, with its own names of tokens and of the time of writing."""
    book = whole_registry(registry)
    agree = total = 0
    for path in sorted(registry.glob("*/**/tests/*.json")):
        newer = path.parent.parent / "testsv2" / path.name
        facts = known(json.loads(newer.read_text("utf-8")).get("dataProvider", {}) if newer.is_file() else {})
        for case in json.loads(path.read_text("utf-8"))["tests"]:
            total += 1
            flow = ""
            for each in (facts, replace(facts, tokens={})):
                try:
                    found = rendered(case, book, each, lower=True)
                except InvalidInputError:
                    break
                flow += "" if found is None else squeezed(words(found)) + " "
            agree += bool(flow) and all(text in flow for text in device_texts(case["expectedTexts"], flow))
    print(f"{agree} of {total}")
    assert agree >= 0.85 * total
