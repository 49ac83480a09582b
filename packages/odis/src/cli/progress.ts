import type { Io } from "./command.js";

/** How far a command is that goes through images. */
export interface ImagesDone {
  readonly done: number;
  readonly of: number;
  readonly objects: number;
  readonly skipped: number;
}

/**
 * Says how far it is, how fast, and how long it will take. Rewrites one line on a terminal; elsewhere
 * writes one every ten seconds.
 *
 * @param duration seconds in words
 */
export function imageProgress(io: Io, duration: (seconds: number) => string) {
  const began = performance.now();
  let last = began;
  let before: number | undefined; // what an earlier session did is no speed of this one
  return ({ done, of, objects, skipped }: ImagesDone): void => {
    const now = performance.now();
    before ??= done - 1;
    if (now - last < (io.stderr.isTTY ? 100 : 10_000) && !(io.stderr.isTTY && done === of)) return;
    last = now;
    const rate = (done - before) / ((now - began) / 1000);
    const bad = skipped > 0 ? `, ${skipped} unusable` : "";
    const left = done < of ? `, ${duration((of - done) / rate)} left` : "";
    const line = `${done} of ${of} images, ${objects} objects${bad}, ${rate.toFixed(1)} images/s${left}`;
    io.stderr.write(io.stderr.isTTY ? `\r${line}\u001b[K${done === of ? "\n" : ""}` : `${line}\n`);
  };
}
