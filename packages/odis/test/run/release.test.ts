import { cpSync, existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { readSafetensors, runtimeInfo } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { odis } from "../cli/odis.js";
import { expectClose } from "../close.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const fixtures = new URL("../fixtures/", import.meta.url).pathname;
const read = (path: string): string => readFileSync(path, "utf8");

interface Made {
  readonly engine: string;
  readonly processor: string;
  readonly common: readonly string[];
  readonly runs: Readonly<Record<string, readonly string[]>>;
}
const made = JSON.parse(read(join(fixtures, "run-0.1", "made.json"))) as Made;
const { version, blas } = runtimeInfo();
/** Rounding is the engine's and the processor's; with both the same, bits are. */
const sameBits =
  made.engine === `LibTorch ${version}, ${blas.kind}` && made.processor === cpus()[0]?.model;

type Row = Readonly<Record<string, number | readonly number[]>>;
const rowsOf = (path: string): readonly Row[] =>
  read(path)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);

/** Figures of a row that do not tell the time. */
const figures = (row: Row): Row =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !clocks.has(name)));
const clocks = new Set(["time", "imagesPerSecond", "dataWait"]);

/** Lets today's odis go on with a run of yesterday's release. */
function goOn(name: string) {
  const end = join(fixtures, "run-0.1", name, "end");
  const out = join(scratch(), name);
  cpSync(join(fixtures, "run-0.1", name), out, { recursive: true });
  const words = ["pretrain", ...made.common, ...made.runs[name]!, "--out", out];
  const { code, stderr } = odis(words, { cwd: fixtures });
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("resumes after step 6 of 12\n");
  return {
    out,
    end,
    rows: rowsOf(join(out, "metrics.jsonl")),
    wanted: rowsOf(join(end, "metrics.jsonl")),
  };
}

describe("a run of release 0.1 that was killed", () => {
  it("ends as it would have", () => {
    const { out, end, rows, wanted } = goOn("plain");
    const got = readSafetensors(join(out, "checkpoints", "step-00000012", "tensors.safetensors"));
    const tensors = readSafetensors(join(end, "tensors.safetensors"));
    expect([...got.keys()].toSorted()).toEqual([...tensors.keys()].toSorted());
    for (const [what, { data, shape }] of tensors) {
      expect(got.get(what)!.shape, what).toEqual(shape);
      if (sameBits) expect(got.get(what)!.data, what).toEqual(data);
      else expectClose(got.get(what)!.data, data, { what, rtol: 1e-3, atol: 1e-5 });
    }
    expect(rows.map(({ step }) => step)).toEqual(wanted.map(({ step }) => step));
    for (const [at, row] of rows.entries()) {
      const there = figures(wanted[at]!);
      expect(figures(row)).toMatchObject(
        sameBits ? there : { step: there["step"], lr: there["lr"], tries: there["tries"] },
      );
      expectClose([row["loss"] as number], [there["loss"] as number], { rtol: 1e-5 });
    }
    expect(existsSync(join(out, "lock"))).toBe(false);
  });

  it("goes on where paths are dropped, too: other ones than that release would have", () => {
    const { rows, wanted } = goOn("drop-path");
    expect(rows.slice(0, 6)).toEqual(wanted.slice(0, 6));
    const planned = ({ step, epoch, lr, weightDecay, teacherMomentum, tries, absent }: Row): Row =>
      ({ step, epoch, lr, weightDecay, teacherMomentum, tries, absent }) as Row;
    expect(rows.map(planned)).toEqual(wanted.map(planned));
    // How far the two fixtures are apart, which drop other paths, too.
    const losses = (of: readonly Row[]): number[] => of.map(({ loss }) => loss as number);
    expectClose(losses(rows), losses(wanted), { rtol: 0.3 });
  });
});
