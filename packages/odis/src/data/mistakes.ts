import { DataError, plain } from "../core/index.js";
import type { Form, Shape } from "./packed-index.js";

/** Pixels that a polygon or box may reach over the edge: annotation tools round. */
const OVERHANG = 1;

/** Mistakes that a message spells out; the rest is counted. */
const SHOWN = 3;

/**
 * Which of an object's numbers are x, and which are y: alternating, but a box has its sides last.
 *
 * @throws DataError when the mask lies outside of its image
 */
export function checkInside(
  { form, parts }: Shape,
  { width, height }: { readonly width: number; readonly height: number },
): void {
  const units: Partial<Record<Form, readonly [number, number, number]>> = {
    polygons: [width, height, OVERHANG],
    box: [width, height, OVERHANG],
    "share polygons": [1, 1, 0.01],
    "share box": [1, 1, 0.01],
  };
  const limits = units[form];
  if (!limits || limits[0] === 0) return;
  const isBox = form === "box" || form === "share box";
  const overhang = limits[2];
  for (const axis of [0, 1] as const) {
    let [low, high] = [Infinity, -Infinity];
    for (const part of parts) {
      for (let at = axis; at < part.length; at += 2) {
        const value = isBox && at > 1 ? part[at - 2]! + part[at]! : part[at]!;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const limit = limits[axis];
    if (low >= -overhang && high <= limit + overhang) continue;
    const name = axis === 0 ? "x" : "y";
    const frame =
      limit === 1 ? "shares of its sides are meant" : `the image is ${width} × ${height} pixels`;
    throw new DataError(
      `the mask reaches from ${name} = ${low} to ${high}; wanted 0 to ${limit}, since ${frame}`,
    );
  }
}

/** Collects what is wrong with a data set, so that one look shows more than the first mistake. */
export class Mistakes {
  private readonly first: DataError[] = [];
  private count = 0;

  /** @param where stands before the colon: "annotation file a.json" */
  constructor(private readonly where: string) {}

  /** Runs it; a DataError is noted instead of thrown. */
  collect(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.note(error);
    }
  }

  /** @param times how often it was made */
  note(error: unknown, times = 1): void {
    if (!(error instanceof DataError)) throw error;
    this.count += times;
    if (this.first.length < SHOWN) this.first.push(error);
  }

  /** @throws DataError with the first mistakes, when there were any */
  check(): void {
    if (this.count === 0) return;
    const shown = this.first.map(({ message }) => message);
    const more = this.count - shown.length;
    if (more > 0) shown.push(`… and ${more} more mistake${more === 1 ? "" : "s"}`);
    throw new DataError(`${plain(this.where)}: ${shown.join("\n  ")}`, { cause: this.first[0] });
  }
}
