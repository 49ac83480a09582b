import { join } from "node:path";
import { DataError, plain, reasonOf, show } from "../core/index.js";
import type { Place } from "./place.js";
import { readLines } from "./text-file.js";

/** Longest line of a table, characters. */
const LONGEST = 1 << 20;

/** One line of a table. */
export class Row {
  constructor(
    readonly cells: readonly string[],
    /** number of the line, from 1 */
    readonly at: number,
    private readonly columns: ReadonlyMap<string, number>,
    private readonly file: string,
  ) {}

  get where(): string {
    return `${plain(this.file)}, line ${this.at}`;
  }

  /** @throws DataError when the cell is empty */
  text(column: string): string {
    const text = this.optional(column);
    if (text) return text;
    throw new DataError(`${this.where}: ${column} is empty`);
  }

  optional(column: string): string | undefined {
    const at = this.columns.get(column);
    return at === undefined ? undefined : this.cells[at];
  }

  /** @throws DataError when the cell is no number */
  number(column: string): number {
    const text = this.optional(column);
    const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
    if (Number.isFinite(value)) return value;
    throw new DataError(`${this.where}: ${column} is ${show(text)}; wanted a number`);
  }
}

/**
 * The lines of a table with commas, one by one: those of Open Images have gigabytes.
 *
 * @param columns that its first line has to name; without them the first line is a row, too
 * @throws DataError if the file is missing, no table, or lacks a column
 */
export async function* readTable(
  place: Place,
  file: string,
  what: string,
  columns: readonly string[] = [],
): AsyncGenerator<Row> {
  const { parse } = await import("csv-parse/sync");
  const path = join(place.root, await place.regular(file));
  let named: Map<string, number> | undefined;
  let at = 0;
  for await (const line of readLines(path, what)) {
    at += 1;
    if (line.length > LONGEST)
      throw new DataError(`${what} ${plain(path)}, line ${at} has ${line.length} characters`);
    const cells = line.includes('"')
      ? quoted(line, `${what} ${plain(path)}, line ${at}`)
      : line.split(",");
    if (named || columns.length === 0) {
      yield new Row(cells, at, named ?? new Map(), file);
      continue;
    }
    named = new Map(cells.map((name, column) => [name.trim(), column]));
    const missing = columns.find((name) => !named!.has(name));
    if (missing !== undefined)
      throw new DataError(
        `${what} ${plain(path)} has no column ${missing}; its first line is ${show(line)}`,
      );
  }

  function quoted(line: string, where: string): string[] {
    try {
      const [cells = []] = parse(line, { relaxColumnCount: true });
      return cells;
    } catch (cause) {
      throw new DataError(`${where} is no line of a table: ${plain(reasonOf(cause))}`, { cause });
    }
  }
}
