import { createInterface } from "node:readline/promises";
import { DataError, FileProblem, openRegular, plain, readRegular } from "../core/index.js";

/** Largest file that is read as one text, bytes. */
const LARGEST = 1 << 26;

/**
 * A small text file.
 *
 * @param what e.g. "list of images", for messages
 * @throws DataError if it is missing, no regular file, or too large
 */
export async function readText(path: string, what: string): Promise<string> {
  const bytes = await readRegular(path, LARGEST).catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${what} ${plain(path)} ${cause.message}`, { cause });
  });
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
}

/** The lines of a text file of any size, without line ends; empty ones are left out. */
export async function* readLines(path: string, what: string): AsyncGenerator<string> {
  const { file } = await openRegular(path).catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${what} ${plain(path)} ${cause.message}`, { cause });
  });
  const input = file.createReadStream({ encoding: "utf8" });
  try {
    let isFirst = true;
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      const text = isFirst ? line.replace(/^\uFEFF/, "") : line;
      isFirst = false;
      if (text.trim() !== "") yield text;
    }
  } finally {
    input.destroy();
  }
}
