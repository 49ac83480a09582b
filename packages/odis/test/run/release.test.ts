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
  /** BLIS's number of those for AVX2, which it took then */
  readonly kernels: string;
  readonly processor: string;
  readonly common: readonly string[];
  readonly runs: Readonly<Record<string, readonly string[]>>;
}
const made = JSON.parse(read(join(fixtures, "run-0.1", "made.json"))) as Made;
const { version, blas } = runtimeInfo();
/** Rounding is the engine's and the processor's; with both the same, bits are. */
const sameBits =
  made.engine === `LibTorch ${version}, ${blas.kind.replace(/ \(.*/, "")}` &&
  made.processor === cpus()[0]?.model;

type Row = Readonly<Record<string, number | readonly number[]>>;
const rowsOf = (path: string): readonly Row[] =>
  read(path)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);

const pick = (row: Row, names: readonly string[]): Row =>
  Object.fromEntries(names.map((name) => [name, row[name]!]));
/** Follow from the seed and the step. */
const planned = "step epoch lr weightDecay teacherMomentum teacherTemperature absent tries".split(
  " ",
);
/** What was optimised. */
const optimised = "loss cls object patch koleo".split(" ");
/** What is only looked at; in which order its sums are taken may change. */
const watched = "teacherEntropy marginalEntropy kl similarityImages similarityViews gradNorm".split(
  " ",
);

/** Lets today's odis go on with a run of yesterday's release. */
function goOn(name: string) {
  const end = join(fixtures, "run-0.1", name, "end");
  const out = join(scratch(), name);
  cpSync(join(fixtures, "run-0.1", name), out, { recursive: true });
  const words = ["pretrain", ...made.common, ...made.runs[name]!, "--out", out];
  const { code, stderr } = odis(words, {
    cwd: join(fixtures, "run-0.1"),
    env: sameBits ? { BLIS_ARCH_TYPE: made.kernels } : {},
  });
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
      const there = wanted[at]!;
      const exact = sameBits ? [...planned, ...optimised] : planned;
      expect(pick(row, exact)).toEqual(pick(there, exact));
      for (const what of [...optimised, ...watched])
        expectClose([row[what] as number], [there[what] as number], { what, rtol: 1e-5 });
    }
    expect(existsSync(join(out, "lock"))).toBe(false);
  });

  it("goes on where paths are dropped, too: other ones than that release would have", () => {
    const { rows, wanted } = goOn("drop-path");
    expect(rows.slice(0, 6)).toEqual(wanted.slice(0, 6));
    expect(rows.map((row) => pick(row, planned))).toEqual(wanted.map((row) => pick(row, planned)));
    // How far the two fixtures are apart, which drop other paths, too.
    const losses = (of: readonly Row[]): number[] => of.map(({ loss }) => loss as number);
    expectClose(losses(rows), losses(wanted), { rtol: 0.3 });
  });
});
