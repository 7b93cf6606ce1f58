"""Spoil files: bytes, numbers, pieces, DICOM elements, numbers in text, and what lies inside gzip, deflate and zip."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_WORDS = (
    *(b"", b"-1", b"0", b"1e308", b"-1e-308", b"nan", b"inf", b"1,5", b"65536", b"2147483648", b"99999999999999999999"),
    *(b"true", b"null", b'"x"', b"[]", b"{}", b"\xff", b"%n%s", b"../../etc/passwd", b"9" * 5000, b"[" * 2000),
)
_VALUES = (
    *(None, True, False, 0, -1, 0.5, 1e308, 10**30, float("nan"), float("inf"), -0.0, "", "x" * 65, "\0", "click"),
    *("scribble", "box", "line", "lasso", "coronal", "\u202e", [], {}, [[]], [0, 0, 0], [[0, 0, 0]] * 1000),
)
_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB", b"OD", b"OF", b"OL"),
    *(b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM", b"UC", b"UI", b"UL", b"UN", b"UR", b"US"),
    *(b"UT", b"UV", b"XX"),
)
_ELEMENT = re.compile(rb"(?s)[\x02-\x70]\x00..(" + b"|".join(_VRS[:-1]) + b")")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# Mutants longer than this are cut: the limits on size have tests of their own.
_LONGEST = 200_000


def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One to four things done to a file; half of the time to what is packed inside it, if anything is."""
    if chance.random() < 0.5:
        for packed in (_in_gzip, _in_zip, _in_deflated_dicom, _in_json):
            found = packed(content, others, chance)
            if found is not None:
                return found[:_LONGEST]
    mutated = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4))):
        if mutated:
            chance.choice(_WAYS)(mutated, others, chance)
    return bytes(mutated[:_LONGEST])


def _place(content: bytes | bytearray, chance: random.Random) -> int:
    """Anywhere, but mostly near the beginning, where headers are."""
    return chance.randrange(len(content) if chance.random() < 0.4 else min(len(content), 1500))


def _bytes(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    for _number in range(chance.randrange(1, 9)):
        content[_place(content, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _bit(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _integer(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    width = chance.choice((1, 2, 2, 4, 4, 8))
    value = (chance.choice(_NUMBERS) * chance.choice((1, 1, -1))) % 256**width
    place = _place(content, chance)
    content[place : place + width] = value.to_bytes(width, chance.choice(("little", "little", "big")))


def _cut(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def _remove(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place = _place(content, chance)
    del content[place : place + chance.randrange(1, 64)]


def _double(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place = _place(content, chance)
    content[place:place] = content[place : place + chance.randrange(1, 256)] * chance.choice((1, 1, 2, 50))


def _splice(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    start = chance.randrange(len(other))
    place = _place(content, chance)
    content[place : place + chance.randrange(64)] = other[start : start + chance.randrange(1, 400)]


def _element(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    """A DICOM element of explicit VR: its tag, its VR, its length, its value, or all of it."""
    found = [match.start() for match in _ELEMENT.finditer(content)]
    if not found:
        _integer(content, (), chance)
        return
    place = chance.choice(found)
    vr, short = bytes(content[place + 4 : place + 6]), int.from_bytes(content[place + 6 : place + 8], "little")
    is_long = vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
    start = place + (12 if is_long else 8)
    length = int.from_bytes(content[place + 8 : start], "little") if is_long else short
    way = chance.randrange(6)
    if way == 0:
        content[place : place + 4] = bytes(content[chance.choice(found) :][:4])
    elif way == 1:
        content[place + 4 : place + 6] = chance.choice(_VRS)
    elif way == 2:
        width = 4 if is_long else 2
        value = chance.choice((length + chance.randrange(-9, 10), *_NUMBERS)) % 256**width
        content[start - width : start] = value.to_bytes(width, "little")
    elif way == 3 and not is_long:
        value = (chance.choice(_WORDS) + b"\\" * chance.randrange(3)) * chance.choice((1, 1, 2))
        value = value[:60000]
        content[place + 6 : start + length] = len(value).to_bytes(2, "little") + value
    elif way == 4:
        content[start : start + length] = bytes(chance.randrange(256) for _ in range(min(length, 4000)))
    else:
        piece = content[place : start + min(length, 4000)]
        del content[place : start + min(length, 4000)]
        if chance.random() < 0.5:
            there = chance.choice(found)
            content[there:there] = piece


def _text(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    """A number written in digits, as in NRRD, MetaImage and JSON."""
    found = [match.span() for match in _NUMBER.finditer(content[:4000])]
    if found:
        start, end = chance.choice(found)
        content[start:end] = chance.choice(_WORDS)


_WAYS: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    *(_bytes, _bit, _integer, _integer, _cut, _remove, _double, _splice, _element, _element, _element, _text, _text),
)


def _in_gzip(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes | None:
    if content[:2] != b"\x1f\x8b":
        return None
    return gzip.compress(mutate(gzip.decompress(content), others, chance), 1, mtime=0)


def _in_zip(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes | None:
    """One member mutated, with a checksum that fits."""
    if content[:4] != b"PK\x03\x04":
        return None
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = chance.choice(names)
        for name in names:
            member = old.read(name)
            new.writestr(name, mutate(member, others, chance) if name == chosen else member)
    return target.getvalue()


def _in_deflated_dicom(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes | None:
    if b"1.2.840.10008.1.2.1.99" not in content[:400] or content[128:132] != b"DICM":
        return None
    start = 144 + int.from_bytes(content[140:144], "little")
    inner = zlib.decompressobj(-15).decompress(content[start:])
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return content[:start] + packer.compress(mutate(inner, others, chance)) + packer.flush()


def _in_json(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes | None:
    """Values of a JSON document replaced, removed, doubled or exchanged, so that it stays JSON."""
    if content[:1] != b"{":
        return None
    document = json.loads(content)
    for _number in range(chance.choice((1, 1, 2, 3))):
        places = [(box, key) for box in _boxes(document) for key in (box if isinstance(box, dict) else range(len(box)))]
        if not places:
            break
        (box, key), (other, other_key) = chance.choice(places), chance.choice(places)
        way = chance.randrange(5)
        if way == 0 and not isinstance(box, dict):
            box.insert(key, box[key])
        elif way == 1:
            box[key] = json.loads(json.dumps(other[other_key]))
        elif way == 2 and isinstance(box, dict):
            del box[key]
        elif isinstance(box[key], (int, float)) and way == 3:
            box[key] = chance.choice((box[key] + chance.choice((-1, 1, 0.5, 1e-9)), -box[key], *_NUMBERS))
        else:
            box[key] = copy.deepcopy(chance.choice(_VALUES))
    return json.dumps(document, ensure_ascii=chance.random() < 0.5).encode()


def _boxes(document: Any) -> Iterator[Any]:
    """Every list and dictionary in a document."""
    if isinstance(document, (dict, list)):
        yield document
        for inner in document.values() if isinstance(document, dict) else document:
            yield from _boxes(inner)
