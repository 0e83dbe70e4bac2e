export { createTestBus, TestBus, type TestBusOptions } from "./test_bus.js";
export type { Scenario, Given } from "./scenario.js";
export { ExpectationError, type Expected } from "./expect.js";
export type { CrashPoint } from "./faults.js";
export type { Call, Spy } from "./spy.js";
export { command, type CommandOptions } from "./command.js";
