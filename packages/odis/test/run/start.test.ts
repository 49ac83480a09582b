import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tensor, tensorScope } from "@odis/torch";
import { pretrain, RunError } from "odis"; // compiled: data workers are files of their own
import { describe, expect, it } from "vitest";
import type { Settings } from "../../src/core/schema.js";
import { parseDataSpec } from "../../src/data/dataset.js";
import { loadNetwork } from "../../src/run/load.js";
import { parseWeights } from "../../src/formats/index.js";
import { expectClose } from "../close.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "../formats/fixture.js";
import { pythonTokens, smallRecipe } from "../formats/small.js";

const scratch = scratchFolder();
const photographs = new URL("../fixtures/coco-6", import.meta.url).pathname;
const data = parseDataSpec(`coco:${photographs}`);
/** A few steps; the teacher keeps what it starts with. */
const still = {
  optim: { batch: 2, steps: 3 },
  teacher: { momentum: { start: 1, end: 1 } },
} as const;
const recipe = (...more: readonly Settings[]) => smallRecipe("ibot", still, ...more);

function tokensOf(run: string): Float32Array {
  using _scope = tensorScope();
  const { network } = loadNetwork(run, "teacher");
  return network.forward(tensor(pythonTokens("images"), [2, 3, 12, 12])).toFloat32();
}

const tensorsHash = (checkpoint: string): string =>
  (
    JSON.parse(readFileSync(join(checkpoint, "state.json"), "utf8")) as {
      tensors: { sha256: string };
    }
  ).tensors.sha256;

describe("a run that starts from weights", () => {
  it("has them before its first step, and says in its folder what became of each", async () => {
    const out = join(scratch(), "run");
    await pretrain({ recipe: recipe(), data, out, init: fixture("dino.pth") });
    expectClose(tokensOf(out), pythonTokens("dino/teacher"));
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8")) as { init: object };
    expect(config.init).toEqual({
      file: fixture("dino.pth"),
      side: "teacher",
      parts: "all",
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const log = readFileSync(join(out, "log.txt"), "utf8");
    expect(log).toContain(
      `starts from ${fixture("dino.pth")}: 38 of 39 weights are the file's of the teacher\n`,
    );
    expect(log).toContain(
      "randomly initialised: backbone.masked_embed: the file has no embedding of hidden patches\n",
    );
    const init = JSON.parse(readFileSync(join(out, "init.json"), "utf8")) as Record<
      string,
      unknown[]
    >;
    expect(init["taken"]).toContainEqual({
      to: "head.mlp.0.weight",
      from: ["teacher.head.mlp.0.weight"],
    });
    expect(init["unused"]).toContainEqual({
      name: "dino_loss.center",
      reason: "the old run's loss",
    });
  });

  it("is resumed to the same bits, and notices a changed file", async () => {
    const init = join(scratch(), "weights.pth");
    cpSync(fixture("ibot.pth"), init);
    const whole = await pretrain({ recipe: recipe(), data, out: join(scratch(), "whole"), init });
    const out = join(scratch(), "halves");
    const stop = { requested: () => Promise.resolve(true) };
    const half = await pretrain({ recipe: recipe(), data, out, init, stop });
    expect(half.steps).toBe(1);
    const resumed = await pretrain({ recipe: recipe(), data, out, init });
    expect(tensorsHash(resumed.checkpoint)).toBe(tensorsHash(whole.checkpoint));

    cpSync(fixture("dino.pth"), init);
    const again = pretrain({ recipe: recipe(), data, out, init });
    await expect(again).rejects.toThrow(RunError);
    await expect(again).rejects.toThrow(
      /another config: init\.sha256 is "\w{64}" there and "\w{64}" here/,
    );
    await expect(pretrain({ recipe: recipe(), data, out })).rejects.toThrow(
      /init is \{.*\} there and unset here/,
    );
  });

  it("goes on from another run: student, teacher, or the backbone alone", async () => {
    const first = join(scratch(), "first");
    const { checkpoint } = await pretrain({
      recipe: recipe(),
      data,
      out: first,
      init: fixture("dino.pth"),
    });
    const second = join(scratch(), "second");
    await pretrain({ recipe: recipe(), data, out: second, init: first });
    expect(tokensOf(second)).toEqual(tokensOf(first));

    using _scope = tensorScope();
    const third = join(scratch(), "third");
    const heads = { head: { prototypes: 16 } };
    await pretrain({
      recipe: recipe(heads),
      data,
      out: third,
      init: `${checkpoint}#student.backbone`,
    });
    const weights = ({ network }: ReturnType<typeof loadNetwork>) =>
      Object.fromEntries(
        network.backbone.namedParameters().map(([name, w]) => [name, w.toArray()]),
      );
    const { masked_embed: _, ...student } = weights(loadNetwork(first, "student"));
    expect(weights(loadNetwork(third, "teacher"))).toEqual(student);
    expect(readFileSync(join(third, "log.txt"), "utf8")).toContain(
      "randomly initialised: head.mlp.0.weight, head.mlp.0.bias, head.mlp.2.weight and 5 more: only the backbone was asked for",
    );
  });

  it("is refused before its folder is claimed", async () => {
    const out = join(scratch(), "run");
    const options = {
      recipe: recipe({ model: { dim: 16 } }),
      data,
      out,
      init: fixture("dino.pth"),
    };
    await expect(pretrain(options)).rejects.toThrow(
      "dino.pth: does not fit the recipe's network: model.dim is 8 in the file and 16 in the recipe.",
    );
    await pretrain({ recipe: recipe(), data, out, init: fixture("dino.pth") });
  });
});

describe("naming weights", () => {
  it.each([
    ["a.pth", { path: "a.pth" }],
    ["a.pth#teacher", { path: "a.pth", side: "teacher" }],
    ["a.pth#backbone", { path: "a.pth", parts: "backbone" }],
    ["a#b.pth#student.backbone", { path: "a#b.pth", side: "student", parts: "backbone" }],
    ["a.pth#grid=4x6", { path: "a.pth", grid: { rows: 4, columns: 6 } }],
    [
      "a.pth#teacher.backbone.grid=14x14",
      { path: "a.pth", side: "teacher", parts: "backbone", grid: { rows: 14, columns: 14 } },
    ],
  ])("%s", (text, spec) =>
    expect(parseWeights(text)).toEqual({ side: undefined, parts: "all", grid: undefined, ...spec }),
  );

  it.each(["grid=4", "grid=0x4", "grid=4x4x4", "grid=1e9x1", "teacher.techer"])(
    "refuses #%s",
    (words) =>
      expect(() => parseWeights(`a.pth#${words}`)).toThrow("after the file; wanted #teacher"),
  );

  it("refuses other words, but not a file of that name", () => {
    const message =
      'weights a.pth#techer: got "#techer" after the file; wanted #teacher, #student, #backbone, #grid=ROWSxCOLUMNS, or several with dots between';
    expect(() => parseWeights("a.pth#techer")).toThrow(message);
    expect(() => parseWeights("a.pth#")).toThrow('got "#" after the file');
    const odd = join(scratch(), "a#1.pth");
    writeFileSync(odd, "");
    expect(parseWeights(odd).path).toBe(odd);
  });
});
