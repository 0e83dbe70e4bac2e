"""Structured logs on the standard library's logging: one JSON object a line, and whatever is logged
while an event is handled says which one, in which run."""
from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, Dict, Mapping, Optional, TextIO

handling: ContextVar[Mapping[str, Any]] = ContextVar("spoor_handling", default={})
"""What is being handled: agent, handler, event_id, event_type, correlation_id, attempt."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Each record as one line: time, level, logger, msg, what is being handled, the members of
    `extra`, and the error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        found: Dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(
                timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        found.update(handling.get())
        found.update({name: value for name, value in record.__dict__.items() if name not in _OWN})
        if record.exc_info and record.exc_info[1] is not None:
            found["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            found["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            found["stack"] = record.stack_info
        return json.dumps(found, ensure_ascii=False, default=str)


def configure(level: int = logging.INFO, stream: Optional[TextIO] = None) -> None:
    """JSON lines on stderr, unless the program has set up logging already."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root.addHandler(handler)
    root.setLevel(level)
