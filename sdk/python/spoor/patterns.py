"""Patterns over types: docs/filters.md#patterns."""
from __future__ import annotations

import re
from functools import lru_cache

_BAD = re.compile(r"[\x00-\x1f\x7f]")


def check_pattern(pattern: str) -> str:
    """Itself; a ValueError where it is no pattern."""
    if not pattern or len(pattern.encode("utf-8")) > 255:
        raise ValueError(f"pattern {pattern!r}: expected 1 to 255 bytes")
    if _BAD.search(pattern) or any(sign.isspace() for sign in pattern):
        raise ValueError(f"pattern {pattern!r}: white space or a control character")
    tokens = pattern.split(".")
    if "" in tokens:
        raise ValueError(f"pattern {pattern!r}: an empty token")
    if ">" in tokens[:-1]:
        raise ValueError(f"pattern {pattern!r}: > is not the last token")
    return pattern


@lru_cache(maxsize=4096)
def matches(pattern: str, type_: str) -> bool:
    """Whether a type matches. Time is linear in both."""
    wanted, given = pattern.split("."), type_.split(".")
    reached = {0}  # how many tokens of the pattern may be behind what was read of the type
    for token in given:
        reached = _over(wanted, reached)
        following = set()
        for at in reached:
            if at == len(wanted):
                continue
            if wanted[at] in ("#", ">"):
                following.add(at)
            if wanted[at] == ">":
                following.add(at + 1)
            elif wanted[at] in ("*", token):
                following.add(at + 1)
        reached = following
    return len(wanted) in _over(wanted, reached)


def _over(wanted: "list[str]", reached: "set[int]") -> "set[int]":
    """# may stand for nothing."""
    found = set(reached)
    for at in range(len(wanted)):
        if at in found and wanted[at] == "#":
            found.add(at + 1)
    return found
