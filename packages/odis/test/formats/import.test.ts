import { tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import type { Network } from "../../src/model/network.js";
import {
  describeImport,
  findNetwork,
  type ImportPlan,
  importWeights,
  openWeights,
  planImport,
  type Side,
  type WeightFile,
} from "../../src/formats/index.js";
import { expectClose } from "../close.js";
import { fixture } from "./fixture.js";
import { gated, memoryFile, pythonTokens, smallRecipe, studentOf } from "./small.js";

const images = () => tensor(pythonTokens("images"), [2, 3, 12, 12]);

function take(file: WeightFile, network: Network, side?: Side): ImportPlan {
  const plan = planImport(findNetwork(file, side), file.plain, network);
  importWeights(file, plan, network);
  return plan;
}

function weight(network: Network, name: string): Float32Array {
  return new Map(network.namedParameters()).get(name)!.toFloat32();
}

/** Weights that keep their random start, by name. */
const freshOf = ({ fresh }: ImportPlan): readonly string[] => fresh.map(({ name }) => name);

describe("features of imported networks equal PyTorch's", () => {
  it.each([
    ["dino.pth", undefined, "dino/teacher"],
    ["dino.pth", "teacher", "dino/teacher"],
    ["dino.pth", "student", "dino/student"],
    ["dino-backbone.pth", undefined, "dino/teacher"],
    ["hf-vit", undefined, "dino/teacher"],
    ["ibot.pth", undefined, "ibot/teacher"],
    ["dinov2.pth", undefined, "dinov2/teacher"],
    ["dinov2-backbone.pth", undefined, "dinov2/teacher"],
    ["hf-dinov2", undefined, "dinov2/teacher"],
    ["transformers-vit.pth", undefined, "dino/teacher"],
    ["transformers-dinov2.pth", undefined, "dinov2/teacher"],
  ] as const)("%s %s", async (name, side, wanted) => {
    using _scope = tensorScope();
    using file = await openWeights(fixture(name));
    // Of iBOT's shape; the DINOv2 head for patches has other prototypes.
    const own = name === "dinov2.pth" ? [{ head: { share: "none", patchPrototypes: 14 } }] : [];
    const recipe = wanted.startsWith("dinov2")
      ? smallRecipe("ibot", gated, ...own)
      : smallRecipe("ibot");
    const network = studentOf(recipe);
    take(file, network, side);
    expectClose(network.forward(images()).toFloat32(), pythonTokens(wanted));
  });

  it("with [OBJ] in the place of [CLS]", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("ibot.pth"));
    const network = studentOf(smallRecipe("odis"));
    const plan = take(file, network);
    expectClose(network.forward(images()).toFloat32(), pythonTokens("ibot/teacher"));
    expect(plan.notes).toContain(
      "[OBJ] starts as the file's [CLS], with its position: it takes its place",
    );
  });
});

