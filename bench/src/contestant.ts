import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { median } from "./measure.js";

/** What a contestant prints after a block of steps. */
export interface BlockReport {
  /** of each step of the block */
  readonly seconds: readonly number[];
  /** largest memory of the device that was in use so far, bytes; 0 on the CPU */
  readonly deviceMemory: number;
  /** largest resident memory of the process so far, bytes */
  readonly peakRss: number;
  /** page faults so far that were served without disk */
  readonly minorFaults: number;
  readonly threads: number;
  /** files of the BLAS in the process */
  readonly blas: readonly string[];
  readonly loss: number;
  /** that this process sent to others in the block, and their bytes */
  readonly messages: number;
  readonly sent: number;
  /** bytes of the optimiser's moments */
  readonly moments: number;
}

/**
 * A child process that computes only when asked: it sleeps on its standard input, runs as many steps
 * as the line says, and answers with one line of JSON. So contestants can be timed in turn, each in
 * memory of its own, while the others do nothing.
 */
export class Contestant<Report extends Pick<BlockReport, "seconds"> = BlockReport> {
  readonly reports: Report[] = [];
  private readonly child: ChildProcess;
  private readonly answers: AsyncIterator<string>;

  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    private readonly needs = "the peer needs Debian's package python3-torch",
  ) {
    this.child = spawn(command, args, { env, stdio: ["pipe", "pipe", "inherit"] });
    this.child.on("error", (error) => {
      console.error(`bench: cannot start ${name} (${command}): ${error.message}`);
    });
    this.answers = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  /** Runs a block; blocks with `counted` off warm up and are not reported. */
  async run(steps: number, counted = true): Promise<void> {
    this.child.stdin!.write(`${steps}\n`);
    const { value, done } = await this.answers.next();
    if (done)
      throw new Error(
        `${this.name} ended before it answered. Its own message stands above; ${this.needs}.`,
      );
    if (counted) this.reports.push(JSON.parse(value) as Report);
  }

  get seconds(): number[] {
    return this.reports.flatMap((report) => report.seconds);
  }

  get last(): Report {
    return this.reports.at(-1)!;
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.stdin!.end();
    await once(this.child, "exit");
  }
}

/** What is common to contestants, whatever they report. */
type Any = Contestant<Pick<BlockReport, "seconds">>;

/**
 * Runs blocks in turn (a, b, a, b, ...), so that whatever else the machine does meets all alike, after one of each
 * that is not counted; then ends the contestants.
 *
 * @param steps in a block
 * @param warmup in a block that is not counted
 */
export async function inTurn(
  contestants: readonly Any[],
  rounds: number,
  steps: number,
  warmup = steps,
): Promise<void> {
  try {
    for (const contestant of contestants) await contestant.run(warmup, false);
    for (let round = 0; round < rounds; round += 1)
      for (const contestant of contestants) await contestant.run(steps);
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.end()));
  }
}

/** How much faster odis is than its peer, by rounds, in words. */
export function ratioOver(ours: Any, peer: Any): string {
  const ratios = ours.reports.map(
    ({ seconds }, round) => median(peer.reports[round]!.seconds) / median(seconds),
  );
  return (
    `images/s of odis over the peer: ${median(ratios).toFixed(2)} ` +
    `(median of ${ratios.length} pairs, ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")})`
  );
}
