export { defineAgent, type Agent, type StartOptions } from "./agent/agent.js";
export type { Context, EmitOptions } from "./agent/context.js";
export type {
    AgentDefinition,
    ErrorTest,
    Handler,
    HandlerOptions,
    Retry,
} from "./agent/definition.js";
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
export { emitId, newId, stepId, type Handled } from "./ids.js";
export type { Filter, Moment, Query, SubscribeQuery } from "./query.js";
export { connect, type ConnectOptions } from "./redis/connect.js";
export type { SqlAnswer, SqlOptions, SqlParam, SqlValue } from "./sql.js";
