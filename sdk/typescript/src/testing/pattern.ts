/**
 * Patterns over the type: `*` one token, `#` any number, `>` one or more, last only
 * (docs/filters.md).
 */
import { SpoorError } from "../errors.js";

export type TypeTest = (type: string) => boolean;

export function compilePattern(pattern: string): TypeTest {
    const tokens = pattern.split(".");
    if (
        pattern === "" ||
        Buffer.byteLength(pattern) > 255 ||
        /[\s\u0000-\u001f\u007f-\u009f]/u.test(pattern)
    ) {
        throw new SpoorError(`type: ${JSON.stringify(pattern)} is no pattern`);
    }
    if (tokens.slice(0, -1).includes(">")) {
        throw new SpoorError(`type: the wildcard > of ${pattern} is not its last token`);
    }
    return (type) => matches(tokens, type.split("."));
}

/** Whether it has a wildcard. */
export function isWild(pattern: string): boolean {
    return pattern.split(".").some((token) => token === "*" || token === "#" || token === ">");
}

/** Row by row: after each token of the pattern, how many tokens of the type may be behind. */
function matches(pattern: readonly string[], type: readonly string[]): boolean {
    let behind = new Array<boolean>(type.length + 1).fill(false);
    behind[0] = true;
    for (const token of pattern) {
        const next = new Array<boolean>(type.length + 1).fill(false);
        for (let at = 0; at <= type.length; at++) {
            if (token === "#") {
                next[at] = behind[at]! || (at > 0 && next[at - 1]!);
            } else if (at > 0) {
                next[at] =
                    token === ">"
                        ? behind[at - 1]! || next[at - 1]!
                        : behind[at - 1]! && (token === "*" || token === type[at - 1]);
            }
        }
        behind = next;
    }
    return behind[type.length]!;
}
