/** Type patterns as the server has them: `*` one token, `#` any number, `>` one or more at the end. */

export function matches(pattern: string, type: string): boolean {
    return fits(pattern.split("."), type.split("."));
}

function fits(pattern: readonly string[], tokens: readonly string[]): boolean {
    const [first, ...rest] = pattern;
    if (first === undefined) {
        return tokens.length === 0;
    }
    if (first === "#") {
        return tokens.some((_, i) => fits(rest, tokens.slice(i))) || fits(rest, []);
    }
    if (first === ">") {
        return rest.length === 0 && tokens.length > 0;
    }
    return tokens.length > 0 && (first === "*" || first === tokens[0]) && fits(rest, tokens.slice(1));
}
