import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TensorEntry, tensor, tensorScope, writeSafetensors } from "@odis/torch";
import { describe, expect, it } from "vitest";
import {
  findNetwork,
  importWeights,
  openWeights,
  planImport,
  shapeOf,
  type WeightFile,
} from "../../src/formats/index.js";
import { importRun, inspectWeights } from "../../src/run/index.js";
import { loadNetwork } from "../../src/run/load.js";
import { odis } from "../cli/odis.js";
import { expectClose } from "../close.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "./fixture.js";
import { memoryFile, pythonTokens, smallRecipe, studentOf } from "./small.js";

const scratch = scratchFolder();

/** The tensors of a fixture, some of them changed or (undefined) left out. */
async function changed(
  name: string,
  change: Readonly<Record<string, { shape: readonly number[]; data: Float32Array } | undefined>>,
): Promise<readonly TensorEntry[]> {
  using file = await openWeights(fixture(name));
  return file.names
    .filter((each) => !(each in change && change[each] === undefined))
    .map((each) => {
      const { shape, data } = change[each] ?? {
        shape: file.info(each).shape,
        data: file.read(each) as Float32Array,
      };
      return { name: each, dtype: "float32", shape, data: () => data };
    });
}

function inMemory(entries: readonly TensorEntry[], plain?: WeightFile["plain"]): WeightFile {
  const tensors = entries.map(({ name, data, ...info }) => [name, { ...info, data: data() }]);
  return memoryFile(Object.fromEntries(tensors) as never, plain);
}

/** Positions of [CLS] and rows x columns patches; `value` of each in all 8 channels. */
function table(rows: number, columns: number, value: (row: number, column: number) => number) {
  const patches = Array.from({ length: rows * columns }, (_, at) =>
    value(Math.floor(at / columns), at % columns),
  );
  const data = Float32Array.from([7, ...patches].flatMap((each) => Array<number>(8).fill(each)));
  return { shape: [1, 1 + rows * columns, 8], data };
}

describe("a grid that is not square", () => {
  const refusal =
    "pos_embed: got 25 entries, wanted a square of patches and 1 before it; the file does not say how many " +
    "rows and columns of patches they are. If you know, say it: 'memory.pth#grid=4x6' or 'memory.pth#grid=5x5'.";

  it("is not taken for a square without [CLS], though 25 is one", async () => {
    const file = inMemory(await changed("dino-backbone.pth", { pos_embed: table(4, 6, () => 0) }));
    expect(() => shapeOf(findNetwork(file), file.plain)).toThrow(refusal);
    const told = { rows: 4, columns: 6 };
    expect(shapeOf(findNetwork(file), file.plain, told)).toMatchObject({
      special: 1,
      grid: { ...told, from: "file" },
    });
    expect(() => shapeOf(findNetwork(file), file.plain, { rows: 5, columns: 6 })).toThrow(
      "pos_embed: got 25 entries, wanted 5 x 6 patches and 1 for what stands before them.",
    );
  });

  it.each([
    ["config.model_args.img_size", [16, 24]],
    ["config.pretrained_cfg.input_size", [3, 16, 24]],
    ["config.image_size", [16, 24]],
  ])("is read from %s", async (name, sides) => {
    const leaves = new Map(sides.map((side, at) => [`${name}.${at}`, side]));
    const file = inMemory(
      await changed("dino-backbone.pth", { pos_embed: table(4, 6, () => 0) }),
      leaves,
    );
    expect(shapeOf(findNetwork(file), file.plain)).toMatchObject({
      special: 1,
      grid: { rows: 4, columns: 6, from: "file" },
    });
  });

  it.each([
    ["rows", (row: number) => row],
    ["columns", (_: number, column: number) => column],
  ] as const)("keeps its %s when it is resized, and [CLS] its entry", async (along, value) => {
    using _scope = tensorScope();
    const file = inMemory(await changed("dino-backbone.pth", { pos_embed: table(4, 6, value) }));
    const network = studentOf(smallRecipe("ibot"));
    const grid = { rows: 4, columns: 6 };
    const plan = planImport(findNetwork(file), file.plain, network, { grid });
    expect(plan.taken.find(({ to }) => to === "backbone.pos_embed")?.how).toBe(
      "resized from 4 x 6 to 3 x 3 patches",
    );
    importWeights(file, plan, network);
    const all = network.backbone.posEmbed.toFloat32();
    expect([...all.subarray(0, 8)]).toEqual(Array(8).fill(7));
    const at = (row: number, column: number) => all[(1 + row * 3 + column) * 8]!;
    for (let other = 0; other < 3; other += 1)
      for (let step = 0; step < 3; step += 1) {
        const [row, column] = along === "rows" ? [step, other] : [other, step];
        const first = along === "rows" ? at(step, 0) : at(0, step);
        expect(at(row, column)).toBeCloseTo(first, 5); // nothing changes across
        if (step > 0)
          expect(first).toBeGreaterThan(along === "rows" ? at(step - 1, 0) : at(0, step - 1));
      }
  });

  it("becomes a run on the nearest square when its grid is told, on the command line, too", async () => {
    const path = join(scratch(), "oblong.safetensors");
    writeSafetensors(
      path,
      await changed("dino-backbone.pth", { pos_embed: table(4, 6, () => 0.1) }),
    );
    const looked = odis(["import", path]);
    expect(looked).toMatchObject({ code: 4, stdout: "" });
    expect(looked.stderr).toContain(`${path}#grid=4x6' or '${path}#grid=5x5'`);
    expect(odis(["import", `${path}#grid=4x6`]).stdout).toContain("4 x 6 patches of 4 pixels\n");
    const out = join(scratch(), "run");
    const { stdout, code } = odis(["import", `${path}#grid=4x6`, out, "--heads", "2"]);
    expect({ code }).toEqual({ code: 0 });
    expect(stdout).toContain("resized from 4 x 6 to 5 x 5 patches");
  });
});

