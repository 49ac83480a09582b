import { EngineError, OperatorError, SafetensorsError } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { describeFailure } from "../../src/cli/failure.js";
import { ConfigError, DataError, RunError } from "../../src/core/errors.js";

describe("describeFailure", () => {
  it.each<[Error, number, string]>([
    [new ConfigError("a: got 1\nb: got 2"), 2, "odis knn: a: got 1\nodis knn: b: got 2"],
    [new DataError("photos: empty"), 3, "odis knn: photos: empty"],
    [new RunError("run: torn"), 4, "odis knn: run: torn"],
    [new SafetensorsError("x.safetensors", "torn."), 4, "odis knn: x.safetensors: torn."],
    [new EngineError("LibTorch was not found."), 5, "odis knn: LibTorch was not found."],
    [
      new OperatorError("aten::mm: DefaultCPUAllocator: can't allocate memory\nat …"),
      4,
      "odis knn: not enough memory: aten::mm: DefaultCPUAllocator: can't allocate memory. Try a smaller --batch, or fewer or smaller views.",
    ],
    [
      Object.assign(new Error("ENOSPC: no space left on device, write"), {
        code: "ENOSPC",
        syscall: "write",
      }),
      4,
      "odis knn: a file cannot be written: the disk is full.",
    ],
    [
      Object.assign(new Error("EMFILE: too many open files, open 'a/b'"), {
        code: "EMFILE",
        syscall: "open",
        path: "a/b",
      }),
      4,
      "odis knn: a/b cannot be opened: too many open files (ulimit -n).",
    ],
  ])("says %s in a sentence, without a stack", (error, exitCode, text) => {
    expect(describeFailure(error, "knn")).toEqual({ text, exitCode });
  });

  it("shows the stacks of our own mistakes, causes too, and where to report them", () => {
    const cause = new Error("deeper");
    const { text, exitCode } = describeFailure(
      new TypeError("x is not a function", { cause }),
      "knn",
    );
    expect(exitCode).toBe(1);
    expect(text).toMatch(/^internal: TypeError: x is not a function\n +at /);
    expect(text).toMatch(/caused by Error: deeper\n +at /);
    expect(text).toMatch(
      /This is a mistake of odis, not yours\. Please report it .* `odis doctor`\.$/,
    );
    expect(
      describeFailure(new OperatorError("aten::mm: sizes do not match"), undefined).exitCode,
    ).toBe(1);
    expect(describeFailure("thrown text", undefined).text).toContain(
      "internal: Error: thrown text",
    );
  });
});
