"""SELECTs over read models: what SPOOR.QUERY is sent, and what it answers."""
from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from .durations import Duration, to_ms
from .event import Appended

Params = Union[Sequence[Any], Mapping[str, Any], None]
Seen = Union[int, Appended, Sequence[Appended], None]


@dataclass(frozen=True)
class Rows:
    """What a SELECT gave. `position`: what the read models had seen; None: it read none.

    Iterating gives each row as a dictionary; `rows` has them as tuples."""

    columns: Tuple[str, ...]
    rows: List[Tuple[Any, ...]]
    position: Optional[int]

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        return (dict(zip(self.columns, row)) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _position(seen: Seen) -> Optional[int]:
    if seen is None or isinstance(seen, int):
        return seen
    if isinstance(seen, Appended):
        return seen.position
    return max((each.position for each in seen), default=None)


def _dump(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return json.dumps({"$base64": base64.b64encode(bytes(value)).decode()})
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def words(sql: str, params: Params, seen: Seen, timeout: Union[Duration, str, None],
          max_rows: Optional[int]) -> List[str]:
    """The command behind its name."""
    found = [sql, "ASJSON"]
    if isinstance(params, Mapping):
        for name, value in params.items():
            found += ("JSON", name, _dump(value))
    else:
        for value in params or ():
            found += ("JSON", "", _dump(value))
    position = _position(seen)
    if position is not None:
        found += ("SEEN", str(position))
    if timeout is not None:
        found += ("TIMEOUT", str(to_ms(timeout)))
    if max_rows is not None:
        found += ("MAXROWS", str(max_rows))
    return found


def _value(value: Any) -> Any:
    return base64.b64decode(value["$base64"]) if isinstance(value, dict) else value


def rows(reply: Union[str, bytes]) -> Rows:
    found = json.loads(reply)
    return Rows(columns=tuple(found["columns"]), position=found["position"],
                rows=[tuple(_value(each) for each in row) for row in found["rows"]])
