/** A table of rows with named columns; numbers stand to the right. */
import type { ComponentChildren } from "preact";

export interface Column<T> {
    readonly title: string;
    readonly number?: boolean;
    readonly cell: (row: T) => ComponentChildren;
}

export interface TableProps<T> {
    readonly label: string;
    readonly columns: readonly Column<T>[];
    readonly rows: readonly T[];
    readonly keyOf: (row: T) => string;
}

export function Table<T>({ label, columns, rows, keyOf }: TableProps<T>) {
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={label}>
            <table class="list">
                <thead>
                    <tr>
                        {columns.map(column => (
                            <th key={column.title} scope="col" class={column.number ? "number" : ""}>
                                {column.title}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {rows.map(row => (
                        <tr key={keyOf(row)}>
                            {columns.map(column => (
                                <td key={column.title} class={column.number ? "number" : ""}>
                                    {column.cell(row)}
                                </td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}
