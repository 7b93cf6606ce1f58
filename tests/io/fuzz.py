"""Mutate good files and read them: nothing but an EdgeFlowError may come of it.

Run as ``python -m tests.io.fuzz FOLDER SEED COUNT`` in a process that may die without harm; it prints what it did.
"""

from __future__ import annotations

import collections
import json
import random
import sys
from pathlib import Path

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.io import local


def mutate(content: bytes, chance: random.Random) -> bytes:
    """One to eight bytes changed, mostly near the header; sometimes a piece cut out, doubled, or the end cut off."""
    mutated = bytearray(content)
    kind = chance.random()
    if kind < 0.1:
        return bytes(mutated[: chance.randrange(len(mutated))])
    if kind < 0.2:
        start = chance.randrange(len(mutated))
        piece = mutated[start : start + chance.randrange(1, 64)]
        mutated[start:start] = piece if chance.random() < 0.5 else b""
        if chance.random() < 0.5:
            del mutated[start : start + len(piece)]
    for _ in range(chance.randrange(1, 9)):
        reach = len(mutated) if chance.random() < 0.3 else min(len(mutated), 2000)
        mutated[chance.randrange(reach)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(mutated)


def run(folder: Path, seed: int, count: int) -> collections.Counter[str]:
    """Mutate and read; returns how often each thing came of it."""
    chance, results = random.Random(seed), collections.Counter[str]()
    originals = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    volume = None
    for number in range(count):
        path = chance.choice(list(originals))
        broken = folder / f"broken{number}{''.join(path.suffixes)}"
        broken.write_bytes(mutate(originals[path], chance))
        try:
            volume = local.read_volume([broken]) if "seg" not in path.name else volume
            if "seg" in path.name and volume is not None:
                local.read_segmentation([broken], volume)
            results["read"] += 1
        except EdgeFlowError as error:
            results[type(error).__name__] += 1
            results["lines too many"] += str(error).count("\n")
        except MemoryError:
            results["MemoryError"] += 1  # the child that reads files from outside turns it into a ReadError
        broken.unlink()
    return results


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
