import { DataError } from "../core/index.js";

/** Crossings of one part; beyond this the outline is noise that covers a huge image. */
const MOST = 1 << 24;

/** Crossings that room is kept for between objects. */
const KEPT = 1 << 16;

/** Crossings of one column that are put in order one by one; an outline with more is sorted as a whole. */
const FEW = 32;

/**
 * Where the outline of one part of an object crosses the columns of an image. A data set has many small
 * objects: the room is used again.
 */
export class Crossings {
  private positions = new Float64Array(1 << 10);
  private columns = new Int32Array(1 << 10);
  private ordered = new Float64Array(1 << 10);
  private ends = new Int32Array(1 << 10);
  private length = 0;
  private leftmost = 0;
  private rightmost = 0;

  /** Starts another part. */
  clear(): void {
    [this.length, this.leftmost, this.rightmost] = [0, Infinity, -1];
    if (this.positions.length > KEPT) this.resize(KEPT);
  }

  /**
   * Makes room for one crossing of each column from `first` to `last`.
   *
   * @throws DataError when there are more than anybody draws
   */
  reserve(first: number, last: number): void {
    const length = this.length + last - first + 1;
    if (length > MOST)
      throw new DataError(`polygons: the outline crosses ${MOST} columns; wanted a shape`);
    if (length > this.positions.length) this.resize(Math.max(length, 2 * this.positions.length));
    this.leftmost = Math.min(this.leftmost, first);
    this.rightmost = Math.max(this.rightmost, last);
  }

  /** @param position never in a column further left than a smaller one is */
  add(column: number, position: number): void {
    this.columns[this.length] = column;
    this.positions[this.length] = position;
    this.length += 1;
  }

  /** All positions, in order; valid until the next `clear`. */
  sorted(): Float64Array {
    const { positions, columns, length, leftmost } = this;
    const width = this.rightmost - leftmost + 1;
    if (this.ordered.length < length) this.ordered = new Float64Array(positions.length);
    if (this.ends.length < width) this.ends = new Int32Array(width);
    const { ordered, ends } = this;
    // An outline goes round, so that it crosses each of its columns, most of them twice: by column first.
    ends.fill(0, 0, Math.max(0, width));
    for (let i = 0; i < length; i += 1) ends[columns[i]! - leftmost]! += 1;
    let [end, most] = [0, 0];
    for (let x = 0; x < width; x += 1) {
      most = Math.max(most, ends[x]!);
      end += ends[x]!;
      ends[x] = end;
    }
    for (let i = length - 1; i >= 0; i -= 1) {
      const x = columns[i]! - leftmost;
      ends[x]! -= 1;
      ordered[ends[x]!] = positions[i]!;
    }
    if (most > FEW) return ordered.subarray(0, length).toSorted();
    for (let i = 1; i < length; i += 1) {
      const position = ordered[i]!;
      let at = i;
      for (; at > 0 && ordered[at - 1]! > position; at -= 1) ordered[at] = ordered[at - 1]!;
      ordered[at] = position;
    }
    return ordered.subarray(0, length);
  }

  private resize(length: number): void {
    const keep = Math.min(this.length, length);
    const [positions, columns] = [new Float64Array(length), new Int32Array(length)];
    positions.set(this.positions.subarray(0, keep));
    columns.set(this.columns.subarray(0, keep));
    [this.positions, this.columns] = [positions, columns];
    [this.ordered, this.ends] = [new Float64Array(length), new Int32Array(length)];
  }
}
