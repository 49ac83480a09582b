import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { scratchFolder } from "../scratch.js";

// As it is built: it starts processes that load a file beside it.
const built = new URL("../../dist/run/processes.js", import.meta.url).href;
const { runProcesses } = (await import(built)) as typeof import("../../src/run/processes.js");

vi.setConfig({ testTimeout: 120_000 });

const scratch = scratchFolder();
const script = new URL("./one-of-several.mjs", import.meta.url).pathname;
const run = (...words: string[]): Promise<number> =>
  runProcesses({
    count: 2,
    words: [script, ...words],
    stands: () => undefined,
    tell: () => undefined,
  });

describe("when one of several processes is killed", () => {
  it("before they have met, the others are ended: they would wait for it in vain", async () => {
    const file = join(scratch(), "file");
    await expect(run("15000", file, "unmet")).rejects.toThrow(
      /^rank 1 of 2 was ended by SIGKILL \(out of memory\?\); nothing was saved yet\. Run the same line again/,
    );
    expect(existsSync(file)).toBe(false);
  });

  it("after they have met, the others have the time to miss it and to say so", async () => {
    const file = join(scratch(), "file");
    expect(await run("4000", file, "met")).toBe(4);
    expect(existsSync(file)).toBe(true);
  });
});
