/** Something fetched for a view: asked again when its address changes, dropped when the view goes. */
import { useEffect, useState } from "preact/hooks";

import { get } from "../api/base.js";

export interface Resource<T> {
    readonly value: T | undefined;
    readonly error: Error | undefined;
    readonly loading: boolean;
    readonly reload: () => void;
}

export function useResource<T>(path: string | undefined): Resource<T> {
    const [state, setState] = useState<Omit<Resource<T>, "reload">>({
        value: undefined,
        error: undefined,
        loading: path !== undefined,
    });
    const [round, setRound] = useState(0);
    useEffect(() => {
        if (path === undefined) {
            setState({ value: undefined, error: undefined, loading: false });
            return;
        }
        const abort = new AbortController();
        setState(before => ({ ...before, loading: true }));
        get<T>(path, abort.signal).then(
            value => setState({ value, error: undefined, loading: false }),
            (error: unknown) => {
                if (!abort.signal.aborted) {
                    setState({ value: undefined, error: error as Error, loading: false });
                }
            },
        );
        return () => abort.abort();
    }, [path, round]);
    return { ...state, reload: () => setRound(round + 1) };
}
