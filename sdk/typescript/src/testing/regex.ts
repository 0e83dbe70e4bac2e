/** Regular expressions of filters, as far as JavaScript's own can stand in for them. */
import { SpoorError } from "../errors.js";

export function compileRegex(text: string): RegExp {
    const refused = /\\[1-9]|\(\?<?[=!]|\(\?>|\[\[?:|\\p\{|[*+?}]\+/.exec(text);
    if (refused !== null) {
        throw new SpoorError(
            `$regex: ${refused[0]} at character ${refused.index} is not supported`,
        );
    }
    const flags = /^\(\?([is]+)\)/.exec(text);
    const body = (flags === null ? text : text.slice(flags[0].length))
        .replaceAll("\\A", "^")
        .replaceAll("\\z", "$")
        .replaceAll("\\a", "\\x07")
        .replaceAll("\\e", "\\x1b")
        .replace(/\\x\{([0-9a-fA-F]+)\}/g, "\\u{$1}")
        .replace(/\\([^\w\s^$\\.*+?()[\]{}|/-])/g, "$1");
    if (/\(\?-?[is]/.test(body)) {
        throw new SpoorError("$regex: the bus in memory knows flags at the beginning only");
    }
    try {
        return new RegExp(body, `u${flags?.[1] ?? ""}`);
    } catch (error) {
        throw new SpoorError(`$regex: ${(error as Error).message}`, { cause: error });
    }
}
