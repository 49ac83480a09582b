import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Place } from "@odis/torch";
import { causeOf, RunError, show, ToldElsewhere } from "../core/index.js";
import type { ChildReport } from "./child.js";
import { besidePort, type Membership, membershipOf } from "./place.js";

/** What a process finds where rank 0 should be. */
type Found =
  | { readonly kind: "nobody"; readonly reason: string }
  /** c10d's store, as far as one can know: it waits to be asked */
  | { readonly kind: "quiet" }
  | { readonly kind: "failed"; readonly exitCode: number }
  | { readonly kind: "foreign"; readonly said: string };

/** What rank 0 says to whoever comes when it has failed before all met, and what is understood of it. */
const farewell = (exitCode: number): string => `odis: rank 0 failed: ${exitCode}\n`;
const farewells = /^odis: rank 0 failed: (\d{1,3})\n$/;

/** Milliseconds: for a connection, and for somebody who speaks unasked. */
const [REACH, LISTEN] = [2000, 200];
/** While nobody is there, each process says so this often, ms. */
const REMINDER = 30_000;
/** For all to learn that one has failed already at the start, ms. */
const [STAY, ASK] = [5000, 3000];

/** A process meets the others once; from then on they tell each other of failures. */
let hasMet = false;

/** Says that the others were met, so that nobody listens to a farewell any more. */
export function tellMet(): void {
  hasMet = true;
  const report: ChildReport = { met: true };
  if (process.connected) process.send?.(report);
}

/**
 * Waits until rank 0 has opened the meeting place. Another server there that speaks by itself must not
 * come before c10d, which takes its first bytes for lengths and aborts.
 *
 * @param say hears every half minute what is waited for
 * @returns seconds that are left
 * @throws RunError when nobody or somebody else is there; ToldElsewhere when rank 0 has failed
 */
export async function awaitFirst(
  place: Membership,
  seconds: number,
  say: (line: string) => void,
): Promise<number> {
  if (place.rank === 0) return seconds;
  const { rank, size, address, port } = place;
  const who = `rank ${rank} of ${size}`;
  const where = `${show(address)}, ${besidePort(place) ?? `port ${port}`}`;
  const begun = performance.now();
  let reminded = begun;
  for (let pause = 50; ; pause = Math.min(2 * pause, 1000)) {
    const found = await look(place);
    const now = performance.now();
    const left = seconds - (now - begun) / 1000;
    if (found.kind === "quiet") return Math.max(1, left);
    if (found.kind === "failed") throw new ToldElsewhere("rank 0 failed", found.exitCode);
    if (found.kind === "foreign")
      throw new RunError(
        `${who} found another program at ${where}, where rank 0 should be; it says ${show(found.said)}. ` +
          `Choose another MASTER_PORT for all processes, or mend MASTER_ADDR.`,
      );
    if (left <= 0)
      throw new RunError(
        `${who} met nobody at ${where} within ${seconds} s, where rank 0 should be (${found.reason}). ` +
          `Look at MASTER_ADDR and MASTER_PORT, and whether all processes were started.`,
      );
    if (now - reminded >= REMINDER) {
      say(`${who} waits for rank 0 at ${where} (${found.reason}); ${Math.ceil(left)} s left\n`);
      reminded = now;
    }
    await sleep(Math.min(pause, 1000 * left));
  }
}

/**
 * Ends one of several processes that failed before they met, mostly as all of them do: rank 0 tells and
 * lets the others know, these tell only what it does not.
 *
 * @param tell says what went wrong
 * @returns exit code
 */
export async function failBeforeMeeting(exitCode: number, tell: () => void): Promise<number> {
  const place = hasMet ? undefined : placeOrNone();
  if (place === undefined || place.rank === 0) tell();
  if (place?.rank === 0) await sayFarewell(place, exitCode);
  if (place === undefined || place.rank === 0) return exitCode;
  const end = performance.now() + ASK;
  let found: Found;
  do {
    found = await look(place);
    if (found.kind === "failed") return found.exitCode;
    await sleep(50);
  } while (found.kind === "nobody" && performance.now() < end);
  tell();
  return exitCode;
}

/** Variables that are wrong are what the failure is about: each process tells, none knows of others. */
function placeOrNone(): Place | undefined {
  try {
    return membershipOf();
  } catch {
    return undefined;
  }
}

function look({ address, port }: Place): Promise<Found> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let said = "";
    const done = (found: Found): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(found);
    };
    const hear = (): void => {
      const code = farewells.exec(said)?.[1];
      if (code !== undefined) done({ kind: "failed", exitCode: Number(code) });
      else if (said === "") done({ kind: "nobody", reason: "who was there hung up" });
      else done({ kind: "foreign", said: said.slice(0, 60) });
    };
    let timer = setTimeout(() => done({ kind: "nobody", reason: "no answer" }), REACH);
    socket.on("error", (error) => done({ kind: "nobody", reason: causeOf(error) }));
    socket.on("connect", () => {
      clearTimeout(timer);
      timer = setTimeout(() => (said === "" ? done({ kind: "quiet" }) : hear()), LISTEN);
    });
    socket.on("data", (bytes) => {
      said += bytes.toString("latin1");
      if (said.length >= 60 || said.includes("\n")) hear();
    });
    socket.on("end", hear);
  });
}

/** Stays until all have heard it, or for some seconds; where the port is taken nobody can. */
function sayFarewell({ port, size }: Place, exitCode: number): Promise<void> {
  return new Promise((resolve) => {
    let heard = 0;
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.end(farewell(exitCode));
      socket.on("close", () => {
        open.delete(socket);
        heard += 1;
        if (heard === size - 1) end();
      });
    });
    const end = (): void => {
      clearTimeout(timer);
      server.close();
      for (const socket of open) socket.destroy(); // one that never hangs up would keep this process
      resolve();
    };
    const timer = setTimeout(end, STAY);
    server.on("error", end);
    server.listen(port);
  });
}
