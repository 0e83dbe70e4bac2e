"""Which events: the conditions of docs/queries.md."""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

from .policy import Filter, dump_filter

Moment = Union[int, str]  # a position, an entry id, a time, "now", "-10m"


@dataclass(frozen=True)
class Query:
    """All conditions that are given must hold; of several types, one."""

    types: Sequence[str] = ()
    source: Optional[str] = None
    stream: Optional[str] = None
    correlation: Optional[str] = None
    filter: Optional[Filter] = None
    from_: Optional[Moment] = None
    until: Optional[Moment] = None
    limit: Optional[int] = None
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError("limit: at least 1")

    def words(self) -> List[str]:
        """The conditions as SPOOR.READ and SPOOR.SUBSCRIBE take them."""
        found: List[str] = []
        for pattern in self.types:
            found += ("TYPE", pattern)
        if self.filter is not None:
            found += ("FILTER", dump_filter(self.filter))
        for name, value in (("SOURCE", self.source), ("STREAM", self.stream),
                            ("CORRELATION", self.correlation), ("FROM", self.from_),
                            ("UNTIL", self.until), ("LIMIT", self.limit)):
            if value is not None:
                found += (name, str(value))
        if self.reverse:
            found.append("REVERSE")
        return found


def as_types(types: Union[str, Sequence[str], None]) -> Sequence[str]:
    if types is None:
        return ()
    return (types,) if isinstance(types, str) else tuple(types)
