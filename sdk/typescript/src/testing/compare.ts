/** How values of filters compare (docs/filters.md). */

const SCALES: readonly Readonly<Record<string, number>>[] = [
    { low: 1, medium: 2, normal: 2, high: 3, critical: 4, urgent: 4 },
    { debug: 1, info: 2, warning: 3, error: 4, fatal: 5 },
];

/** Less than, equal or greater than 0; undefined where they have no order. */
export function compare(a: unknown, b: unknown): number | undefined {
    if (typeof a === "number" && typeof b === "number") {
        return a - b;
    }
    if (typeof a !== "string" || typeof b !== "string") {
        return undefined;
    }
    for (const scale of SCALES) {
        if (Object.hasOwn(scale, a) && Object.hasOwn(scale, b)) {
            return scale[a]! - scale[b]!;
        }
    }
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

export function equal(a: unknown, b: unknown): boolean {
    return isScalar(a) && isScalar(b) && (a === b || compare(a, b) === 0);
}

export function isScalar(value: unknown): boolean {
    return (
        value === null ||
        typeof value === "string" ||
        typeof value === "number" ||
        typeof value === "boolean"
    );
}
