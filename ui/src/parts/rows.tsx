/**
 * A list of any length, of which only the rows in sight are in the page. All rows have one height,
 * so that where a row is takes no looking.
 */
import type { ComponentChildren, Ref } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

export const ROW_PX = 28;
const MARGIN_ROWS = 8;

export interface RowsProps {
    readonly count: number;
    readonly row: (index: number) => ComponentChildren;
    readonly label: string;
    readonly onScroll?: (top: number) => void;
    readonly box?: Ref<HTMLDivElement>;
}

export function Rows({ count, row, label, onScroll, box }: RowsProps) {
    const own = useRef<HTMLDivElement>(null);
    const [seen, setSeen] = useState({ top: 0, height: 600 });
    useLayoutEffect(() => {
        const element = own.current!;
        if (typeof box === "function") {
            box(element);
        } else if (box) {
            box.current = element;
        }
        const watch = new ResizeObserver(() =>
            setSeen({ top: element.scrollTop, height: element.clientHeight }),
        );
        watch.observe(element);
        return () => watch.disconnect();
    }, []);
    const first = Math.max(0, Math.floor(seen.top / ROW_PX) - MARGIN_ROWS);
    const last = Math.min(count, Math.ceil((seen.top + seen.height) / ROW_PX) + MARGIN_ROWS);
    const rows: ComponentChildren[] = [];
    for (let i = first; i < last; i++) {
        rows.push(row(i));
    }
    return (
        <div
            ref={own}
            class="rows"
            role="list"
            aria-label={label}
            tabIndex={0}
            onScroll={event => {
                const top = event.currentTarget.scrollTop;
                setSeen({ top, height: event.currentTarget.clientHeight });
                onScroll?.(top);
            }}
        >
            <div class="rows-all" role="presentation" style={{ height: `${count * ROW_PX}px` }}>
                <div role="presentation" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
                    {rows}
                </div>
            </div>
        </div>
    );
}
