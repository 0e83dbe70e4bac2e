/** Views that show a state: fetched once, and again when events tell that it has changed. */
import { useEffect, useRef, useState } from "preact/hooks";

import { listen } from "../api/hub.js";
import { Metrics } from "../api/metrics.js";
import { useResource, type Resource } from "./resource.js";

const SETTLE_MS = 250; // changes come in flocks: the state is asked for when one has passed
const SETTLE_MS_MAX = 1500; // or so long after its first
const READINGS_MAX = 60;

/** Calls back when events of these types came: once for many. */
function useChanges(types: readonly string[], onChange: () => void): void {
    const call = useRef(onChange);
    call.current = onChange;
    useEffect(() => {
        let timer: ReturnType<typeof setTimeout> | undefined;
        let first = 0;
        const onEvents = () => {
            const now = Date.now();
            first = timer === undefined ? now : first;
            clearTimeout(timer);
            const wait = Math.max(0, Math.min(SETTLE_MS, first + SETTLE_MS_MAX - now));
            timer = setTimeout(() => {
                timer = undefined;
                call.current();
            }, wait);
        };
        const stop = listen({ types, metrics: false, onEvents, onMetrics: () => {} });
        return () => {
            clearTimeout(timer);
            stop();
        };
    }, [types.join(" ")]);
}

/** A resource that is fetched anew when events of these types come. */
export function useWatched<T>(path: string | undefined, types: readonly string[]): Resource<T> {
    const resource = useResource<T>(path);
    useChanges(types, resource.reload);
    return resource;
}

/** The newest figures of the server, behind those of before. */
export function useMetrics(): readonly Metrics[] {
    const [readings, setReadings] = useState<readonly Metrics[]>([]);
    useEffect(
        () =>
            listen({
                types: [],
                metrics: true,
                onEvents: () => {},
                onMetrics: text => {
                    const newest = new Metrics(text, Date.now());
                    setReadings(before => [...before.slice(1 - READINGS_MAX), newest]);
                },
            }),
        [],
    );
    return readings;
}
