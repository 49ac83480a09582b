import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize } from "node:v8";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { joined } from "../../src/evaluate/shares.js";
import { World } from "../../src/train/world.js";
import { variables } from "../run/ranks.js";
import { freePort } from "../train/processes.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

interface Heard {
  readonly values: readonly object[];
  readonly integers: Int32Array;
  readonly floats: Float32Array;
  readonly bytes: Uint8Array;
  readonly byFirst: readonly Float32Array[] | undefined;
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
        const child = spawn(process.execPath, [script, out], {
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
});

it("is copied nowhere when a process is alone", () => {
  const [numbers, value] = [Float32Array.of(1, 2), { a: [1] }];
  expect(joined(World.alone, numbers)).toBe(numbers);
  expect(World.alone.shareValues(value)[0]).toBe(value);
});