describe("a network without a class token", () => {
  const folder = async (): Promise<string> => {
    const made = join(scratch(), "ijepa");
    mkdirSync(made);
    using file = await openWeights(fixture("hf-vit"));
    const positions = file.read("embeddings.position_embeddings").slice(8) as Float32Array;
    writeSafetensors(
      join(made, "model.safetensors"),
      await changed("hf-vit", {
        "embeddings.cls_token": undefined,
        "embeddings.position_embeddings": { shape: [1, 9, 8], data: positions },
      }),
    );
    const config = { model_type: "ijepa", num_attention_heads: 2, image_size: 12, patch_size: 4 };
    writeFileSync(join(made, "config.json"), JSON.stringify({ ...config, layer_norm_eps: 1e-12 }));
    return made;
  };

  it("is looked into; the command that this recommends works", async () => {
    const path = await folder();
    const { stdout, code } = odis(["import", path]);
    expect(code).toBe(0);
    expect(stdout).toContain("tokens    no class token, 3 x 3 patches of 4 pixels\n");
    const recommended = /^train on {2}odis (.*)$/m.exec(stdout)![1]!;
    expect(recommended).toContain("model.normEpsilon=1e-12");
    const small = "optim.batch=2 views.globals.size=12 views.locals.size=8 views.locals.count=2";
    const words = recommended
      .replace("--set ", `--set ${small} `)
      .replace("KIND:PLACE", `coco:${new URL("../fixtures/coco-6", import.meta.url).pathname}`)
      .replace("FOLDER", join(scratch(), "run"))
      .split(" ");
    const trained = odis([...words, "--steps", "1", "--workers", "1"]);
    expect(trained.stderr).toContain(
      "randomly initialised: backbone.obj_token: the file has no token of its kind",
    );
    expect(trained.stderr).toContain(
      "the file has no token before its patches: ours is new, with position 0",
    );
    expect(trained.code).toBe(0);
  });

  it("is refused as a run, in one sentence", async () => {
    const path = await folder();
    await expect(importRun(path, join(scratch(), "run"))).rejects.toThrow(
      `its network has no class token, and a run's has one, which its patches would attend to: their features ` +
        `would be others. Train on from it, with a new token: odis pretrain --init ${path}.`,
    );
  });
});

