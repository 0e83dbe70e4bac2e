/**
 * Filters over the content of events, in spoor's own dialect (docs/filters.md); the other is
 * eventbridge.ts.
 */
import { SpoorError } from "../errors.js";
import type { SpoorEvent } from "../event.js";
import type { Filter } from "../query.js";
import { compare, equal, isScalar } from "./compare.js";
import { compileEventPattern, isEventPattern } from "./eventbridge.js";
import { isEscaped, MISSING, valueAt } from "./path.js";
import { compileRegex } from "./regex.js";

export type EventTest = (event: SpoorEvent) => boolean;
type ValueTest = (value: unknown) => boolean;

export function compileFilter(filter: Filter): EventTest {
    if (!isObject(filter)) {
        throw new SpoorError("filter: expected an object");
    }
    return isEventPattern(filter) ? compileEventPattern(filter) : all(filter);
}

function all(filter: Filter): EventTest {
    const tests = Object.entries(filter).map(([key, operand]) => entry(key, operand));
    return (event) => tests.every((test) => test(event));
}

function entry(key: string, operand: unknown): EventTest {
    if (key === "$and" || key === "$or") {
        const tests = list(operand, key).map((one) => all(object(one, key)));
        return (event) =>
            key === "$and" ? tests.every((test) => test(event)) : tests.some((test) => test(event));
    }
    if (key === "$not") {
        const test = all(object(operand, key));
        return (event) => !test(event);
    }
    if (key.startsWith("$") && !isEscaped(key.split(".")[0]!)) {
        throw new SpoorError(`filter: ${key} is no operator, expected $and, $or, $not or a path`);
    }
    if (key === "hash") {
        throw new SpoorError("filter: hash cannot be filtered on");
    }
    const test = isObject(operand) ? operators(operand, key) : operator("$eq", operand, key);
    return (event) => test(fitted(valueAt(event, key), key));
}

/** An attribute as what it is compared as. */
function fitted(value: unknown, key: string): unknown {
    if (value === MISSING || typeof value !== "string") {
        return value;
    }
    return key === "recordedtime"
        ? Date.parse(value)
        : key === "entryid"
          ? entryNumber(value)
          : value;
}

function entryNumber(id: string): string {
    const [ms = "", seq = ""] = id.split("-");
    return `${ms.padStart(20, "0")}-${seq.padStart(20, "0")}`;
}

function operators(given: Record<string, unknown>, path: string): ValueTest {
    const tests = Object.entries(given).map(([name, operand]) => operator(name, operand, path));
    return (value) => tests.every((test) => test(value));
}

const ORDER: Readonly<Record<string, (order: number) => boolean>> = {
    $gt: (order) => order > 0,
    $gte: (order) => order >= 0,
    $lt: (order) => order < 0,
    $lte: (order) => order <= 0,
};

function operator(name: string, operand: unknown, path: string): ValueTest {
    const ordered = ORDER[name];
    if (ordered !== undefined) {
        const bound = scalar(operand, name, path);
        return (value) => {
            const order = compare(number(value, path, bound), bound);
            return order !== undefined && ordered(order);
        };
    }
    switch (name) {
        case "$eq":
        case "$ne":
        case "$in":
        case "$nin":
            return equality(name, operand, path);
        case "$exists":
            if (typeof operand !== "boolean") {
                throw new SpoorError("$exists: expected true or false");
            }
            return (value) => (value !== MISSING) === operand;
        case "$prefix":
        case "$suffix":
        case "$contains":
        case "$regex":
            return part(name, operand, path);
        case "$and":
        case "$or": {
            const tests = list(operand, name).map((one) => operators(object(one, name), path));
            return (value) =>
                name === "$and"
                    ? tests.every((test) => test(value))
                    : tests.some((test) => test(value));
        }
        case "$not": {
            const test = operators(object(operand, name), path);
            return (value) => !test(value);
        }
        default:
            throw new SpoorError(`filter: ${path}: ${name} is no operator`);
    }
}

function equality(name: string, operand: unknown, path: string): ValueTest {
    const operands = (name === "$in" || name === "$nin" ? list(operand, name) : [operand]).map(
        (one) => scalar(one, name, path),
    );
    const wanted = name === "$eq" || name === "$in";
    return (value) =>
        operands.some((one) => value !== MISSING && equal(number(value, path, one), one)) ===
        wanted;
}

function part(name: string, operand: unknown, path: string): ValueTest {
    if (name === "$contains") {
        const wanted = scalar(operand, name, path);
        return (value) =>
            Array.isArray(value)
                ? value.some((one) => equal(one, wanted))
                : typeof value === "string" && typeof wanted === "string" && value.includes(wanted);
    }
    if (typeof operand !== "string") {
        throw new SpoorError(`${name}: expected a string`);
    }
    const regex = name === "$regex" ? compileRegex(operand) : undefined;
    return (value) =>
        typeof value === "string" &&
        (regex?.test(value) ??
            (name === "$prefix" ? value.startsWith(operand) : value.endsWith(operand)));
}

/** schemaversion is a string, and counts as a number beside one. */
function number(value: unknown, path: string, beside: unknown): unknown {
    return path === "schemaversion" && typeof value === "string" && typeof beside === "number"
        ? Number(value)
        : value;
}

function scalar(operand: unknown, name: string, path: string): unknown {
    if (!isScalar(operand)) {
        throw new SpoorError(
            `filter: ${path}: ${name}: expected a string, a number, true, false or null`,
        );
    }
    if (path === "recordedtime" && typeof operand === "string") {
        const time = Date.parse(operand);
        if (Number.isNaN(time)) {
            throw new SpoorError(`filter: recordedtime: ${operand} is no time`);
        }
        return time;
    }
    return path === "entryid" && typeof operand === "string" ? entryNumber(operand) : operand;
}

export function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(value: unknown, where: string): Record<string, unknown> {
    if (!isObject(value)) {
        throw new SpoorError(`filter: ${where}: expected an object`);
    }
    return value;
}

function list(value: unknown, where: string): unknown[] {
    if (!Array.isArray(value)) {
        throw new SpoorError(`filter: ${where}: expected an array`);
    }
    return value;
}
