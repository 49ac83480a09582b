/** A linear axis from data to drawing. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  /** digits after the point that tell neighbouring ticks apart */
  readonly digits: number;
}

/** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them, that cover low..high. */
export function axis(low: number, high: number, wanted = 4): Axis {
  const largest = Math.max(Math.abs(low), Math.abs(high));
  // Where all values are as good as equal, the axis shows their size instead of rounding noise.
  const apart = high - low > Math.max(1e-30, largest * 1e-9);
  const span = apart ? high - low : largest > 1e-30 ? largest : 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999)! * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return {
    low: ticks[0]!,
    high: ticks.at(-1)!,
    ticks,
    digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)),
  };
}

/** Where a value lies on the axis, 0..1. */
export function place(value: number, { low, high }: Axis): number {
  return (value - low) / (high - low);
}

/** A tick's label: `1,500`, `0.25`, `2e-4`. */
export function tickText(value: number, { digits, high, low }: Axis): string {
  const largest = Math.max(Math.abs(high), Math.abs(low));
  if (largest < 1e-2) return value === 0 ? "0" : value.toExponential(0).replace("e-", "e−");
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A value for reading: four significant digits. */
export function valueText(value: number): string {
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}
