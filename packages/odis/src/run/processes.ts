import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { exitCodes, RunError } from "../core/index.js";
import type { ChildReport } from "./child.js";
import { goOn, type Standing } from "./among.js";
import { exitCodeOf } from "./stop.js";

/** Loaded into every process that odis starts of itself: `node --import`. */
export const companion = new URL("./child.js", import.meta.url).href;

export interface ProcessesOptions extends Pick<Standing, "stands" | "advice"> {
  readonly count: number;
  /** what they run, from the program's file on; default: this very command line */
  readonly words?: readonly string[];
  /** gets all that they print, which otherwise goes to this process's terminal */
  readonly hear?: (text: string) => void;
  /** hears what the first process tells */
  readonly tell: (fact: object) => void;
}

/** How a process ended. */
interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * For the others after one has failed, ms: one that was killed has to be missed first, for which they must
 * have met it; one that failed by itself is the last but for those that hang.
 */
const grace = { killed: 25_000, failed: 6_000, unmet: 1_000 } as const;

/**
 * Runs a command line in several processes of this machine that work together. Signals are passed
 * on; the processes write to this one's terminal themselves, one of them at a time.
 *
 * @returns exit code
 * @throws RunError when processes were killed and none is left to say so
 */
export async function runProcesses({
  count,
  words = process.argv.slice(1),
  hear,
  stands,
  advice = goOn,
  tell,
}: ProcessesOptions): Promise<number> {
  const port = await freePort();
  const output = hear ? "pipe" : "inherit";
  const children = Array.from({ length: count }, (_, rank) =>
    start(words, { rank, count, port, output }),
  );
  for (const stream of children.flatMap(({ stdout, stderr }) => [stdout, stderr]))
    stream?.setEncoding("utf8").on("data", (text: string) => hear?.(text));
  const passOn = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) => {
    const listener = (): void => signalAll(children, signal);
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  let told = false;
  let haveMet = false; // all of them have when one says so
  for (const [rank, child] of children.entries())
    child.on("message", (fact: ChildReport) => {
      told ||= fact.told === true;
      haveMet ||= fact.met === true;
      if (rank === 0 && fact.finished !== undefined) tell({ finished: fact.finished });
    });
  try {
    const inTime: Ended[] = [];
    const ended = await Promise.all(
      children.map(async (child) => {
        const how = await endOf(child);
        inTime.push(how);
        const { code, signal } = how;
        if (code !== exitCodes.ok) {
          const wait =
            signal === null && code! < 128 ? grace.failed : haveMet ? grace.killed : grace.unmet;
          setTimeout(() => signalAll(children, "SIGKILL"), wait).unref();
        }
        return how;
      }),
    );
    return judge(ended, inTime, { told, stands, advice });
  } finally {
    signalAll(children, "SIGKILL"); // nobody is left but after a failure here
    for (const off of passOn) off();
  }
}

interface Start {
  readonly rank: number;
  readonly count: number;
  readonly port: number;
  readonly output: "inherit" | "pipe";
}

function start(words: readonly string[], { rank, count, port, output }: Start): ChildProcess {
  return spawn(process.execPath, ["--import", companion, ...words], {
    stdio: ["ignore", output, output, "ipc"],
    env: {
      ...process.env,
      RANK: `${rank}`,
      WORLD_SIZE: `${count}`,
      LOCAL_RANK: `${rank}`,
      LOCAL_WORLD_SIZE: `${count}`,
      MASTER_ADDR: "127.0.0.1",
      MASTER_PORT: `${port}`,
      TORCHELASTIC_USE_AGENT_STORE: undefined, // a launcher's of this process, not theirs
    },
  });
}

const endOf = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve, reject) => {
    child.on("error", reject);
    // Not "exit": what it printed last may still be on its way.
    child.on("close", (code, signal) => resolve({ code, signal }));
  });

const isLeft = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null;

function signalAll(children: readonly ChildProcess[], signal: NodeJS.Signals): void {
  for (const child of children) if (isLeft(child)) child.kill(signal);
}

/** What the whole ends with: the code of the first process that failed by itself. */
function judge(
  ended: readonly Ended[],
  inTime: readonly Ended[],
  {
    told,
    stands,
    advice,
  }: { readonly told: boolean; readonly advice: string } & Pick<Standing, "stands">,
): number {
  const failure = inTime.find(({ code }) => code !== null && code !== exitCodes.ok);
  const [stopped] = inTime.flatMap(({ signal }) => exitCodeOf(signal) ?? []);
  // The first: those that were left are killed here.
  const killed = inTime.find(({ signal }) => signal !== null && exitCodeOf(signal) === undefined);
  if (killed && !told)
    throw new RunError(
      `rank ${ended.indexOf(killed)} of ${ended.length} was ended by ${killed.signal}` +
        `${killed.signal === "SIGKILL" ? " (out of memory?)" : ""}; ` +
        `${stands() ?? "nothing was saved yet"}. ${advice}`,
    );
  return failure?.code ?? stopped ?? exitCodes.ok;
}

/** A port of this machine that nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
