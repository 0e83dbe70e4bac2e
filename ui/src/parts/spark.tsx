/** A line of numbers, small enough to stand in a row of text. */
const WIDTH = 120;
const HEIGHT = 24;

export function Spark({ values, label }: { values: readonly number[]; label: string }) {
    const most = Math.max(1, ...values);
    const step = WIDTH / Math.max(1, values.length - 1);
    const points = values
        .map((value, i) => `${(i * step).toFixed(1)},${(HEIGHT - 1 - (value / most) * (HEIGHT - 2)).toFixed(1)}`)
        .join(" ");
    return (
        <svg class="spark" width={WIDTH} height={HEIGHT} role="img" aria-label={label}>
            <polyline points={points} />
        </svg>
    );
}
