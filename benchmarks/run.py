"""`make bench`: ratios to a C program doing the same work, in paired runs, with other libraries beside."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import coin_selection
import cold_start
import electrum_sync
import ethereum
import ethereum_balances
import growth
import ours
import silent
from floor import Floor, FloorError, build, curve_version, install
from pairing import ROUNDS, Contender, Measured, measure
from peers import PEERS
from workload import BRANCHES, GAS, MAX_FEE, SECRET, TIP, TO, VALUE, WORDS, psbt

import devices
from bursar.crypto.secp256k1 import LIBRARY

MANY = 10_000


@dataclass
class Row:
    """One workload: the floor's request for ``count`` items, Bursar's ways of doing it, and how many items at once."""

    id: str
    title: str
    request: Callable[[int], str]
    contenders: list[Contender]
    count: int = MANY
    size: int = 0
    results: list[Measured] = field(default_factory=list)


def address_rows(threads: ThreadPoolExecutor, processes: ProcessPoolExecutor) -> list[Row]:
    targets = {"public": (1.40, 1.45, 1.35), "private": (1.45, 1.50, 1.40)}
    rows = []
    for half, source in (("public", "xpub"), ("private", "xprv")):
        for (kind, name), target in zip(
            (("wpkh", "P2WPKH"), ("tr", "P2TR"), ("eth", "EIP-55")), targets[half], strict=True
        ):
            letter = {"wpkh": "w", "tr": "t", "eth": "e"}[kind]
            keys = BRANCHES[kind].floor(private=half == "private")
            contenders = [Contender("bursar", ours.addresses(half, kind), target=target)]
            if half == "public":
                by_two = ours.addresses_by_two
                contenders += [
                    Contender("bursar, 2 threads", by_two(half, kind, threads), target=0.92, parallel=True),
                    Contender("bursar, 2 processes", by_two(half, kind, processes), target=0.80, parallel=True),
                ]
            request = f"{half} {letter} {{}} {keys}".format
            rows.append(Row(f"{half} {kind}", f"{source} -> {name} address", request, contenders))
    return rows


def signature_rows() -> list[Row]:
    names = {
        "ecdsa": "ECDSA sign (RFC 6979, DER)",
        "schnorr": "Schnorr sign (BIP-340)",
        "recoverable": "recoverable sign",
    }
    plain = {"ecdsa": ours.ecdsa, "schnorr": ours.schnorr, "recoverable": ours.recoverable}
    checked = {"ecdsa": ours.ecdsa_verified, "schnorr": ours.schnorr_verified, "recoverable": ours.recoverable_verified}
    return [
        Row(
            kind,
            title,
            f"sign {kind} {{}} {SECRET.hex()}".format,
            [Contender("bursar", plain[kind], target=1.18), Contender("bursar, each verified", checked[kind])],
        )
        for kind, title in names.items()
    ]


def psbt_rows() -> list[Row]:
    rows = []
    names = {"wpkh": "P2WPKH", "tr": "P2TR", "pkh": "P2PKH with whole previous transactions"}
    wanted = (("wpkh", 1, 1.65), ("wpkh", 100, 1.30), ("wpkh", 1000, 1.35), ("tr", 1000, 1.35), ("pkh", 200, 1.45))
    for kind, size, target in wanted:
        keys = BRANCHES[kind].floor(private=True)
        data = psbt(kind, size).hex()
        same = kind != "tr"  # the signer adds fresh randomness to Schnorr nonces, the floor does not
        rows.append(
            Row(
                f"psbt {kind}",
                f"PSBT parse, sign, finalise, extract: {size:,} {names[kind]}",
                f"psbt {kind} {{}} 1 {keys} {data}".format,
                [
                    Contender("bursar", ours.psbt_signed(kind, size, verify=False), same, target),
                    Contender("bursar, each verified", ours.psbt_signed(kind, size, verify=True), same),
                    Contender("bursar, request_signatures", ours.psbt_requested(kind, size), same),
                ],
                count=max(1, 4000 // size),
                size=size,
            )
        )
    return rows


def other_rows() -> list[Row]:
    transfer = f"eip1559 {{}} 1 {TIP} {MAX_FEE} {GAS} {VALUE} {SECRET.hex()} {TO.hex()}"
    return [
        Row(
            "eip1559",
            "EIP-1559 transfer -> raw bytes",
            transfer.format,
            [Contender("bursar", ours.eip1559, target=1.40)],
        ),
        Row(
            "bip39",
            "BIP-39 mnemonic -> seed",
            f"bip39 {{}} {WORDS.encode().hex()}".format,
            [Contender("bursar", ours.bip39, target=1.25)],
            count=200,
        ),
    ]


def silent_rows() -> list[Row]:
    titles = {"tweak": "BIP-352 scan, from tweak data", "inputs": "BIP-352 scan, from a transaction of two inputs"}
    return [
        Row(f"silent {mode}", title, silent.request(mode), silent.contenders(mode), size=2)
        for mode, title in titles.items()
    ]


def verdict(one: Measured) -> str:
    if one.target is None:
        return ""
    return f"<= {one.target:.2f} {'hit' if one.ratio <= one.target else 'MISS'}"


def show(row: Row, debian: dict[str, Measured]) -> None:
    print(f"\n{row.title}")
    for one in row.results:
        beside = debian.get(one.name)
        figures = f"{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one):>14}"
        if beside is not None:
            figures += f"   {beside.ratio:6.2f}  {verdict(beside):>14}"
        print(f"  {one.name:<28}{figures}{'  ' + one.note if one.note else ''}", flush=True)


def head(floors: dict[str, Floor]) -> None:
    print(f"CPython {platform.python_version()}, {platform.machine()}, {floors['debian'].openssl}")
    print(
        f"floor A: C, with the libsecp256k1 that Bursar loads ({LIBRARY}); floor B: C, Debian's libsecp256k1", end=" "
    )
    print(curve_version())
    found = []
    for name in ("btclib-secp256k1", *PEERS):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name}: not installed")
    print("; ".join(item for item in found if not item.startswith("hashlib")))
    print("ratio to the floor (lower is better), median (lowest-highest) of the rounds; then the same to floor B")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="rows whose id or title contains this")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        install()
        build()
        floors = {"twin": Floor.twin(), "debian": Floor.debian()}
    except FloorError as error:
        print(f"no floor: {error}", file=sys.stderr)
        return 1
    head(floors)
    record: list[dict[str, object]] = []
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        list(processes.map(ours.warm, range(4)))
        rows = [*address_rows(threads, processes), *signature_rows(), *psbt_rows(), *silent_rows(), *other_rows()]
        rows += [Row(*one, count=2000) for one in ethereum.rows()]
        for row in rows:
            if options.only not in row.id and options.only not in row.title:
                continue
            debian = {}
            for contender in row.contenders:
                for name, floor in floors.items():
                    one = measure(
                        contender,
                        lambda n, row=row, floor=floor: floor.ask(row.request(n)),  # type: ignore[misc]
                        count=row.count,
                        rounds=options.rounds,
                    )
                    if name == "twin":
                        row.results.append(one)
                    else:
                        debian[one.name] = one
            for peer in () if options.no_peers else PEERS.values():
                found = peer(row.id, row.size)
                if found is None:
                    continue
                ask = lambda n, row=row: floors["twin"].ask(row.request(n))  # noqa: E731
                try:
                    row.results.append(measure(found, ask, count=row.count, rounds=options.rounds))
                except Exception as error:  # noqa: BLE001 (a peer that fails costs its own figure only)
                    print(f"{found.name} is not measured here: {type(error).__name__}: {error}", flush=True)
            row.results[0] = replace(row.results[0], note=f"floor A {row.results[0].floor_ns / 1000:,.1f} us")
            show(row, debian)
            record.append(
                {
                    "row": row.title,
                    "twin": [asdict(one) for one in row.results],
                    "debian": [asdict(one) for one in debian.values()],
                }
            )
    if not options.only:
        print("\ncold start, over the reference command")
        starts = cold_start.rows(2 * options.rounds + 1)
        for one in starts:
            print(f"  {one.name:<52}{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one)}")
        record.append({"row": "cold start", "twin": [asdict(one) for one in starts], "debian": []})
    if not options.only or options.only in "ethereum review":
        print("\nEthereum reviews, milliseconds of processor time")
        reviewed = ethereum.review_rows(options.rounds)
        for one in reviewed:
            print(f"  {one.name:<64}{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one)}")
        record.append({"row": "Ethereum reviews", "twin": [asdict(one) for one in reviewed], "debian": []})
    if not options.only or options.only in "ethereum balances":
        print("\nEthereum balances, round trips to a local node")
        read = ethereum_balances.rows()
        for one in read:
            print(f"  {one.name:<64}{one.ratio:6.0f}  {verdict(one)}  {one.note}")
        record.append({"row": "Ethereum balances", "twin": [asdict(one) for one in read], "debian": []})
    if not options.only or options.only in "devices":
        print("\nhardware wallets")
        signed = devices.rows(options.rounds)
        for one in signed:
            print(f"  {one.name:<64}{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one)}  {one.note}")
        record.append({"row": "hardware wallets", "twin": [asdict(one) for one in signed], "debian": []})
    if not options.only or options.only in "electrum":
        print("\nsync against a local server")
        synced = electrum_sync.rows(options.rounds)
        for one in synced:
            print(f"  {one.name:<64}{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one)}  {one.note}")
        record.append({"row": "sync", "twin": [asdict(one) for one in synced], "debian": []})
    if not options.only or options.only in "coin selection":
        print("\ncoin selection, processor time over the peer's")
        chosen = coin_selection.rows(options.rounds)
        for one in chosen:
            print(f"  {one.name:<52}{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one)}  {one.note}")
        curve = coin_selection.curve(options.rounds)
        for size, alone, whole in curve:
            print(f"  {size:>9,} coins: selection {alone:,.2f} ms, transfer {whole:,.2f} ms")
        record.append({"row": "coin selection", "twin": [asdict(one) for one in chosen], "debian": [], "curve": curve})
    if not options.only or options.only in "growth":
        print("\ngrowth")
        grown = growth.rows(options.rounds)
        for one in grown:
            print(f"  {one.name:<52}{one.ratio:6.2f}  ({one.low:.2f}-{one.high:.2f})  {verdict(one)}  {one.note}")
        record.append({"row": "growth", "twin": [asdict(one) for one in grown], "debian": []})
    for floor in floors.values():
        floor.close()
    misses = [
        f"{entry['row']}: {one['name']}"
        for entry in record
        for one in entry["twin"]  # type: ignore[attr-defined]
        if one["target"] and one["ratio"] > one["target"]
    ]
    print(f"\n{len(misses)} missed over floor A" + "".join(f"\n  {miss}" for miss in misses))
    if options.json:
        options.json.write_text(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
