import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createWebServer } from "node:http";
import { createServer, type Server, Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { odis } from "../cli/odis.js";
import { scratchFolder } from "../scratch.js";
import { expectClose } from "../golden.js";
import { freePort } from "../train/processes.js";
import {
  launch,
  launchRanks,
  type Result,
  resultOf,
  type Running,
  says,
  variables,
} from "./ranks.js";
import { tinyData, tinyRun } from "./tiny-run.js";

vi.setConfig({ testTimeout: 300_000 });

const scratch = scratchFolder();
let data: string;
beforeAll(async () => {
  data = await tinyData();
});
afterAll(() => rmSync(data, { recursive: true }));

const run = (name = "run"): string => join(scratch(), name);
const steps = 30;
const long = (name = "run", ...more: string[]): string[] =>
  tinyRun(data, run(name), "--steps", "100000", "--checkpoint-steps", "5", ...more);
const whole = (name: string, ...more: string[]): string[] =>
  tinyRun(data, run(name), "--steps", `${steps}`, "--checkpoint-steps", "10", ...more);

/** All of a run's numbers but for rounding. */
function expectSameRun({ rows }: Result, wanted: Result): void {
  expect(rows).toHaveLength(wanted.rows.length);
  for (const [step, row] of wanted.rows.entries()) {
    const numbers = (of: Readonly<Record<string, unknown>>): number[] =>
      ["loss", "object", "patch", "gradNorm", "teacherEntropy", "lr", "absent"].map((name) =>
        Number(of[name]),
      );
    expectClose(numbers(rows[step]!), numbers(row), {
      what: `step ${step}`,
      rtol: 1e-3,
      atol: 1e-4,
    });
  }
}

/** Everything that a group of processes said, and how each ended. */
async function outcome(ranks: readonly Running[]): Promise<{ said: string; codes: unknown[] }> {
  const codes = await Promise.all(ranks.map(async ({ ended }) => (await ended)[0]));
  return { said: ranks.map(({ said }) => said()).join(""), codes };
}

/** The one sentence that was said of a failure. */
function complaint(said: string): string {
  const lines = said.split("\n").filter((line) => line.startsWith("odis pretrain: "));
  expect(lines).toHaveLength(1);
  return lines[0]!;
}

describe("the same line in several processes", () => {
  it("gives the numbers and files of one, however they are started; killed and resumed the very bits", async () => {
    expect(odis(whole("one"))).toMatchObject({ code: 0 });
    const one = resultOf(run("one"));
    const { code, stdout, stderr } = odis(whole("two", "--processes", "2"));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^finished 30 steps in \d+ s; newest checkpoint \S+step-00000030\n$/);
    const two = resultOf(run("two"));
    expectSameRun(two, one);
    expect(readdirSync(run("two")).toSorted()).toEqual(readdirSync(run("one")).toSorted());
    expect(stderr.match(/step 1\//g)).toHaveLength(1);

    // Killed at a random moment, once each way; the other way goes on with it.
    const random = (): number => Math.round(700 * Math.random());
    const ranks = await launchRanks(2, whole("killed"));
    await says(ranks[0]!, "step 1/");
    await sleep(random());
    ranks[Math.random() < 0.5 ? 0 : 1]!.child.kill("SIGKILL");
    await outcome(ranks);
    const parent = launch(whole("killed", "--processes", "2"));
    await says(parent, "step ");
    await sleep(random());
    parent.child.kill("SIGKILL");
    await parent.ended; // its children end, too: the pipe is theirs
    const again = await launchRanks(2, whole("killed"));
    expect(await outcome(again)).toMatchObject({ codes: [0, 0] });
    expect(resultOf(run("killed"))).toEqual(two);
  });

  it("keeps its bits when processes share the optimiser's moments, always, never, or now and then", () => {
    const line = (name: string, ...more: string[]): string[] =>
      whole(name, "--processes", "2", "--keep", "9", ...more);
    const shared = (name: string): string[] => line(name, "--set", "optim.shard=true");
    const back = (name: string, step: string): void => {
      const folder = join(run(name), "checkpoints");
      for (const found of readdirSync(folder))
        if (found > step) rmSync(join(folder, found), { recursive: true });
    };
    expect(odis(shared("shared")).code).toBe(0);
    expect(odis(line("whole")).code).toBe(0);
    const { bits } = resultOf(run("whole"));
    expect(resultOf(run("shared")).bits).toBe(bits);
    back("shared", "step-00000010");
    back("whole", "step-00000010");
    const [there, here] = [odis(line("shared")), odis(shared("whole"))];
    expect([there.code, here.code]).toEqual([0, 0]);
    expect(here.stderr).toContain("resumes after step 10 of 30");
    expect(resultOf(run("shared")).bits).toBe(bits);
    expect(resultOf(run("whole")).bits).toBe(bits);
    back("shared", "step-00000020");
    expect(odis(shared("shared")).code).toBe(0);
    expect(resultOf(run("shared")).bits).toBe(bits);
  });

  it("goes on with another number of processes", () => {
    const words = (...more: string[]): string[] => whole("run", ...more);
    const stop = (name: string): void => {
      // As if it had ended after that checkpoint.
      const folder = join(run(), "checkpoints");
      for (const found of readdirSync(folder))
        if (found > name) rmSync(join(folder, found), { recursive: true });
    };
    expect(odis(words("--processes", "2", "--keep", "9")).code).toBe(0);
    const two = resultOf(run());
    stop("step-00000020");
    expect(odis(words("--processes", "4", "--keep", "9"))).toMatchObject({ code: 0 });
    expectSameRun(resultOf(run()), two);
    stop("step-00000010");
    expect(odis(words("--keep", "9")).code).toBe(0);
    expectSameRun(resultOf(run()), two);
  });
});

describe("a process that is lost ends the others", () => {
  it.each([
    [0, "rank 1 of 3", "rank 0"],
    [1, "rank 0 of 3", "rank 1"],
  ])("rank %i, killed: %s says so", async (lost, who, named) => {
    const ranks = await launchRanks(3, long("run", "--batch", "6"));
    await vi.waitFor(
      () => expect(existsSync(join(run(), "checkpoints", "step-00000005"))).toBe(true),
      {
        timeout: 60_000,
      },
    );
    ranks[lost]!.child.kill("SIGKILL");
    const { said, codes } = await outcome(ranks);
    expect(codes).toEqual([0, 1, 2].map((rank) => (rank === lost ? null : 4)));
    expect(complaint(said)).toMatch(
      new RegExp(
        `^odis pretrain: ${who} failed in all-\\w+ \\d+: ${named} does not answer \\(.+\\)\\. ` +
          `\\S+/checkpoints/step-\\d{8} stands\\. Run the same line again to go on, with as many processes or with another number of them\\.$`,
      ),
    );
  });

  it("one that hangs, started by --processes: it is ended, too", async () => {
    const parent = launch(long("run", "--processes", "2", "--patience", "2"));
    await says(parent, "step 1/");
    const children = readFileSync(
      `/proc/${parent.child.pid}/task/${parent.child.pid}/children`,
      "utf8",
    );
    const [, second] = children.trim().split(" ").map(Number);
    process.kill(second!, "SIGSTOP");
    expect(await parent.ended).toEqual([4, null]);
    expect(complaint(parent.said())).toMatch(
      /^odis pretrain: rank 0 of 2 failed in all-\w+ \d+: rank 1 does not answer \(.+\)\. /,
    );
    expect(existsSync(`/proc/${second}`)).toBe(false);
  });

  it.each([0, 1])(
    "rank %i, killed before they met, started by --processes: named",
    async (lost) => {
      const parent = launch(long("run", "--processes", "2"));
      const list = `/proc/${parent.child.pid}/task/${parent.child.pid}/children`;
      const children = (): number[] => readFileSync(list, "utf8").trim().split(" ").map(Number);
      await vi.waitFor(() => expect(children()).toHaveLength(2), { timeout: 60_000, interval: 5 });
      process.kill(children()[lost]!, "SIGKILL");
      expect(await parent.ended).toEqual([4, null]);
      expect(complaint(parent.said())).toBe(
        `odis pretrain: rank ${lost} of 2 was ended by SIGKILL (out of memory?); nothing was saved yet. Run the ` +
          "same line again to go on, with as many processes or with another number of them.",
      );
    },
  );

  it("one that cannot go on says why, the others nothing", async () => {
    const damaged = join(scratch(), "damaged");
    const copy = await tinyData(damaged);
    writeFileSync(join(copy, "images", "3.png"), "no picture");
    const words = tinyRun(copy, run(), "--steps", "50", "--max-bad", "0");
    const { said, codes } = await outcome(await launchRanks(2, words));
    expect(codes).toEqual([3, 3]);
    const lines = said.split("\n").filter((line) => line.startsWith("odis pretrain: "));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      /^odis pretrain: (rank 1 of 2: )?1 image cannot be used; at most 0 may be skipped\. The first of them:$/,
    );
    expect(lines[1]).toMatch(/ {2}3\.png: /);
  });
});

describe("processes that do not find each other", () => {
  it("started for different runs: said once", async () => {
    const port = await freePort();
    const ranks = [0, 1].map((rank) =>
      launch(long("run", "--seed", `${rank}`), variables(rank, 2, port)),
    );
    const { said, codes } = await outcome(ranks);
    expect(codes).toEqual([4, 4]);
    expect(complaint(said)).toBe(
      "odis pretrain: rank 1 of 2 was started for another run than rank 0: seed is 0 in rank 0 and " +
        "1 in rank 1. Start all processes with the same line and data.",
    );
    expect(existsSync(run())).toBe(false);
  });

  it("a mistake that all make before they meet: said once, all with its exit code", async () => {
    const wrong = long("run", "--set", "optim.lr=fast");
    const { said, codes } = await outcome(await launchRanks(3, wrong));
    expect(codes).toEqual([2, 2, 2]);
    expect(complaint(said)).toMatch(/optim\.lr/);
  });

  it("the first makes a mistake that no other makes: they do not wait for it", async () => {
    const port = await freePort();
    const ranks = [0, 1].map((rank) =>
      launch(
        long("run", ...(rank === 0 ? ["--set", "optim.lr=fast"] : [])),
        variables(rank, 2, port),
      ),
    );
    const { said, codes } = await outcome(ranks);
    expect(codes).toEqual([2, 2]);
    expect(complaint(said)).toMatch(/optim\.lr/);
  });

  it("another program that speaks, or that does not understand: said, no abort", async () => {
    const speaker = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.write("SSH-2.0-OpenSSH_9.2\r\n");
    }).listen(0);
    await once(speaker, "listening");
    const web = createWebServer((_, answer) => answer.end("hello")).listen(0);
    await once(web, "listening");
    const portOf = (server: Server): number => {
      const address = server.address();
      return typeof address === "object" && address ? address.port : 0;
    };
    const [a, b] = [portOf(speaker), portOf(web)];
    const first = launch(long(), variables(1, 2, a));
    const second = launch(long(), variables(1, 2, b));
    const { codes } = await outcome([first, second]);
    speaker.close();
    web.closeAllConnections();
    web.close();
    expect(codes).toEqual([4, 4]);
    expect(complaint(first.said())).toBe(
      `odis pretrain: rank 1 of 2 found another program at "127.0.0.1", port ${a}, where rank 0 should ` +
        'be; it says "SSH-2.0-OpenSSH_9.2\\r\\n". Choose another MASTER_PORT for all processes, or ' +
        "mend MASTER_ADDR.",
    );
    expect(complaint(second.said())).toContain(
      `rank 1 of 2 was not understood at 127.0.0.1:${b}: another program listens there, or rank 0 has ` +
        `ended. Look at MASTER_ADDR ("127.0.0.1") and MASTER_PORT (${b})`,
    );
  });

  it("the first does not come: the others say where they looked", async () => {
    const port = await freePort();
    const { code, stderr } = odis(long("run", "--rendezvous", "1"), { env: variables(1, 2, port) });
    expect(code).toBe(4);
    expect(stderr).toMatch(
      new RegExp(
        `^odis pretrain: rank 1 of 2 met nobody at "127\\.0\\.0\\.1", port ${port} within 1 s, where rank 0 ` +
          "should be \\(.+\\)\\. Look at MASTER_ADDR and MASTER_PORT, and whether all processes were started\\.\n$",
      ),
    );
  });

  it("beside torchrun: said where ranks meet, and that MASTER_PORT is another", async () => {
    const port = await freePort();
    const beside = `port ${port + 1} (torchrun itself is at MASTER_PORT, ${port})`;
    const told = [0, 1].map((rank) => {
      const env = { ...variables(rank, 2, port), TORCHELASTIC_USE_AGENT_STORE: "True" };
      return odis(long("run", "--rendezvous", "1"), { env }).stderr;
    });
    expect(told[0]).toContain(`Look at MASTER_ADDR ("127.0.0.1") and ${beside}, and whether`);
    expect(told[1]).toContain(`rank 1 of 2 met nobody at "127.0.0.1", ${beside} within 1 s`);
  });

  it("the first fails while it waits for some: the others hear of it and do not wait", async () => {
    const port = await freePort();
    const ranks = [0, 1].map((rank) =>
      launch(
        long("run", "--batch", "6", "--rendezvous", rank === 0 ? "3" : "600"),
        variables(rank, 3, port),
      ),
    );
    const { said, codes } = await outcome(ranks);
    expect(codes).toEqual([4, 4]);
    expect(complaint(said)).toMatch(
      /^odis pretrain: rank 0 of 3 waited 3 s: ranks? (1, )?2 did not come\. Look at /,
    );
  });

  it("the first has failed, and somebody there never hangs up: it ends nevertheless", async () => {
    const port = await freePort();
    const wrong = long("run", "--set", "optim.lr=fast");
    const first = launch(wrong, variables(0, 3, port));
    let held: Socket | undefined;
    while (!held && first.child.exitCode === null) {
      const socket = new Socket({ allowHalfOpen: true }).on("error", () => undefined);
      held = await new Promise<Socket | undefined>((resolve) => {
        socket.once("close", () => resolve(undefined));
        socket.connect(port, "127.0.0.1", () => resolve(socket));
      });
    }
    expect(held).toBeDefined();
    held!.resume();
    expect(await first.ended).toEqual([2, null]);
    held!.destroy();
  });

  it("nobody comes: who, and what to look at", async () => {
    const port = await freePort();
    const { code, stderr } = odis(long("run", "--rendezvous", "1"), { env: variables(0, 3, port) });
    expect(code).toBe(4);
    expect(stderr).toBe(
      "odis pretrain: rank 0 of 3 waited 1 s: ranks 1, 2 did not come. Look at MASTER_ADDR " +
        `("127.0.0.1") and MASTER_PORT (${port}), and whether all processes were started.\n`,
    );
  });

  it("the port is taken", async () => {
    const server = createServer().listen(0);
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const { code, stderr } = odis(long("run", "--rendezvous", "1"), { env: variables(0, 2, port) });
    server.close();
    expect(code).toBe(4);
    expect(complaint(stderr)).toMatch(
      new RegExp(
        `cannot let the others meet at 127\\.0\\.0\\.1:${port} within 1 s .*Address already in use`,
      ),
    );
  });

  it("half of the variables, or too many processes for the batch", () => {
    expect(odis(long(), { env: { RANK: "0" } })).toEqual({
      code: 2,
      stdout: "",
      stderr:
        "odis pretrain: RANK is set (0), but WORLD_SIZE is not; wanted both, as torchrun sets them, or neither\n",
    });
    expect(odis(long("run", "--processes", "3")).stderr).toBe(
      "odis pretrain: optim.batch: got 4, shared by 3 processes; wanted a multiple of their number, e.g. 3\n",
    );
    expect(odis(long("run", "--processes", "4"), { env: variables(0, 2, 1) }).stderr).toBe(
      "odis pretrain: --processes: got 4, but WORLD_SIZE says that this is one of 2 processes; wanted " +
        "one of them only\n",
    );
  });
});

describe("signals", () => {
  it("to the process that started the others: all save and end", async () => {
    const parent = launch(long("run", "--processes", "2"));
    await says(parent, "step 1/");
    parent.child.kill("SIGTERM");
    expect(await parent.ended).toEqual([143, null]);
    const [, step] = /\nstopped after step (\d+) of 100000; saved /.exec(parent.said()) ?? [];
    expect(resultOf(run()).checkpoint).toBe(`step-${step!.padStart(8, "0")}`);
    expect(parent.said()).toContain(`--processes 2`);
    expect(parent.said().match(/SIGTERM: saving/g)).toHaveLength(1);
  });

  it("to one of those that others started: all of them stop", async () => {
    const ranks = await launchRanks(2, long());
    await says(ranks[0]!, "step 1/");
    ranks[1]!.child.kill("SIGTERM");
    const { said, codes } = await outcome(ranks);
    expect(codes).toEqual([143, 143]);
    expect(said).toMatch(/\nstopped after step \d+ of 100000; saved /);
  });
});
