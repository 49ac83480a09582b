import { readFile } from "node:fs/promises";
import { DataError } from "./errors.js";
import { codeOf, reasonOf } from "./text.js";

/** V8 reads no longer text than this; larger files cannot become one string. */
const LONGEST = 2 ** 29 - 24;

/**
 * @param what e.g. "annotation file", for messages
 * @throws DataError if the file is missing, too large, or not JSON (with line and column)
 */
export async function readJson(path: string, what: string): Promise<unknown> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    const reason =
      codeOf(cause) === "ENOENT" ? "does not exist" : `cannot be read (${reasonOf(cause)})`;
    throw new DataError(`${what} ${path} ${reason}`, { cause });
  });
  if (bytes.length > LONGEST) {
    throw new DataError(
      `${what} ${path} has ${bytes.length} bytes; at most ${LONGEST} can be read. Split the data set`,
    );
  }
  const text = bytes.toString("utf8");
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${what} ${path} is not JSON: ${placeOfMistake(text)}`, { cause });
  }
}

/** Node 20 names the position of some mistakes only, so it is found by shortening the text. */
function placeOfMistake(text: string): string {
  let [good, bad] = [0, text.length + 1]; // lengths: the prefix can, and cannot, be continued to JSON
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (couldGoOn(text, middle)) good = middle;
    else bad = middle;
  }
  if (good === text.length) return `it ends too early, after ${text.length} characters`;
  const line = text.slice(0, good).split("\n");
  const column = line.at(-1)!.length + 1;
  return `unexpected ${JSON.stringify(text[good])} at line ${line.length}, column ${column}`;
}

function couldGoOn(text: string, length: number): boolean {
  try {
    JSON.parse(text.slice(0, length));
    return true;
  } catch (error) {
    const message = reasonOf(error);
    const position = /position (\d+)/.exec(message);
    return message.includes("end of JSON") || (position !== null && Number(position[1]) >= length);
  }
}
