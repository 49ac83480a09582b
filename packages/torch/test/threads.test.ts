import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import {
  CoreWatch,
  gradEnabled,
  liveTensors,
  noGrad,
  ones,
  runtimeInfo,
  setThreads,
  threads,
} from "@odis/torch";
import { describe, expect, test } from "vitest";
import { runModule } from "./node.js";

const prelude = `
  const { parentPort, workerData } = require("node:worker_threads");
  const run = async (work) => { parentPort.postMessage(await work(await import("@odis/torch"))); };
`;

/** Runs code with the package as `t` in a real worker thread; what it returns. */
async function inWorker(body: string, data?: unknown): Promise<unknown> {
  const worker = new Worker(`${prelude} run(async (t) => { ${body} });`, {
    eval: true,
    workerData: data,
  });
  const [message] = (await once(worker, "message")) as [unknown];
  await worker.terminate();
  return message;
}

test("a worker computes, with tensors, modes and errors of its own", async () => {
  const mine = ones([2]);
  const before = liveTensors();
  const work = inWorker(`
    const x = t.tensor([1, 2]).requiresGrad_();
    x.mul(x).sum().backward();
    let error;
    try { x.add({}); } catch (caught) { error = caught.constructor === t.OperatorError; }
    return { gradient: x.grad.toNumbers(), enabled: t.gradEnabled(), error };
  `);
  noGrad(() => expect(gradEnabled()).toBe(false));
  expect(await work).toEqual({ gradient: [2, 4], enabled: true, error: true });
  expect(liveTensors()).toBe(before);
  mine.free();
});

test("workers and the main thread compute at once", async () => {
  const body = `
    let sum = 0;
    for (let step = 0; step < 50; step += 1) {
      t.tidy(() => {
        const x = t.ones([32, 32]).requiresGrad_();
        x.matmul(x).sum().backward();
        sum += x.grad.sum().item();
      });
    }
    return sum;
  `;
  const workers = [inWorker(body), inWorker(body)];
  const here = ones([32, 32]);
  const product = here.matmul(here).sum().item();
  expect(product).toBe(32 ** 3);
  expect(await Promise.all(workers)).toEqual([50 * 2 * 32 ** 3, 50 * 2 * 32 ** 3]);
  here.free();
});

test("a worker fills memory that the main thread reads", async () => {
  const shared = new Float32Array(new SharedArrayBuffer(16));
  await inWorker("t.full([4], 2.5).copyInto(workerData); return true;", shared);
  expect([...shared]).toEqual([2.5, 2.5, 2.5, 2.5]);
});

test("LibTorch outlives the worker that loaded it first, and the process ends cleanly", async () => {
  const ended = await runModule(`
    import { Worker } from "node:worker_threads";
    import { once } from "node:events";
    const body = 'import("@odis/torch").then((t) => { t.ones([8]).exp(); })';
    for (let turn = 0; turn < 3; turn += 1) await once(new Worker(body, { eval: true }), "exit");
    const { ones } = await import("@odis/torch");
    console.log(ones([8]).sum().item());
  `);
  expect(ended).toEqual({ code: 0, stdout: "8\n", stderr: "" });
});

test("the number of threads can be set", () => {
  const before = threads();
  setThreads(2);
  expect(threads()).toBe(2);
  expect(runtimeInfo().threads).toBe(2);
  setThreads(before);
  for (const count of [0, -1, 1.5, Number.NaN, 1e9]) {
    expect(() => setThreads(count)).toThrow(
      `setThreads: threads got ${count}, wanted an integer from 1 to 1024`,
    );
  }
});

describe("how threads wait", () => {
  const settings = { OMP_DISPLAY_ENV: "verbose", OMP_NUM_THREADS: "2" };
  const work = `
    const { ones } = await import("@odis/torch");
    ones([2]);
    const { spawnSync } = await import("node:child_process");
    const seen = spawnSync(process.execPath, ["-p", "process.env.GOMP_SPINCOUNT"], { encoding: "utf8" });
    console.log(seen.stdout.trim());
  `;
  const spins = (stderr: string): string | undefined =>
    /GOMP_SPINCOUNT = '(\d+)'/.exec(stderr)?.[1];

  test("is chosen before OpenMP is loaded, and child processes do not inherit it", async () => {
    const ended = await runModule(work, settings);
    expect(spins(ended.stderr)).toBe("30000");
    expect(ended.stdout).toBe("undefined\n");
  });

  test("is taken back when many threads load the engine at the same time", async () => {
    const ended = await runModule(`
      const { once } = await import("node:events");
      const { Worker } = await import("node:worker_threads");
      const source = 'import("@odis/torch").then(({ ones }) => ones([2]).free())';
      const left = [];
      for (let round = 0; round < 5; round += 1) {
        const workers = Array.from({ length: 12 }, () => new Worker(source, { eval: true }));
        await Promise.all(workers.map((worker) => once(worker, "exit")));
        left.push(process.env.GOMP_SPINCOUNT);
      }
      console.log(JSON.stringify(left));
    `);
    expect(ended).toEqual({ code: 0, stdout: "[null,null,null,null,null]\n", stderr: "" });
  });

  test.each([
    [{ GOMP_SPINCOUNT: "7" }, "7", "7"],
    [{ OMP_WAIT_POLICY: "passive" }, "0", "undefined"],
  ])("stays as the user wants it: %j", async (wish, turns, inherited) => {
    const ended = await runModule(work, { ...settings, ...wish });
    expect(spins(ended.stderr)).toBe(turns);
    expect(ended.stdout).toBe(`${inherited}\n`);
  });
});

describe("kernels that oneDNN compiles", () => {
  // Every shape is another kernel, of some megabytes where LibTorch has oneDNN compute GELU.
  const work = (shapes: number): string => `
    const { ones, tidy } = await import("@odis/torch");
    const once = (rows) => tidy(() => void ones([rows, 256]).gelu());
    for (let rows = 100; rows < 150; rows += 1) once(rows);
    const before = process.memoryUsage().rss;
    for (let rows = 0; rows < ${shapes}; rows += 1) once(1000 + rows);
    console.log(Math.round((process.memoryUsage().rss - before) / 2 ** 20));
    console.log(process.env.ONEDNN_PRIMITIVE_CACHE_CAPACITY ?? "not inherited");
  `;

  test("are dropped again: memory does not grow with the number of shapes", async () => {
    const { stdout } = await runModule(work(200), {});
    const [grown, inherited] = stdout.trim().split("\n");
    expect(Number(grown)).toBeLessThan(100);
    expect(inherited).toBe("not inherited");
  });

  test("are as many as the user wants", async () => {
    const { stdout } = await runModule(work(1), { ONEDNN_PRIMITIVE_CACHE_CAPACITY: "3" });
    expect(stdout.trim().split("\n")[1]).toBe("3");
  });
});

test.skipIf(!existsSync("/proc/self/schedstat"))(
  "a watch sees that others take the cores",
  async () => {
    const others = Array.from({ length: 4 * availableParallelism() }, () =>
      spawn(process.execPath, ["-e", "console.log(); for (;;);"]),
    );
    try {
      await Promise.all(others.map(({ stdout }) => once(stdout, "data")));
      const watch = new CoreWatch();
      const end = performance.now() + 2000;
      while (performance.now() < end);
      const share = watch.share()!;
      expect(share).toBeGreaterThan(0.3);
      expect(share).toBeLessThanOrEqual(1);
    } finally {
      for (const other of others) other.kill("SIGKILL");
    }
  },
);
