import { counted, grouped } from "../core/index.js";
import type { Io } from "./command.js";

/** How far a command is that goes through images. */
export interface ImagesDone {
  readonly done: number;
  readonly of: number;
  readonly objects: number;
  readonly skipped: number;
}

/**
 * Says how far long work is: rewrites one line on a terminal; elsewhere writes one every ten seconds.
 *
 * @returns called as often as one likes; makes the text only when it is shown
 */
export function progressLine({ stderr }: Io) {
  let last = performance.now();
  return (isEnd: boolean, text: () => string): void => {
    const now = performance.now();
    if (now - last < (stderr.isTTY ? 100 : 10_000) && !(stderr.isTTY && isEnd)) return;
    last = now;
    stderr.write(stderr.isTTY ? `\r${text()}\u001b[K${isEnd ? "\n" : ""}` : `${text()}\n`);
  };
}

/** How many of some things are done. */
export function countProgress(io: Io, what: string) {
  const say = progressLine(io);
  return (done: number, of: number): void =>
    say(done === of, () => `${grouped(done)} of ${grouped(of)} ${what}`);
}

/**
 * Says how far it is, how fast, and how long it will take.
 *
 * @param duration seconds in words
 */
export function imageProgress(io: Io, duration: (seconds: number) => string) {
  const say = progressLine(io);
  const began = performance.now();
  let before: number | undefined; // what an earlier session did is no speed of this one
  return ({ done, of, objects, skipped }: ImagesDone): void => {
    before ??= done - 1;
    const fresh = done - before;
    say(done === of, () => {
      const rate = fresh / ((performance.now() - began) / 1000);
      const bad = skipped > 0 ? `, ${skipped} unusable` : "";
      const left = done < of ? `, ${duration((of - done) / rate)} left` : "";
      return `${grouped(done)} of ${counted(of, "image")}, ${counted(objects, "object")}${bad}, ${rate.toFixed(1)} images/s${left}`;
    });
  };
}
