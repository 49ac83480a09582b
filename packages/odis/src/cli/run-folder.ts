import { existsSync, statSync } from "node:fs";
import { plain, shellWord } from "../core/index.js";
import { type Io, UsageError } from "./command.js";

/**
 * The run folder that a word means. A network that comes with odis becomes one of its name in the
 * working folder, where an evaluation has room for what it writes.
 *
 * @throws UsageError when it means none
 */
export async function runFolder(word: string, io: Io): Promise<string> {
  if (existsSync(word)) {
    if (statSync(word).isDirectory()) return word;
    throw new UsageError(
      `RUN ${plain(word)}: got a file, wanted a run folder. Make it one: odis import ${shellWord(word)} FOLDER`,
    );
  }
  const { importRun, shippedFile, shippedNames } = await import("../run/index.js");
  if (shippedFile(word) === undefined) {
    const names = shippedNames();
    const known = names.length > 0 ? `, or one of the networks ${names.join(", ")}` : "";
    throw new UsageError(`RUN ${plain(word)}: wanted a folder that exists${known}`);
  }
  await importRun(word, word);
  io.stderr.write(`${word} comes with odis; made it a run in ${shellWord(`./${word}`)}\n`);
  return word;
}
