"""SagaMethods for programs without an event loop: the same methods, which wait. Arguments by name
are those of sagas.py."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Coroutine, List, Optional, Protocol, TypeVar, Union

from .event import Appended
from .sagas import Decision, Definition, Forked, Json, Saga, Started

if TYPE_CHECKING:
    from .client import AsyncClient

Result = TypeVar("Result")


class Runs(Protocol):
    """What runs coroutines to their end."""

    def run(self, work: Coroutine[Any, Any, Result]) -> Result: ...

    def stop(self) -> None: ...


class SyncSagaMethods:
    _client: "AsyncClient"
    _loop: Runs

    def define_saga(self, definition: Definition, *, by: Optional[str] = None) -> Json:
        return self._loop.run(self._client.define_saga(definition, by=by))

    def start_saga(self, name: str, data: Any = None, *, key: Optional[str] = None,
                   **more: Any) -> Started:
        return self._loop.run(self._client.start_saga(name, data, key=key, **more))

    def saga(self, id: str) -> Saga:
        return self._loop.run(self._client.saga(id))

    def sagas(self, **more: Any) -> List[Json]:
        return self._loop.run(self._client.sagas(**more))

    def wait_saga(self, id: str, **more: Any) -> Saga:
        return self._loop.run(self._client.wait_saga(id, **more))

    def approve(self, id: str, **more: Any) -> Json:
        return self._loop.run(self._client.approve(id, **more))

    def reject(self, id: str, **more: Any) -> Json:
        return self._loop.run(self._client.reject(id, **more))

    def cancel_saga(self, id: str, **more: Any) -> Json:
        return self._loop.run(self._client.cancel_saga(id, **more))

    def retry_step(self, id: str, step: Optional[str] = None, **more: Any) -> Json:
        return self._loop.run(self._client.retry_step(id, step, **more))

    def skip_step(self, id: str, step: Optional[str] = None, **more: Any) -> Json:
        return self._loop.run(self._client.skip_step(id, step, **more))

    def mark_done(self, id: str, step: Optional[str] = None, **more: Any) -> Json:
        return self._loop.run(self._client.mark_done(id, step, **more))

    def compensate_saga(self, id: str, step: Optional[str] = None, **more: Any) -> Json:
        return self._loop.run(self._client.compensate_saga(id, step, **more))

    def resume_saga(self, id: str, step: Optional[str] = None, **more: Any) -> Json:
        return self._loop.run(self._client.resume_saga(id, step, **more))

    def fork_saga(self, id: str, at: Optional[str] = None, **more: Any) -> Started:
        return self._loop.run(self._client.fork_saga(id, at, **more))

    def approvals(self, **more: Any) -> List[Json]:
        return self._loop.run(self._client.approvals(**more))

    def propose(self, prompt: str, **more: Any) -> Appended:
        return self._loop.run(self._client.propose(prompt, **more))

    def decision(self, id: str, **more: Any) -> Decision:
        return self._loop.run(self._client.decision(id, **more))

    def define_join(self, definition: Definition, *, by: Optional[str] = None) -> Json:
        return self._loop.run(self._client.define_join(definition, by=by))

    def joins(self) -> List[Json]:
        return self._loop.run(self._client.joins())

    def remove_join(self, name: str, *, by: Optional[str] = None) -> Json:
        return self._loop.run(self._client.remove_join(name, by=by))

    def define_schedule(self, definition: Definition, *, by: Optional[str] = None) -> Json:
        return self._loop.run(self._client.define_schedule(definition, by=by))

    def schedules(self) -> List[Json]:
        return self._loop.run(self._client.schedules())

    def remove_schedule(self, name: str, *, by: Optional[str] = None) -> Json:
        return self._loop.run(self._client.remove_schedule(name, by=by))

    def timers(self, *, limit: Optional[int] = None) -> List[Json]:
        return self._loop.run(self._client.timers(limit=limit))

    def cancel_timer(self, id: str, **more: Any) -> Json:
        return self._loop.run(self._client.cancel_timer(id, **more))

    def fork_run(self, run: str, at: Union[int, str], **more: Any) -> Forked:
        return self._loop.run(self._client.fork_run(run, at, **more))

    def resume_run(self, run: str) -> int:
        return self._loop.run(self._client.resume_run(run))

    def settle_step(self, id: str, *, result: Any = None, failed: Optional[str] = None) -> Appended:
        return self._loop.run(self._client.settle_step(id, result=result, failed=failed))
