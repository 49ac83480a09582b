import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AbsenceWatch } from "../../src/train/absence.js";
import { odis } from "../cli/odis.js";
import { tinyRun } from "../run/tiny-run.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();

/** Steps after which it spoke, when these were the shares of views without an object. */
function spoken(absent: readonly number[], isWanted = true, totalSteps = 100): number[] {
  const watch = new AbsenceWatch(isWanted, totalSteps);
  return absent.flatMap((share, step) =>
    watch.observe({ step, absent: share }) === undefined ? [] : [step + 1],
  );
}

const always = (share: number): readonly number[] => Array<number>(50).fill(share);

describe("the watch for data without objects", () => {
  it("speaks once, after ten steps or at the end of a shorter run", () => {
    expect(spoken(always(1))).toEqual([10]);
    expect(spoken(always(1), true, 4)).toEqual([4]);
  });

  it("is silent where any object was seen, or none is wanted", () => {
    expect(spoken([1, 1, 0.9, ...always(1)])).toEqual([]);
    expect(spoken(always(0.5))).toEqual([]);
    expect(spoken(always(1), false)).toEqual([]);
  });
});

describe("odis pretrain on a module whose pictures have no objects", () => {
  const source = `export const open = () => ({
    size: 8,
    read: (index) => ({ width: 16, height: 16, rgb: new Uint8Array(768).fill(16 * index) }),
  });`;
  const train = (...more: readonly string[]) => {
    writeFileSync(join(scratch(), "mine.mjs"), source);
    const words = tinyRun("nowhere", join(scratch(), "run"), "--steps", "3", ...more);
    words[words.indexOf("--data") + 1] = `module:${join(scratch(), "mine.mjs")}`;
    return odis(words);
  };

  it("says so while it trains, and in the log", { timeout: 60_000 }, () => {
    const { code, stderr } = train();
    const sentence =
      "step 3: no view of the last 3 steps has shown an object, so nothing is learned from objects. Give data with objects, " +
      "let each picture without one be one as a whole (PLACE#whole), or train without them: --recipe ibot";
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(sentence) });
    expect(readFileSync(join(scratch(), "run/log.txt"), "utf8")).toContain(sentence);
  });

  it("says nothing where the recipe asks for none", { timeout: 60_000 }, () => {
    const { code, stderr } = train("--recipe", "ibot");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).not.toContain("has shown an object");
  });
});
