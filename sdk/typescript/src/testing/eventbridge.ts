/** Filters in the dialect of Amazon EventBridge (docs/filters.md). */
import { BlockList, isIP } from "node:net";
import { SpoorError } from "../errors.js";
import type { SpoorEvent } from "../event.js";
import type { Filter } from "../query.js";
import { MISSING, rootValue } from "./path.js";

type Test = (value: unknown) => boolean;

/** Whether what its keys lead to are arrays; an error where some are and some are not. */
export function isEventPattern(filter: Filter): boolean {
    const kinds = new Set<boolean>();
    look(filter, kinds);
    if (kinds.size === 2) {
        throw new SpoorError(
            "filter: arrays and single values are not to be mixed: it is one dialect or the other",
        );
    }
    return kinds.has(true);
}

function look(value: object, kinds: Set<boolean>): void {
    for (const [key, member] of Object.entries(value)) {
        if (Array.isArray(member) && key.startsWith("$")) {
            member.forEach((one) => typeof one === "object" && one !== null && look(one, kinds));
            if (key !== "$or" && key !== "$and") {
                kinds.add(false);
            }
        } else if (Array.isArray(member)) {
            kinds.add(true);
        } else if (typeof member === "object" && member !== null) {
            look(member, kinds);
        } else {
            kinds.add(false);
        }
    }
}

/** A leaf of the pattern, or branches of which one must hold. */
type Rule =
    { path: readonly string[]; tests: readonly Element[] } | { or: readonly (readonly Rule[])[] };
interface Element {
    test: Test;
    /** Holds where nothing is. */
    absent: boolean;
}

export function compileEventPattern(filter: Filter): (event: SpoorEvent) => boolean {
    const alternatives = spread(rules(filter, []));
    return (event) => {
        const leaves = new Map<string, Leaf[]>();
        return alternatives.some((alternative) => fits(event, alternative, leaves));
    };
}

type Leaf = { value: unknown; places: ReadonlyMap<string, number> };
type Condition = { path: readonly string[]; tests: readonly Element[] };

function rules(node: Record<string, unknown>, path: readonly string[]): Rule[] {
    return Object.entries(node)
        .map(([name, value]): Rule[] => {
            if (
                name === "$or" &&
                Array.isArray(value) &&
                value.length >= 2 &&
                value.every(isNode)
            ) {
                return [{ or: value.map((one) => rules(one as Record<string, unknown>, path)) }];
            }
            const to = [...path, path.length === 0 ? rootName(name) : name];
            if (Array.isArray(value)) {
                if (value.length === 0) {
                    throw new SpoorError(`filter: ${to.join(".")}: an empty array matches nothing`);
                }
                return [{ path: to, tests: value.map((one) => element(one, to.join("."))) }];
            }
            if (!isNode(value)) {
                throw new SpoorError(`filter: ${to.join(".")}: expected an array or an object`);
            }
            return rules(value, to);
        })
        .flat();
}

function rootName(name: string): string {
    return name === "detail" || name === "payload"
        ? "data"
        : name === "detail-type"
          ? "type"
          : name;
}

