"""Ids of events: new ones, and those that a handler's emits and steps have at every attempt.

The names below are a contract with the other SDKs: an agent may be handed from one language to
another in the middle of a retry."""
from __future__ import annotations

import os
import time
import uuid

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "spoor.events")


def new_id() -> str:
    """A UUIDv7: by time, then by chance."""
    ms = time.time_ns() // 1_000_000
    value = (ms << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def emit_id(source: str, event_id: str, agent: str, handler: str, step: str, ordinal: int) -> str:
    """The id of the ordinal-th (from 1) emit of a handling, counted for each step by itself."""
    return _derived("emit", source, event_id, agent, handler, step, str(ordinal))


def step_id(source: str, event_id: str, agent: str, handler: str, name: str) -> str:
    """The id of the event that records a step of a handling."""
    return _derived("step", source, event_id, agent, handler, name)


def start_id(source: str, event_id: str, agent: str, handler: str, name: str, ordinal: int) -> str:
    """The id of the event that says that the ordinal-th (from 1) try of an irreversible step begins."""
    return _derived("start", source, event_id, agent, handler, name, str(ordinal))


def failure_id(source: str, event_id: str, agent: str, handler: str, name: str,
               ordinal: int) -> str:
    """The id of the event that says that this try of an irreversible step failed."""
    return _derived("failure", source, event_id, agent, handler, name, str(ordinal))


def ask_id(source: str, event_id: str, agent: str, handler: str, ordinal: int) -> str:
    """The id of the ordinal-th (from 1) question of a handling."""
    return _derived("ask", source, event_id, agent, handler, str(ordinal))


def answer_id(source: str, event_id: str, agent: str) -> str:
    """The id of an agent's answer to a command, whatever it says: there is one."""
    return _derived("answer", source, event_id, agent)


def _derived(*parts: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "\n".join(parts)))
