import { format } from "d3-format";

const oneDigit = format(".1f");
const whole = format(",d");
const significant = format(",.4~r");
const power = format(".2~e");

/** Per cent with one digit: 0.7349 -> `73.5`, -0.012 -> `−1.2`; a dash where there is none. */
export function percent(share: number): string {
  return Number.isFinite(share) ? oneDigit(100 * share) : "–";
}

/** Percentage points: 0.0321 -> `+3.2`. */
export function signed(share: number): string {
  const text = percent(share);
  return share > 0 && Number(text) > 0 ? `+${text}` : text;
}

/** 12345 -> `12,345` */
export function count(n: number): string {
  return whole(n);
}

/** A value for reading: four significant digits, as a power where that would be long. */
export function valueText(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size > 0 && (size < 1e-3 || size >= 1e7) ? minus(power(value)) : significant(value);
}

/** d3 writes exponents with a hyphen, everything else with a minus sign. */
function minus(text: string): string {
  return text.replace("e-", "e−").replace("e+", "e");
}

/** A tick's label: `1,500`, `0.25`, `2e−4`. */
export function tickText(value: number, digits: number, largest: number): string {
  if (value === 0) return "0";
  if (largest < 1e-2 || largest >= 1e7) return minus(format(".1~e")(value));
  return format(`,.${digits}f`)(value);
}
