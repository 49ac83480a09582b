import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { type BlockReport, Contestant } from "./contestant.js";
import { median } from "./measure.js";
import { duration, megabytes, printTable } from "./table.js";

/** One process, or several that share each batch; all with one thread. */
class Group {
  readonly seconds: number[] = [];

  private constructor(
    readonly name: string,
    private readonly ranks: readonly Contestant[],
  ) {}

  static async start(name: string, size: number, more: readonly string[] = []): Promise<Group> {
    const port = await freePort();
    const script = fileURLToPath(new URL("step-server.js", import.meta.url));
    const words = [script, "--model", "small", "--threads", "1", ...more];
    const ranks = Array.from({ length: size }, (_, rank) => {
      const place =
        size === 1
          ? {}
          : {
              RANK: `${rank}`,
              WORLD_SIZE: `${size}`,
              MASTER_ADDR: "127.0.0.1",
              MASTER_PORT: `${port}`,
            };
      return new Contestant(`${name}, rank ${rank}`, process.execPath, words, {
        ...process.env,
        ...place,
      });
    });
    return new Group(name, ranks);
  }

  /** All ranks do a block; it takes as long as the slowest. */
  async run(steps: number, counted = true): Promise<void> {
    await Promise.all(this.ranks.map((rank) => rank.run(steps, counted)));
    if (!counted) return;
    this.seconds.push(
      Math.max(...this.ranks.map(({ last }) => last.seconds.reduce((a, b) => a + b) / steps)),
    );
  }

  get last(): BlockReport {
    return this.ranks[0]!.last;
  }

  async end(): Promise<void> {
    await Promise.all(this.ranks.map((rank) => rank.end()));
  }
}

/**
 * A training step of one process of one thread, and of two that share its batch, in turn: how much of
 * a second core arrives, and what is sent for it.
 */
export async function benchProcesses(rounds: number, stepsPerBlock: number): Promise<void> {
  const groups = [
    await Group.start("one process", 1),
    await Group.start("two processes", 2),
    await Group.start("two, optim.shard=true", 2, ["--shard"]),
  ];
  try {
    for (const group of groups) await group.run(2, false);
    for (let round = 0; round < rounds; round += 1)
      for (const group of groups) await group.run(stepsPerBlock);
    const one = groups[0]!;
    printTable(
      `processes: dim 128, depth 4, batch 64, one thread each; median of ${rounds} blocks of ${stepsPerBlock} steps`,
      [
        ["", "step", "times as fast", "messages a step", "sent a step", "moments a process"],
        ...groups.map(({ name, seconds, last }) => [
          name,
          duration(median(seconds)),
          median(seconds.map((time, round) => one.seconds[round]! / time)).toFixed(2),
          (last.messages / stepsPerBlock).toFixed(0),
          megabytes(last.sent / stepsPerBlock),
          megabytes(last.moments),
        ]),
      ],
    );
  } finally {
    for (const group of groups) await group.end();
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