describe("what is taken", () => {
  it("iBOT: everything, the embedding of hidden patches from the student", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("ibot.pth"));
    const network = studentOf(smallRecipe("ibot"));
    const plan = take(file, network);
    expect(plan.fresh).toEqual([]);
    expect(weight(network, "backbone.masked_embed")).toEqual(
      file.read("student.module.backbone.masked_embed"),
    );
    expect(weight(network, "head.last_layer.weight_v")).toEqual(
      file.read("teacher.head.last_layer.weight_v"),
    );
    const reasons = new Map(plan.unused.map(({ name, reason }) => [name, reason]));
    expect(reasons.get("student.module.backbone.cls_token")).toBe("the student's");
    expect(reasons.get("ibot_loss.center2")).toBe("the old run's loss");
    expect(reasons.get("teacher.head.last_layer2.weight_g")).toBe(
      "the network has no place for it",
    );
    expect(new Set([...plan.taken.flatMap(({ from }) => from), ...reasons.keys()])).toEqual(
      new Set(file.names),
    );
  });

  it("a backbone alone: heads are randomly initialised, and it is said", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("dino-backbone.pth"));
    const plan = take(file, studentOf(smallRecipe("odis")));
    expect(freshOf(plan)).toEqual([
      "backbone.masked_embed",
      ...[0, 2, 4].flatMap((at) => [`head.mlp.${at}.weight`, `head.mlp.${at}.bias`]),
      "head.last_layer.weight_g",
      "head.last_layer.weight_v",
    ]);
    expect(describeImport(plan)).toEqual([
      "30 of 39 weights are the file's",
      "the file does not say how many attention heads it has: 2 by the recipe; no convention tells it for this width",
      "[OBJ] starts as the file's [CLS], with its position: it takes its place",
      "randomly initialised: backbone.masked_embed: the file has no embedding of hidden patches",
      "randomly initialised: head.mlp.0.weight, head.mlp.0.bias, head.mlp.2.weight and 5 more: the file has no such head",
    ]);
  });

  it("DINOv2: heads of their own, and one that stands in for another", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("dinov2.pth"));
    const heads = { head: { share: "none", patchPrototypes: 14 }, model: { tokens: "cls+obj" } };
    const network = studentOf(smallRecipe("odis-cls", gated, heads));
    const plan = take(file, network);
    expect(freshOf(plan)).toEqual([]);
    expect(weight(network, "head_patch.last_layer.weight_v")).toEqual(
      file.read("teacher.ibot_head.last_layer.weight_v"),
    );
    expect(weight(network, "head_obj.mlp.0.weight")).toEqual(
      file.read("teacher.dino_head.mlp.0.weight"),
    );
    expect(plan.taken.find(({ to }) => to === "head_obj.mlp.0.weight")?.how).toBe(
      "stands in for one of its own",
    );
    const token = file.read("teacher.backbone.cls_token");
    expect(weight(network, "backbone.cls_token")).toEqual(token);
    expect(weight(network, "backbone.obj_token")).toEqual(token);
    const table = weight(network, "backbone.pos_embed");
    expect(table.subarray(8, 16)).toEqual(table.subarray(0, 8));
  });

  it("several [OBJ]: each a copy", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("dino.pth"));
    const several = {
      model: { objectEmbedding: "each", objectPosition: "each" },
      views: { object: { count: 3 } },
    };
    const network = studentOf(smallRecipe("odis-multi", several));
    const plan = take(file, network);
    const token = [...file.read("teacher.backbone.cls_token")];
    expect([...weight(network, "backbone.obj_token")]).toEqual([...token, ...token, ...token]);
    expect(plan.notes).toContain(
      "3 [OBJ] tokens start as copies of 1; their objects tell them apart",
    );
  });

  it("positions for another grid, resized as the network itself would", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("dino.pth"));
    const same = studentOf(smallRecipe("ibot"));
    const larger = studentOf(smallRecipe("ibot", { views: { globals: { size: 20 } } }));
    take(file, same);
    const plan = take(file, larger);
    expect(plan.taken.find(({ to }) => to === "backbone.pos_embed")?.how).toBe(
      "resized from 3 x 3 to 5 x 5 patches",
    );
    const wide = tensor(pythonTokens("images").subarray(0, 3 * 64), [1, 3, 8, 8])
      .repeat([1, 1, 3, 3])
      .narrow(2, 0, 20)
      .narrow(3, 0, 20);
    expectClose(larger.forward(wide).toFloat32(), same.forward(wide).toFloat32(), { rtol: 1e-6 });
  });
});

describe("element types and older layouts", () => {
  /** A file with the released DINO backbone, renamed or changed. */
  async function changed(
    rename: (name: string) => string,
    change: (name: string, tensor: { shape: readonly number[]; data: Float32Array }) => object = (
      _,
      tensor,
    ) => tensor,
  ): Promise<WeightFile> {
    using file = await openWeights(fixture("dino-backbone.pth"));
    return memoryFile(
      Object.fromEntries(
        file.names.map((name) => {
          const stored = { ...file.info(name), data: file.read(name) as Float32Array };
          return [rename(name), { ...stored, ...change(name, stored) }];
        }),
      ),
    );
  }

  it("half precision becomes float32, element for element", async () => {
    using _scope = tensorScope();
    const file = await changed(
      (name) => name,
      (_, { data }) => ({
        dtype: "bfloat16",
        data: Uint16Array.from(new Uint32Array(data.slice().buffer), (bits) => bits >>> 16),
      }),
    );
    const network = studentOf(smallRecipe("ibot"));
    take(file, network);
    const got = weight(network, "backbone.norm.weight");
    const bits = new Uint32Array(got.slice().buffer);
    expect([...bits].map((value) => value >>> 16)).toEqual([...file.read("norm.weight")]);
    expect(bits.every((value) => (value & 0xffff) === 0)).toBe(true);
  });

  it("positions without an entry for [CLS] (timm, no_embed_class)", async () => {
    using _scope = tensorScope();
    const table = await changed((name) => name).then((file) => file.read("pos_embed"));
    const file = await changed(
      (name) => name,
      (name, stored) => {
        if (name === "pos_embed") return { shape: [1, 9, 8], data: stored.data.slice(8) };
        if (name !== "cls_token") return {};
        return { data: stored.data.map((value, at) => value + Number(table[at])) };
      },
    );
    const network = studentOf(smallRecipe("ibot"));
    // 9 entries could be [CLS] and 2 x 4 patches, too.
    expect(() => take(file, network)).toThrow(
      "If you know, say it: 'memory.pth#grid=2x4' or 'memory.pth#grid=3x3'.",
    );
    const plan = planImport(findNetwork(file), file.plain, network, {
      grid: { rows: 3, columns: 3 },
    });
    importWeights(file, plan, network);
    expectClose(network.forward(images()).toFloat32(), pythonTokens("dino/teacher"));
    expect(plan.notes).toContain("the file has no positions for special tokens: theirs are 0");
  });
});

