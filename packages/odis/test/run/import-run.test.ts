import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { loadNetwork } from "../../src/run/load.js";
import { importRun, inspectWeights } from "../../src/run/start.js";
import { expectClose } from "../close.js";
import { odis } from "../cli/odis.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "../formats/fixture.js";
import { randomRun } from "../formats/random-run.js";
import { pythonTokens } from "../formats/small.js";

const scratch = scratchFolder();

describe("other people's weights as a run", () => {
  it.each([
    ["dino.pth", "", "dino/teacher"],
    ["dino.pth", "#student.backbone", "dino/student"],
    ["ibot.pth", "", "ibot/teacher"],
    ["hf-vit", "", "dino/teacher"],
    ["dinov2.pth", "", "dinov2/teacher"],
    ["hf-dinov2", "", "dinov2/teacher"],
  ])("%s%s: a recipe that fits, and the same features", async (name, part, wanted) => {
    using _scope = tensorScope();
    const out = join(scratch(), "run");
    const heads = name.startsWith("hf") ? undefined : 2;
    await importRun(fixture(name) + part, out, { heads });
    const { network, recipe, step } = loadNetwork(out, "teacher");
    expect({ step, patch: recipe.model.patch, size: recipe.views.globals.size }).toEqual({
      step: 0,
      patch: 4,
      size: 12,
    });
    const images = tensor(pythonTokens("images"), [2, 3, 12, 12]);
    expectClose(network.forward(images).toFloat32(), pythonTokens(wanted));
  });

  it("asks for the heads when nothing tells them", async () => {
    await expect(importRun(fixture("dino.pth"), join(scratch(), "run"))).rejects.toThrow(
      "heads: the file does not say how many attention heads its network of width 8 has, and published " +
        "ones have 64 channels each; wanted their number (--heads)",
    );
  });

  it("is looked into without being read", async () => {
    const { network, shape, plain } = await inspectWeights(fixture("dinov2.pth"));
    expect(network).toMatchObject({ side: "teacher", sides: ["teacher"] });
    expect(shape).toEqual({
      dim: 8,
      depth: 2,
      heads: undefined,
      mlpRatio: 4,
      ffn: "swiglu",
      patch: 4,
      grid: { rows: 3, columns: 3, from: "square" },
      normEpsilon: undefined,
      special: 1,
      layerScale: true,
      cls: true,
      objects: 0,
    });
    expect(plain.size).toBe(0);
  });
});

describe("odis import and odis export", () => {
  const at = (): string => scratch();
  const run = (...words: string[]) => odis(words, { cwd: at() });

  it("say what is in a file and how to train on from it", () => {
    const file = fixture("dino.pth");
    expect(run("import", file)).toEqual({
      code: 0,
      stderr: "",
      stdout: `whose     teacher, it has a student, too
network   width 8, 2 blocks, heads unknown (put their number for HEADS), mlp of ratio 4, no LayerScale
tokens    [CLS], 3 x 3 patches of 4 pixels (by their number)
head      hidden 12, bottleneck 6, prototypes 10
says      epoch 800, args.arch vit_small
train on  odis pretrain --init ${file} --set model.dim=8 model.depth=2 model.patch=4 model.heads=HEADS head.hidden=12 head.bottleneck=6 head.prototypes=10 --data KIND:PLACE --out FOLDER
`,
    });
  });

  it("advise no views where the size's own are divided by its patches", () => {
    expect(run("import", "vit-mini-scenes").stdout).toMatch(
      /^train on {2}odis pretrain --init vit-mini-scenes --recipe odis-isolated --model vit-mini --data KIND:PLACE --out FOLDER$/m,
    );
  });

  it("name the recipe that weights were trained by, where it is not the usual one", () => {
    for (const [recipe, words] of [
      ["odis", ""],
      ["odis-isolated", " --recipe odis-isolated"],
      ["ibot", " --recipe ibot"],
    ] as const) {
      const { path } = randomRun(at(), recipe);
      const exported = join(at(), `${recipe}.safetensors`);
      expect(run("export", path, exported, "--format", "odis").code).toBe(0);
      for (const place of [path, exported])
        expect(run("import", place).stdout).toContain(`--init ${place}${words} --`);
    }
  });

  it("lead from PyTorch's file to a run and on to Hugging Face's", () => {
    const made = run("import", fixture("ibot.pth"), "run", "--heads", "2");
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toMatch(/^38 of 38 weights are the file's of the teacher\n/);
    expect(made.stdout).toContain("\nmade run: odis evaluate run --train coco:FOLDER\n");
    expect(run("export", "run", "vit", "--format", "hf")).toEqual({
      code: 0,
      stdout: "vit/model.safetensors\nvit/config.json\nvit/preprocessor_config.json\n",
      stderr:
        "AutoModel adds a pooler of its own, untrained: read last_hidden_state\n" +
        "heads are left out; --format odis keeps them\n",
    });
    const config: unknown = JSON.parse(readFileSync(join(at(), "vit", "config.json"), "utf8"));
    expect(config).toMatchObject({ model_type: "vit", num_attention_heads: 2 });
  });

  it("end with 4 and one sentence for a file that is not plain data", () => {
    const { code, stderr } = run("import", fixture("attack.pth"));
    expect(code).toBe(4);
    expect(stderr).toMatch(
      /^odis import: .*attack\.pth: "teacher\.hook" holds posix\.system, .*\n$/,
    );
  });
});