function isNode(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Without `or`: each way to choose the branches. */
function spread(given: readonly Rule[]): Condition[][] {
    let all: Condition[][] = [[]];
    for (const rule of given) {
        const ways = "or" in rule ? rule.or.flatMap((branch) => spread(branch)) : [[rule]];
        all = all.flatMap((before) => ways.map((way) => [...before, ...way]));
        if (all.length > 512) {
            throw new SpoorError("filter: $or multiplies out to more than 512 conditions");
        }
    }
    return all;
}

/**
 * Chooses a value for each condition such that all lie in the same elements of the arrays they
 * share.
 */
function fits(
    event: SpoorEvent,
    conditions: readonly Condition[],
    known: Map<string, Leaf[]>,
): boolean {
    const present = conditions.filter(({ tests }) => !tests.every(({ absent }) => absent));
    const absent = conditions.filter(({ tests }) => tests.every(({ absent: only }) => only));
    const search = (at: number, places: ReadonlyMap<string, number>): boolean => {
        const condition = present[at];
        if (condition === undefined) {
            return absent.every(
                ({ path }) =>
                    !leavesAt(event, path, known).some((leaf) => agree(leaf.places, places)),
            );
        }
        const leaves = leavesAt(event, condition.path, known).filter((leaf) =>
            agree(leaf.places, places),
        );
        if (leaves.length === 0 && condition.tests.some(({ absent: holds }) => holds)) {
            return search(at + 1, places);
        }
        return leaves.some(
            (leaf) =>
                condition.tests.some(({ test, absent: only }) => !only && test(leaf.value)) &&
                search(at + 1, new Map([...places, ...leaf.places])),
        );
    };
    return search(0, new Map());
}

function agree(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
    return [...a].every(([array, index]) => !b.has(array) || b.get(array) === index);
}

/** The scalars at a path, each with the elements of the arrays on its way. */
function leavesAt(event: SpoorEvent, path: readonly string[], known: Map<string, Leaf[]>): Leaf[] {
    const id = path.join("\n");
    let leaves = known.get(id);
    if (leaves === undefined) {
        leaves = [];
        const [root = "", ...rest] = path;
        const value = rootValue(event, root);
        if (value !== MISSING) {
            collect(value, rest, root, new Map(), leaves);
        }
        known.set(id, leaves);
    }
    return leaves;
}

function collect(
    value: unknown,
    names: readonly string[],
    way: string,
    places: ReadonlyMap<string, number>,
    to: Leaf[],
): void {
    if (Array.isArray(value)) {
        value.forEach((one, index) =>
            collect(one, names, `${way}[${index}]`, new Map([...places, [way, index]]), to),
        );
    } else if (isNode(value)) {
        const [name = "", ...rest] = names;
        if (names.length > 0 && Object.hasOwn(value, name)) {
            collect(value[name], rest, `${way}.${name}`, places, to);
        }
    } else if (names.length === 0) {
        to.push({ value, places });
    }
}

const fold = (text: string): string => text.toLowerCase();

function element(given: unknown, path: string): Element {
    if (!isNode(given)) {
        if (given !== null && !["string", "number", "boolean"].includes(typeof given)) {
            throw new SpoorError(`filter: ${path}: an array in an array`);
        }
        return { test: (value) => value === given, absent: false };
    }
    const [[name, operand] = ["", undefined], more] = Object.entries(given) as [string, unknown][];
    if (more !== undefined) {
        throw new SpoorError(`filter: ${path}: expected one operator, found also ${more[0]}`);
    }
    if (name === "exists") {
        if (typeof operand !== "boolean") {
            throw new SpoorError(`filter: ${path}: exists: expected true or false`);
        }
        return { test: () => operand, absent: !operand };
    }
    return { test: operator(name, operand, path), absent: false };
}

function operator(name: string, operand: unknown, path: string): Test {
    switch (name) {
        case "prefix":
        case "suffix":
        case "equals-ignore-case":
        case "wildcard":
            return text(name, operand, path);
        case "anything-but":
            return anythingBut(operand, path);
        case "numeric":
            return numeric(operand, path);
        case "cidr":
            return cidr(operand, path);
        default:
            throw new SpoorError(`filter: ${path}: ${name} is no operator`);
    }
}

function text(name: string, operand: unknown, path: string): Test {
    if (
        isNode(operand) &&
        (name === "prefix" || name === "suffix") &&
        typeof operand["equals-ignore-case"] === "string"
    ) {
        const folded = fold(operand["equals-ignore-case"]);
        return (value) =>
            typeof value === "string" &&
            (name === "prefix" ? fold(value).startsWith(folded) : fold(value).endsWith(folded));
    }
    if (typeof operand !== "string") {
        throw new SpoorError(`filter: ${path}: ${name}: expected a string`);
    }
    const regex = name === "wildcard" ? wildcard(operand, path) : undefined;
    return (value) =>
        typeof value === "string" &&
        (regex?.test(value) ??
            (name === "prefix"
                ? value.startsWith(operand)
                : name === "suffix"
                  ? value.endsWith(operand)
                  : fold(value) === fold(operand)));
}

function wildcard(operand: string, path: string): RegExp {
    let source = "";
    let star = false;
    for (let at = 0; at < operand.length; at++) {
        let letter = operand[at]!;
        const wild = letter === "*";
        if (letter === "\\") {
            letter = operand[++at] ?? "";
            if (letter !== "*" && letter !== "\\") {
                throw new SpoorError(
                    `filter: ${path}: wildcard: only * and \\ may follow a backslash`,
                );
            }
        }
        if (wild && star) {
            throw new SpoorError(`filter: ${path}: wildcard: two wildcards in a row`);
        }
        star = wild;
        source += wild ? ".*" : letter.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
    }
    return new RegExp(`^${source}$`, "s");
}

function cidr(operand: unknown, path: string): Test {
    const [address = "", prefix = "", more] = typeof operand === "string" ? operand.split("/") : [];
    const family = isIP(address);
    if (
        family === 0 ||
        more !== undefined ||
        !/^\d{1,3}$/.test(prefix) ||
        Number(prefix) > (family === 4 ? 32 : 128)
    ) {
        throw new SpoorError(
            `filter: ${path}: cidr: expected a block of addresses such as 10.0.0.0/24`,
        );
    }
    const block = new BlockList();
    const kind = family === 4 ? "ipv4" : "ipv6";
    block.addSubnet(address, Number(prefix), kind);
    return (value) =>
        typeof value === "string" && isIP(value) === family && block.check(value, kind);
}

function anythingBut(operand: unknown, path: string): Test {
    if (isNode(operand)) {
        const [[name, given] = ["", undefined]] = Object.entries(operand) as [string, unknown][];
        const tests = (Array.isArray(given) ? given : [given]).map((one) => text(name, one, path));
        return (value) => !tests.some((test) => test(value));
    }
    const list: unknown[] = Array.isArray(operand) ? operand : [operand];
    const kinds = new Set(list.map((one) => typeof one));
    if (list.length === 0 || kinds.size > 1 || !(kinds.has("string") || kinds.has("number"))) {
        throw new SpoorError(
            `filter: ${path}: anything-but: expected a string or a number, or an array of either`,
        );
    }
    return (value) => !list.includes(value);
}

function numeric(operand: unknown, path: string): Test {
    const wrong = new SpoorError(
        `filter: ${path}: numeric: expected [">", 0] or [">", 0, "<=", 5]`,
    );
    if (!Array.isArray(operand) || (operand.length !== 2 && operand.length !== 4)) {
        throw wrong;
    }
    const bounds: [string, number][] = [];
    for (let at = 0; at < operand.length; at += 2) {
        const [sign, bound] = [operand[at] as unknown, operand[at + 1] as unknown];
        if (
            typeof sign !== "string" ||
            !["=", "<", "<=", ">", ">="].includes(sign) ||
            typeof bound !== "number"
        ) {
            throw wrong;
        }
        bounds.push([sign, bound]);
    }
    const [low, high] = bounds;
    if (
        low !== undefined &&
        high !== undefined &&
        !(
            low[0].startsWith(">") &&
            high[0].startsWith("<") &&
            (low[1] < high[1] || (low[1] === high[1] && low[0] === ">=" && high[0] === "<="))
        )
    ) {
        throw wrong;
    }
    return (value) =>
        typeof value === "number" &&
        bounds.every(([sign, bound]) =>
            sign === "="
                ? value === bound
                : sign === "<"
                  ? value < bound
                  : sign === "<="
                    ? value <= bound
                    : sign === ">"
                      ? value > bound
                      : value >= bound,
        );
}
