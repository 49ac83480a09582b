import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RunError } from "../../src/core/errors.js";
import { JsonLines } from "../../src/core/json-lines.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
type Row = { readonly step: number; readonly loss: number };
const file = (): string => join(scratch(), "metrics.jsonl");

function write(count: number): void {
  using rows = new JsonLines<Row>(file(), 0);
  for (let step = 0; step < count; step += 1) rows.append({ step, loss: step / 2 });
}
function steps(): readonly number[] {
  return readFileSync(file(), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const row: { step: number } = JSON.parse(line);
      return row.step;
    });
}

describe("JsonLines", () => {
  it("writes one object a line, and null for numbers that JSON lacks", () => {
    using rows = new JsonLines<{ step: number; kl: number }>(file(), 0);
    rows.append({ step: 0, kl: 0.5 });
    rows.append({ step: 1, kl: Number.NaN });
    rows.flush();
    expect(readFileSync(file(), "utf8")).toBe('{"step":0,"kl":0.5}\n{"step":1,"kl":null}\n');
  });

  it("continues after the checkpoint: rows of steps that will be done again go", () => {
    write(10);
    {
      using rows = new JsonLines<Row>(file(), 6);
      rows.append({ step: 6, loss: 9 });
    }
    expect(steps()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("keeps several rows of one step, as skipped.jsonl has them", () => {
    {
      using rows = new JsonLines(file(), 0);
      for (const step of [1, 1, 4, 4, 5]) rows.append({ step });
    }
    new JsonLines(file(), 5).close();
    expect(steps()).toEqual([1, 1, 4, 4]);
  });

  it("starts anew when the run does", () => {
    write(3);
    new JsonLines(file(), 0).close();
    expect(statSync(file()).size).toBe(0);
  });

  it("mends a file that was cut at any byte", () => {
    write(3);
    const whole = readFileSync(file());
    for (let cut = whole.length; cut >= 0; cut -= 1) {
      truncateSync(file(), cut);
      const complete = whole.subarray(0, cut).lastIndexOf("\n") + 1;
      new JsonLines(file(), 100).close();
      expect(statSync(file()).size).toBe(complete);
      writeFileSync(file(), whole);
    }
  });

  it("cuts off a last line of garbage, as a power failure leaves it", () => {
    write(2);
    appendFileSync(file(), "\0\0\0\0\n");
    new JsonLines(file(), 100).close();
    expect(steps()).toEqual([0, 1]);
  });

  it("refuses a file that no crash explains", () => {
    writeFileSync(file(), '{"step":0}\nhello\n{"step":1}\n');
    expect(() => new JsonLines(file(), 100)).toThrow(RunError);
    expect(() => new JsonLines(file(), 100)).toThrow(
      `${file()}: line 2 is not a row of this file: "hello". Rows follow it, so no crash explains this; mend or move the file, then resume.`,
    );
  });
});
