import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize } from "node:v8";
import { noGrad, tidy } from "@odis/torch";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { trainProbes } from "../../src/evaluate/probe.js";
import { joined } from "../../src/evaluate/shares.js";
import { World } from "../../src/train/world.js";
import { variables } from "../run/ranks.js";
import { freePort } from "../train/processes.js";
import { expectClose } from "../golden.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

interface Heard {
  readonly values: readonly object[];
  readonly integers: Int32Array;
  readonly floats: Float32Array;
  readonly bytes: Uint8Array;
  readonly byFirst: readonly Float32Array[] | undefined;
  readonly probes: readonly Float32Array[];
  readonly trained: { readonly first: number; readonly count: number };
}

/** Seven samples, batches of three (one is left over in an epoch), two learning rates. */
const sweep = {
  columns: [
    { from: 0, width: 5 },
    { from: 2, width: 3 },
  ],
  settings: { epochs: 4, batch: 3, learningRates: [20, 0.5] },
  width: 5,
  classes: 3,
  features: Array.from({ length: 7 * 5 }, (_, at) => 2 * Math.sin(12.9898 * at)),
  targets: Array.from({ length: 7 * 3 }, (_, at) => Number(at % 3 === Math.floor(at / 3) % 3)),
  /** unit vectors, and zeros: what probes say of them are their weights and biases */
  read: Array.from({ length: 6 * 5 }, (_, at) => Number(at % 6 === 0)),
};

/** What one process's probes say, by columns. */
async function alone(epochs: number): Promise<readonly Float32Array[]> {
  const { width, classes, columns, read } = sweep;
  const [features, targets] = [sweep.features, sweep.targets].map((all) => Float32Array.from(all));
  const samples = { width, classes, features: features!, targets: targets! };
  const settings = { ...sweep.settings, epochs };
  using probes = await trainProbes(samples, columns, settings, { seed: 5, device: "cpu" });
  return noGrad(() =>
    tidy(() => {
      const rows = probes.upload({ features: Float32Array.from(read), width });
      return columns.map((_, at) => probes.logits(at, rows).toFloat32());
    }),
  );
}

describe("what three processes tell each other", () => {
  let heard: readonly Heard[];
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "odis-shares-"));
    const out = join(folder, "heard");
    const port = await freePort();
    const script = new URL("shares-process.mjs", import.meta.url).pathname;
    const codes = await Promise.all(
      [0, 1, 2].map(async (rank) => {
        const child = spawn(process.execPath, [script, out, JSON.stringify(sweep)], {
          stdio: ["ignore", "inherit", "inherit"],
          env: { ...process.env, ...variables(rank, 3, port) },
        });
        return (await once(child, "close"))[0] as number | null;
      }),
    );
    expect(codes).toEqual([0, 0, 0]);
    heard = [0, 1, 2].map((rank) => deserialize(readFileSync(`${out}.${rank}`)) as Heard);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("are values in the order of ranks", () => {
    for (const { values } of heard)
      expect(values).toEqual([
        { rank: 0, rows: [0] },
        { rank: 1, rows: [0, 1] },
        { rank: 2, rows: [0, 1, 2] },
      ]);
  });

  it("are numbers of one kind, one after the other, of each as many as it has", () => {
    for (const { integers, floats, bytes } of heard) {
      expect(integers).toEqual(Int32Array.of(-0, -10, -11, -20, -21, -22));
      expect(floats).toEqual(Float32Array.of(0.5, 0.25, 2.5, 0.25));
      expect(bytes).toEqual(Uint8Array.of(250, 251, 251, 252, 252, 252));
    }
  });

  it("are all rows to the first, which may work for longer than the others have patience", () => {
    const all = Float32Array.of(0, 0, 1, 0, 1, 1, 2, 0, 2, 1, 2, 2);
    expect(heard.map(({ byFirst }) => byFirst)).toEqual([[all, all], undefined, undefined]);
  });

  it("are samples of probes, of which each trains some: in the end all have those of one process", async () => {
    expect(heard.map(({ trained }) => trained)).toEqual([
      { first: 0, count: 0 },
      { first: 0, count: 3 },
      { first: 3, count: 3 },
    ]);
    const [wanted, before] = [await alone(sweep.settings.epochs), await alone(0)];
    for (const { probes } of heard)
      for (const [at, found] of probes.entries())
        expectClose(found, wanted[at]!, { rtol: 1e-6, atol: 1e-6 });
    // They have learned, so that there was something to send.
    expect(wanted[0]!.every((value, at) => Math.abs(value - before[0]![at]!) > 1e-4)).toBe(true);
  });
});

it("is copied nowhere when a process is alone", () => {
  const [numbers, value] = [Float32Array.of(1, 2), { a: [1] }];
  expect(joined(World.alone, numbers)).toBe(numbers);
  expect(World.alone.shareValues(value)[0]).toBe(value);
});