describe("what does not fit", () => {
  async function refusal(
    name: string,
    network: Network,
    { side, parts = "all" }: { side?: Side; parts?: "all" | "backbone" } = {},
  ): Promise<string> {
    using file = await openWeights(fixture(name));
    try {
      planImport(findNetwork(file, side), file.plain, network, { parts });
    } catch (error) {
      return (error as Error).message.slice(file.path.length + 2);
    }
    return "nothing";
  }

  it("another architecture: every difference, and the options that would fit", async () => {
    using _scope = tensorScope();
    const other = { model: { dim: 16, depth: 3, patch: 2, layerScale: 0.1 } };
    expect(await refusal("hf-vit", studentOf(smallRecipe("odis", other)))).toBe(
      "does not fit the recipe's network: model.dim is 8 in the file and 16 in the recipe; " +
        "model.depth is 2 in the file and 3 in the recipe; model.patch is 4 in the file and 2 in the recipe; " +
        "model.layerScale is 0 in the file and 0.1 in the recipe. " +
        "Give --set model.dim=8 model.depth=2 model.heads=2 model.patch=4, or other weights.",
    );
    expect(
      await refusal("hf-dinov2", studentOf(smallRecipe("odis", { model: { heads: 4 } }))),
    ).toBe(
      "does not fit the recipe's network: model.heads is 2 in the file and 4 in the recipe; " +
        "model.ffn is swiglu in the file and mlp in the recipe; model.layerScale is 0.00001 in the file and 0 in the recipe. " +
        "Give --set model.dim=8 model.depth=2 model.heads=2 model.ffn=swiglu model.patch=4 model.layerScale=0.00001, or other weights.",
    );
  });

  it("a head of another shape, unless it is left out", async () => {
    using _scope = tensorScope();
    const network = studentOf(smallRecipe("odis", { head: { prototypes: 16 } }));
    expect(await refusal("dino.pth", network)).toBe(
      "weight head.last_layer.weight_g: got shape [10, 1] (teacher.head.last_layer.weight_g), wanted shape [16, 1]. " +
        "Give --set head.hidden=12 head.bottleneck=6 head.prototypes=10 (heads of three layers without batch norm fit), " +
        "or begin with new heads: FILE#backbone.",
    );
    expect(await refusal("dino.pth", network, { parts: "backbone" })).toBe("nothing");
  });

  it("a network that the file has not, or has more than one of", async () => {
    using _scope = tensorScope();
    const network = studentOf(smallRecipe("ibot"));
    expect(await refusal("dinov2.pth", network, { side: "student" })).toContain(
      "has no student; it has a teacher. Give ",
    );
    expect(await refusal("dino-backbone.pth", network, { side: "teacher" })).toBe(
      "does not say whose weights it holds, student's or teacher's. Leave #teacher out.",
    );
    expect(await refusal("kinds.pth", network)).toMatch(/^no Vision Transformer that odis knows\./);
    const dim = { dtype: "float32", shape: [8] } as const;
    const twice = memoryFile({ "model.norm.weight": dim, "module.norm.weight": dim });
    expect(() => findNetwork(twice)).toThrow(
      "memory.pth: norm.weight: got model.norm.weight, module.norm.weight; wanted one tensor, " +
        "or query, key and value of one shape. The file holds two networks, or half of one.",
    );
  });

  it("parts that ours has not", () => {
    const dim = { dtype: "float32", shape: [8] } as const;
    const file = memoryFile({ "norm.weight": dim, register_tokens: dim });
    expect(() => findNetwork(file)).toThrow(
      "memory.pth: tensor register_tokens: register tokens, which odis has not; without it the " +
        "features would be others. Use weights of a network without it.",
    );
  });

  it("another activation, where the file says so", async () => {
    using _scope = tensorScope();
    using file = await openWeights(fixture("hf-vit"));
    const plain = new Map([...file.plain, ["config.hidden_act", "quick_gelu"] as const]);
    expect(() => planImport(findNetwork(file), plain, studentOf(smallRecipe("ibot")))).toThrow(
      "model.safetensors: its config.json says hidden_act quick_gelu; odis has gelu.",
    );
  });

  it("half a network", () => {
    using _scope = tensorScope();
    const network = studentOf(smallRecipe("ibot"));
    const dim = { dtype: "float32", shape: [8] } as const;
    const file = memoryFile({ "norm.weight": dim });
    expect(() => planImport(findNetwork(file), file.plain, network)).toThrow(
      "memory.pth: patch_embed.proj.weight: got nothing, wanted [any, 3, any, any]. This is no whole Vision Transformer.",
    );
  });
});
