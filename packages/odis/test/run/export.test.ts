import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors, readSafetensors, tensor, tensorScope } from "@odis/torch";
import { beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../src/core/schema.js";
import { loadNetwork } from "../../src/run/load.js";
import { exportRun } from "../../src/run/export.js";
import type { Network } from "../../src/model/network.js";
import type { RecipeName } from "../../src/recipe/methods.js";
import { findNetwork, importWeights, openWeights, planImport } from "../../src/formats/index.js";
import { expectClose } from "../close.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "../formats/fixture.js";
import { randomRun } from "../formats/random-run.js";
import { pythonTokens, studentOf } from "../formats/small.js";

const scratch = scratchFolder();
const runOf = (name: RecipeName, ...more: readonly Settings[]) =>
  randomRun(scratch(), name, ...more);
const large = { model: { layerScale: 0.5 } };
const gated = { model: { layerScale: 0.5, ffn: "swiglu" } };
const gatedOnly = { model: { ffn: "swiglu" } };

const tokensOf = (network: Network): Float32Array =>
  network.forward(tensor(pythonTokens("images"), [2, 3, 12, 12])).toFloat32();

const python = spawnSync("/usr/bin/python3", ["-c", "import torch"]).status === 0;

describe("a standard Vision Transformer in PyTorch gives the same features", () => {
  // One process for all: loading PyTorch takes longer than everything else.
  const cases = [
    ["timm", "odis", {}],
    ["timm", "ibot", large],
    ["timm", "odis", gated],
    ["hf", "ibot", {}],
    ["hf", "odis", large],
    ["hf", "odis", gated],
    ["hf", "ibot", gatedOnly],
  ] as const;

  it.skipIf(!python)("in every format (needs Debian's python3-torch)", async () => {
    using _scope = tensorScope();
    const made = [];
    for (const [index, [format, name, settings]] of cases.entries()) {
      const run = runOf(name, settings);
      const out = join(scratch(), `${index}`);
      await exportRun(run.path, { out, format });
      const weights = format === "hf" ? join(out, "model.safetensors") : out;
      const wanted = tokensOf(loadNetwork(run.path, "teacher").network);
      made.push({ weights, tokens: `${out}.tokens`, wanted, what: `${format} ${name} ${index}` });
    }
    const files = made.flatMap(({ weights, tokens }) => [weights, tokens]);
    const words = [fixture("vit.py"), "2", fixture("features.safetensors"), ...files];
    const { status, stderr } = spawnSync("/usr/bin/python3", ["-B", ...words], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const { tokens, wanted, what } of made)
      expectClose(readSafetensors(tokens).get("tokens")!.data, wanted, { what });
  });
});

describe("export, then import", () => {
  it.each([
    ["timm", "odis", {}],
    ["timm", "ibot", gated],
    ["hf", "odis", {}],
    ["hf", "ibot", gated],
    ["odis", "odis", {}],
    ["odis", "odis-dinov2", { head: { prototypes: 10 } }],
    ["odis", "odis-cls", gated],
    ["odis", "odis-multi", { model: { objectEmbedding: "each" } }],
  ] as const)("%s of %s ends in the same bits", async (format, name, settings) => {
    using _scope = tensorScope();
    const { path, recipe } = runOf(name, settings);
    const out = join(scratch(), "exported");
    await exportRun(path, { out, format });
    using file = await openWeights(out);
    const network = studentOf(recipe, 5);
    const plan = planImport(findNetwork(file), file.plain, network);
    importWeights(file, plan, network);
    expect(plan.unused).toEqual([]);
    expect(
      plan.fresh.filter(({ name }) => format === "odis" || name.startsWith("backbone")),
    ).toEqual([
      { name: "backbone.masked_embed", reason: "the file has no embedding of hidden patches" },
    ]);
    const fresh = new Set(plan.fresh.map(({ name }) => name));
    const got = new Map(network.namedParameters());
    for (const [name, weight] of loadNetwork(path, "teacher").network.namedParameters())
      if (!fresh.has(name)) expect(got.get(name)!.toFloat32(), name).toEqual(weight.toFloat32());
  });

  it("the student's embedding of hidden patches goes along where there is a place for it", async () => {
    using _scope = tensorScope();
    const { path, recipe } = runOf("odis");
    const { network } = loadNetwork(path, "student");
    for (const [format, parts] of [
      ["odis", 1],
      ["hf", 1],
      ["timm", 0],
    ] as const) {
      const out = join(scratch(), format);
      await exportRun(path, { out, format, side: "student" });
      using file = await openWeights(out);
      const plan = planImport(findNetwork(file), file.plain, network);
      const embed = plan.taken.filter(({ to }) => to === "backbone.masked_embed");
      expect(embed, format).toHaveLength(parts);
      const copy = studentOf(recipe, 3);
      importWeights(file, plan, copy);
      if (parts > 0)
        expect(copy.backbone.maskedEmbed!.toFloat32()).toEqual(
          network.backbone.maskedEmbed!.toFloat32(),
        );
    }
  });
});

describe("what others find", () => {
  beforeAll(() => expect(python || process.env["CI"] === undefined).toBe(true)); // CI skips nothing

  it("timm: its names, the format that loaders ask for, and where [OBJ] is", async () => {
    const { path } = runOf("odis");
    const out = join(scratch(), "new", "vit.safetensors");
    expect(await exportRun(path, { out, format: "timm" })).toEqual({
      files: [out],
      notes: [
        "cls_token is [OBJ]: without a mask it looks at the whole image, like a [CLS]",
        "heads are left out; --format odis keeps them",
      ],
    });
    using file = openSafetensors(out);
    expect(file.metadata).toMatchObject({
      format: "pt",
      "odis.side": "teacher",
      "odis.step": "7",
      "odis.tokens": "obj",
      "odis.heads": "2",
      "odis.mean": "0.485 0.456 0.406",
    });
    const block = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"];
    const layers = [
      ...[0, 1].flatMap((n) => block.map((name) => `blocks.${n}.${name}`)),
      "patch_embed.proj",
      "norm",
    ];
    const names = [
      "cls_token",
      "pos_embed",
      ...layers.flatMap((name) => [`${name}.weight`, `${name}.bias`]),
    ];
    expect(file.names.toSorted()).toEqual(names.toSorted());
  });

  it("Hugging Face: a configuration that builds the same network", async () => {
    const read = async (settings: Settings): Promise<unknown> => {
      const out = join(mkdtempSync(join(scratch(), "hf-")), "vit");
      await exportRun(runOf("ibot", settings).path, { out, format: "hf" });
      const processor: unknown = JSON.parse(
        readFileSync(join(out, "preprocessor_config.json"), "utf8"),
      );
      expect(processor).toMatchObject({
        size: { height: 12, width: 12 },
        image_mean: [0.485, 0.456, 0.406],
      });
      return JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
    };
    const common = {
      hidden_size: 8,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      patch_size: 4,
      image_size: 12,
      layer_norm_eps: 1e-6,
      hidden_act: "gelu",
      qkv_bias: true,
    };
    expect(await read({})).toMatchObject({
      ...common,
      model_type: "vit",
      architectures: ["ViTModel"],
      intermediate_size: 32,
    });
    expect(await read(gated)).toMatchObject({
      ...common,
      model_type: "dinov2",
      architectures: ["Dinov2Model"],
      mlp_ratio: 4,
      use_swiglu_ffn: true,
      use_mask_token: false,
    });
  });

  it("Hugging Face: numbers that Python shall read as floats have a point", async () => {
    const out = join(scratch(), "vit");
    await exportRun(runOf("odis", gated).path, { out, format: "hf" });
    const text = readFileSync(join(out, "config.json"), "utf8");
    const floats = ["layerscale_value", "drop_path_rate", "hidden_dropout_prob", "layer_norm_eps"];
    for (const name of floats) expect(text).toMatch(new RegExp(`"${name}": \\d+\\.\\d+,?\n`));
    expect(text).toMatch(/"mlp_ratio": 4,\n/); // an integer in theirs
  });

  it("Hugging Face: a ratio that Dinov2 has no place for is refused", async () => {
    const run = runOf("odis", gated, { model: { mlpRatio: 2.5 } });
    await expect(
      exportRun(run.path, { out: join(scratch(), "vit"), format: "hf" }),
    ).rejects.toThrow(
      "export: the network's model.mlpRatio is 2.5; wanted a whole number, as Hugging Face's Dinov2 has " +
        "(a network with LayerScale or gated layers is one). Give --format timm or odis.",
    );
  });

  it("no file instead of half a network", async () => {
    const out = join(scratch(), "out");
    for (const format of ["timm", "hf"] as const)
      await expect(exportRun(runOf("odis-cls").path, { out, format })).rejects.toThrow(
        "export: the network has [CLS] and 1 [OBJ] before its patches; wanted one token, as theirs have. " +
          "Patches attend to all of them, so leaving some out would change every feature. Give --format odis.",
      );
    mkdirSync(out); // nothing was made
    await expect(exportRun(runOf("odis").path, { out, format: "hf" })).rejects.toThrow(
      `${out} exists; wanted a new folder`,
    );
  });
});
