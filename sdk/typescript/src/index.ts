export { defineAgent, type Agent, type StartOptions } from "./agent/agent.js";
export type { Context, EmitOptions, StepOptions } from "./agent/context.js";
export type {
    AgentDefinition,
    ErrorTest,
    Handler,
    HandlerOptions,
    Retry,
    StepHandler,
    StepOptions as StepWorkerOptions,
} from "./agent/definition.js";
export type { StepContext } from "./agent/step_context.js";
export type { LogFields, LogLevel, LogRecord, LogSink, Logger } from "./agent/log.js";
export type {
    AgentInfo,
    AgentQuery,
    AgentStatus,
    Bus,
    DeadLetter,
    DeadLetters,
    Effect,
    GroupRef,
    Subscription,
} from "./bus.js";
export type { Duration } from "./duration.js";
export {
    ConflictError,
    ConnectionError,
    NonRetryableError,
    SpoorError,
    StepCancelledError,
    StepUnknownError,
    UnsupportedError,
} from "./errors.js";
export {
    republish,
    type Json,
    type NewEvent,
    type Published,
    type PublishOptions,
    type SpoorEvent,
} from "./event.js";
export { answerId, askId, emitId, failureId, newId, startId, stepId, type Handled } from "./ids.js";
export type { Filter, Moment, Query, SubscribeQuery } from "./query.js";
export { connect, type ConnectOptions } from "./redis/connect.js";
export type { SqlAnswer, SqlOptions, SqlParam, SqlValue } from "./sql.js";
export type {
    AskOptions,
    Asking,
    DecideOptions,
    Decision,
    Definition,
    ForkedRun,
    ForkOptions,
    Saga,
    SagaQuery,
    SagaStep,
    StartedSaga,
    StartSagaOptions,
    WaitOptions,
} from "./sagas.js";
