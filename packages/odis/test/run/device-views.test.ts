import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pretrain, type PretrainOptions } from "odis"; // compiled: data workers are files of their own
import { describe, expect, it } from "vitest";
import { RunError } from "odis";
import { parseDataSpec } from "../../src/data/dataset.js";
import { resolveRecipe } from "../../src/recipe/schema.js";
import { scratchFolder } from "../scratch.js";
import { tinyValues } from "./tiny-run.js";

const scratch = scratchFolder();
const data = parseDataSpec(`coco:${new URL("../fixtures/coco-6", import.meta.url).pathname}`);

const recipe = (drawnBy: "workers" | "device", optim: object = {}) =>
  resolveRecipe([
    { source: "tiny", values: tinyValues },
    { source: "here", values: { views: { drawnBy }, optim: { batch: 2, steps: 7, ...optim } } },
  ]);

const train = (name: string, options: Partial<PretrainOptions> = {}) =>
  pretrain({ recipe: recipe("device"), data, out: join(scratch(), name), workers: 1, ...options });

interface Saved {
  readonly tensors: { readonly sha256: string };
}
const bits = (checkpoint: string): string =>
  (JSON.parse(readFileSync(join(checkpoint, "state.json"), "utf8")) as Saved).tensors.sha256;

const losses = (name: string): number[] =>
  readFileSync(join(scratch(), name, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { loss: number }).loss);

describe("a run whose views the device draws", () => {
  it("ends in the same bits with any number of workers, and interrupted in the middle of epochs", async () => {
    const whole = await train("whole");
    expect(whole.steps).toBe(7);
    expect(bits((await train("three", { workers: 3 })).checkpoint)).toBe(bits(whole.checkpoint));
    const stop = { requested: () => Promise.resolve(true) }; // after each step
    const seen: number[] = [];
    for (let part = await train("parts", { stop }); ; part = await train("parts", { stop })) {
      seen.push(part.steps);
      if (part.finished) {
        expect(bits(part.checkpoint)).toBe(bits(whole.checkpoint));
        break;
      }
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("has the losses of one whose views workers draw, nearly, and in pieces of a batch, too", async () => {
    await train("device");
    await train("workers", { recipe: recipe("workers") });
    await train("pieces", { recipe: recipe("device", { accumulate: 2 }) });
    const apart = (name: string, other: string): number =>
      Math.max(...losses(name).map((loss, step) => Math.abs(loss / losses(other)[step]! - 1)));
    // Photographs are reduced for views this small.
    expect(apart("device", "workers")).toBeLessThan(0.05);
    expect(apart("pieces", "device")).toBeLessThan(1e-3);
  });

  it("is not gone on with by workers, nor the other way round", async () => {
    await train("device");
    const other = train("device", { recipe: recipe("workers") });
    await expect(other).rejects.toThrow(RunError);
    await expect(other).rejects.toThrow(
      'already used by a run with another config: recipe.views.drawnBy is "device" there and "workers" here',
    );
  });
});