describe("what Hugging Face's configuration says", () => {
  const leaves = (more: Readonly<Record<string, string | number>>) =>
    new Map(Object.entries(more).map(([name, value]) => [`config.${name}`, value]));

  it("of layer norms is kept in a run, and told where the recipe has another", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("hf-vit"));
    const network = studentOf(smallRecipe("ibot"));
    const plain = new Map([...file.plain, ["config.layer_norm_eps", 1e-3] as const]);
    const { notes } = planImport(findNetwork(file), plain, network);
    expect(notes).toContain(
      "its layer norms add 0.001 to the variance, the recipe's 0.000001 (model.normEpsilon)",
    );
    const folder = join(scratch(), "hf");
    mkdirSync(folder);
    writeSafetensors(join(folder, "model.safetensors"), await changed("hf-vit", {}));
    const config = { model_type: "vit", num_attention_heads: 2, layer_norm_eps: 1e-3 };
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const out = join(scratch(), "run");
    await importRun(folder, out);
    const { network: loaded, recipe } = loadNetwork(out, "teacher");
    expect(recipe.model.normEpsilon).toBe(1e-3);
    const images = tensor(pythonTokens("images"), [2, 3, 12, 12]);
    const got = loaded.forward(images).toFloat32();
    expect(() => expectClose(got, pythonTokens("dino/teacher"))).toThrow(); // made with 1e-6
    expectClose(got, pythonTokens("dino/teacher"), { rtol: 1e-2, atol: 1e-2 });
  });

  it.each([
    [
      { num_hidden_layers: 12 },
      "number of blocks 2 by its weights and 12 by what stands beside them.",
    ],
    [{ hidden_size: 384 }, "width 8 by its weights and 384 by what stands beside them."],
    [{ patch_size: 16 }, "patch size 4 by its weights and 16 by what stands beside them."],
    [
      { image_size: 20 },
      "pos_embed: got 10 entries, wanted 5 x 5 patches and 1 for what stands before",
    ],
    [{ hidden_act: "gelu_new" }, "its config.json says hidden_act gelu_new; odis has gelu."],
  ])("%j against the weights is refused", async (more, message) => {
    using file = await openWeights(fixture("hf-vit"));
    const plain = new Map([...file.plain, ...leaves(more as never)]);
    expect(() => shapeOf(findNetwork(file), plain)).toThrow(message);
  });

  it("of heads is not taken from a word", async () => {
    using file = await openWeights(fixture("dino-backbone.pth"));
    const { heads } = shapeOf(findNetwork(file), leaves({ num_attention_heads: "-3" }));
    expect(heads).toBeUndefined();
  });
});

describe("weights that are not numbers", () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "%s is refused before anything is made",
    async (bad) => {
      const path = join(scratch(), "nan.safetensors");
      const data = Float32Array.from({ length: 8 }, (_, at) => (at === 5 ? bad : 1));
      const entries = await changed("dino-backbone.pth", { "norm.weight": { shape: [8], data } });
      writeSafetensors(path, entries);
      const out = join(scratch(), "run");
      const { code, stderr } = odis(["import", path, out, "--heads", "2"]);
      expect(code).toBe(4);
      expect(stderr).toBe(
        `odis import: ${path}: tensor norm.weight: holds NaN or infinite numbers. The training that made ` +
          `it has diverged, or the file is damaged; use an earlier checkpoint.\n`,
      );
      await expect(inspectWeights(out)).rejects.toThrow("does not exist");
    },
  );
});

describe("tokens of other shapes", () => {
  it.each([
    ["five axes", [1, 1, 1, 1, 8]],
    ["two axes", [1, 8]],
    ["another width", [1, 1, 4]],
  ])("%s: refused by name", async (_, shape) => {
    const data = new Float32Array(shape.reduce((all, side) => all * side, 1));
    const file = inMemory(await changed("dino-backbone.pth", { cls_token: { shape, data } }));
    expect(() => shapeOf(findNetwork(file), file.plain)).toThrow(
      `cls_token: got shape [${shape.join(", ")}], wanted [1, 1, 8]. This is no whole Vision Transformer.`,
    );
  });
});
