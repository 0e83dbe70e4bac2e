/**
 * Chance that is the same each time: a seed gives the same numbers, so a test that failed fails
 * again.
 */
export function randomOf(seed: number): () => number {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
}

export function shuffle<T>(items: T[], random: () => number): void {
    for (let at = items.length - 1; at > 0; at--) {
        const other = Math.floor(random() * (at + 1));
        [items[at], items[other]] = [items[other]!, items[at]!];
    }
}
