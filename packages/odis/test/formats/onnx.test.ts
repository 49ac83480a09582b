import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type Tensor, tensor, tensorScope } from "@odis/torch";
import { ModelProtoSchema } from "onnx-buf";
import * as native from "onnxruntime-node";
import * as web from "onnxruntime-web";
import { describe, expect, it } from "vitest";
import { Rng, type Settings } from "../../src/core/index.js";
import type { Network } from "../../src/model/index.js";
import {
  modelNames,
  type RecipeName,
  recipeLayers,
  resolveRecipe,
} from "../../src/recipe/index.js";
import { loadNetwork } from "../../src/run/load.js";
import { exportRun } from "../../src/run/export.js";
import { expectClose } from "../close.js";
import { scratchFolder } from "../scratch.js";
import { gated } from "./small.js";
import { randomRun, saveRandom } from "./random-run.js";

const scratch = scratchFolder();
web.env.wasm.numThreads = 1;
web.env.logLevel = "error";

type Outputs = Readonly<Record<string, { dims: readonly number[]; data: Float32Array }>>;

/** The runtimes of the same files: native code, and WebAssembly as browsers run it. */
const runtimes = {
  async node(file: string, feeds: Feeds): Promise<Outputs> {
    const session = await native.InferenceSession.create(file);
    try {
      return (await session.run(tensorsOf(native, feeds))) as unknown as Outputs;
    } finally {
      await session.release();
    }
  },
  async web(file: string, feeds: Feeds): Promise<Outputs> {
    const session = await web.InferenceSession.create(new Uint8Array(readFileSync(file)));
    try {
      return (await session.run(tensorsOf(web, feeds))) as unknown as Outputs;
    } finally {
      await session.release();
    }
  },
} as const;

type Feeds = Readonly<Record<string, readonly [data: Float32Array | Uint8Array, shape: number[]]>>;

function tensorsOf<T>(
  { Tensor }: { Tensor: new (type: never, data: never, shape: number[]) => T },
  feeds: Feeds,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, [data, shape]]) => {
      const type = data instanceof Float32Array ? "float32" : "bool";
      return [name, new Tensor(type as never, data as never, shape)];
    }),
  );
}

/** Random images and patches of objects; the last object of the last image has none. */
function inputs(images: number, height: number, width: number, patch: number, objects = 1) {
  const rng = new Rng("onnx", images, height, width);
  const patches = Math.floor(height / patch) * Math.floor(width / patch);
  const pixels = Float32Array.from({ length: images * 3 * height * width }, () =>
    rng.uniform(-2, 2),
  );
  const visible = Uint8Array.from({ length: images * objects * patches }, () =>
    rng.uniform(0, 1) < 0.4 ? 1 : 0,
  );
  visible.fill(0, -patches);
  return { pixels, visible, patches };
}

/** What our network makes of the same. */
function wanted(network: Network, pixels: Float32Array, shape: number[], visible?: Tensor) {
  const { layout } = network.backbone;
  const attention = layout.attention === "open" ? "masked" : layout.attention;
  const tokens = network.forward(tensor(pixels, shape), visible ? { visible, attention } : {});
  const objects = layout.objects > 0 ? (visible?.shape[1] ?? layout.objects) : 0;
  const seen = layout.withObjects(objects);
  return {
    cls: layout.cls ? seen.clsOf(tokens).toFloat32() : undefined,
    object: objects > 0 ? seen.objectsOf(tokens).toFloat32() : undefined,
    patches: seen.patchesOf(tokens).toFloat32(),
  };
}

const large = { model: { layerScale: 0.5 } };
const separate = { model: { objectAttention: "separate" } };
const isolated = { model: { objectAttention: "isolated" } };
const three = { views: { object: { count: 3 } } };
const each = { model: { objectEmbedding: "each", objectPosition: "each" }, ...three };

describe("an exported network computes what ours does, within 1e-4", () => {
  const kinds: readonly (readonly [what: string, RecipeName, Settings])[] = [
    ["[OBJ]", "odis", {}],
    ["[OBJ] that training did not restrict", "odis", { model: { objectAttention: "open" } }],
    ["[CLS]", "ibot", {}],
    ["[CLS] and [OBJ]", "odis-cls", {}],
    ["LayerScale", "odis", large],
    ["LayerScale and SwiGLU", "odis-cls", gated],
    ["objects kept apart", "odis-cls", separate],
    ["objects isolated", "odis-isolated", {}],
    ["objects isolated, beside [CLS]", "odis-cls", isolated],
    ["several objects isolated", "odis-multi", { ...isolated, ...three }],
    ["an epsilon of its own", "odis", { model: { normEpsilon: 0.01 } }],
    ["several [OBJ] that begin as one", "odis-multi", three],
    ["several [OBJ], each its own", "odis-multi", each],
  ];
  // Trained for 12 x 12 pixels; others have their positions resized, one of them not square.
  const sizes = [
    [1, 12, 12],
    [2, 20, 12],
    [3, 8, 32],
  ] as const;

  it.each(
    kinds.flatMap((kind) =>
      (Object.keys(runtimes) as (keyof typeof runtimes)[]).map(
        (runtime) => [runtime, ...kind] as const,
      ),
    ),
  )("in onnxruntime-%s: %s", async (runtime, _, name, settings) => {
    const { path } = randomRun(scratch(), name, settings);
    const file = join(scratch(), "net.onnx");
    expect((await exportRun(path, { out: file })).files).toEqual([file]);
    using _scope = tensorScope();
    const { network } = loadNetwork(path, "teacher");
    const several = network.backbone.layout.objects > 1;
    for (const [images, height, width] of sizes)
      for (const objects of several ? [1, 2, 3] : [1]) {
        const { pixels, visible, patches } = inputs(images, height, width, 4, objects);
        const shape = [images, 3, height, width];
        const perObject = [images, objects, patches];
        const got = await runtimes[runtime](file, {
          image: [pixels, shape],
          visible: [visible, several ? perObject : [images, patches]],
        });
        const ours = wanted(network, pixels, shape, tensor(visible, perObject, { dtype: "bool" }));
        const dim = network.backbone.config.dim;
        expect(got["patches"]!.dims).toEqual([images, patches, dim]);
        expect(got["object"]?.dims).toEqual(
          ours.object && (several ? [images, objects, dim] : [images, dim]),
        );
        const outputs = Object.entries(ours).filter(([, value]) => value);
        expect(Object.keys(got).toSorted()).toEqual(outputs.map(([output]) => output).toSorted());
        for (const [output, value] of outputs)
          expectClose(got[output]!.data, value!, { atol: 1e-4, rtol: 0, what: output });
      }
  });

  it("without a mask: all patches", async () => {
    for (const name of ["odis", "odis-cls", "ibot"] as const) {
      const { path } = randomRun(scratch(), name);
      const file = join(scratch(), `${name}.onnx`);
      await exportRun(path, { out: file });
      using _scope = tensorScope();
      const { network } = loadNetwork(path, "teacher");
      const { pixels, visible } = inputs(2, 12, 16, 4);
      visible.fill(1);
      const got = await runtimes.node(file, {
        image: [pixels, [2, 3, 12, 16]],
        visible: [visible, [2, 12]],
      });
      for (const [output, value] of Object.entries(wanted(network, pixels, [2, 3, 12, 16])))
        if (value) expectClose(got[output]!.data, value, { atol: 1e-4, rtol: 0, what: output });
    }
  });

  it("means of patches, where the network was trained on them", async () => {
    const pooling = { loss: { objectFrom: "pooled" } };
    const { path } = randomRun(scratch(), "odis", pooling);
    const file = join(scratch(), "net.onnx");
    await exportRun(path, { out: file });
    using _scope = tensorScope();
    const { network } = loadNetwork(path, "teacher");
    const { pixels, visible, patches } = inputs(2, 12, 12, 4);
    const shape = [2, 3, 12, 12];
    const got = await runtimes.node(file, { image: [pixels, shape], visible: [visible, [2, 9]] });
    const ours = wanted(network, pixels, shape); // nobody is restricted
    expectClose(got["patches"]!.data, ours.patches, { atol: 1e-4, rtol: 0 });
    const means = Array.from({ length: 16 }, (_, at) => {
      const [image, channel] = [Math.floor(at / 8), at % 8];
      let [sum, count] = [0, 0];
      for (let patch = 0; patch < patches; patch += 1)
        if (visible[image * patches + patch] === 1) {
          sum += ours.patches[(image * patches + patch) * 8 + channel]!;
          count += 1;
        }
      return count === 0 ? 0 : sum / count;
    });
    expectClose(got["pooled"]!.data, Float32Array.from(means), { atol: 1e-4, rtol: 0 });
  });

  // ONNX_SIZES=vit-b tries a larger one, by hand: it takes a minute and 2 GB.
  const asked = (process.env["ONNX_SIZES"] ?? "vit-ti,vit-s").split(",");
  it.each(modelNames.filter((size) => asked.includes(size)))(
    "%s at 224 pixels and another size, with a mask and without",
    async (size) => {
      const small = { head: { hidden: 8, bottleneck: 4, prototypes: 8 } };
      const layers = [...recipeLayers("odis", size), { source: "test", values: small }];
      const path = saveRandom(scratch(), resolveRecipe(layers), 0.05);
      const file = join(scratch(), "net.onnx");
      await exportRun(path, { out: file });
      using _scope = tensorScope();
      const { network } = loadNetwork(path, "teacher");
      for (const side of [224, 160]) {
        const { pixels, visible, patches } = inputs(1, side, side, 16);
        for (const fill of [undefined, 1] as const) {
          visible.fill(fill ?? 1, 0, fill === undefined ? patches / 4 : patches);
          const shape = [1, 3, side, side];
          const got = await runtimes.node(file, {
            image: [pixels, shape],
            visible: [visible, [1, patches]],
          });
          const seen = tensor(visible, [1, 1, patches], { dtype: "bool" });
          const ours = wanted(network, pixels, shape, seen);
          expectClose(got["object"]!.data, ours.object!, { atol: 1e-4, rtol: 0, what: `${side}` });
          expectClose(got["patches"]!.data, ours.patches, { atol: 1e-4, rtol: 0, what: `${side}` });
        }
      }
    },
    300_000,
  );
});

describe("half precision", () => {
  it.each(["node", "web"] as const)(
    "%s: rounded weights, computed with in float32",
    async (runtime) => {
      const { path } = randomRun(scratch(), "odis-cls", gated);
      const file = join(scratch(), "half.onnx");
      const { notes } = await exportRun(path, { out: file, half: true });
      expect(notes).toContain("weights are float16, computed with in float32");
      using _scope = tensorScope();
      const { network } = loadNetwork(path, "teacher");
      for (const weight of network.parameters())
        weight.copy_(weight.to({ dtype: "float16" }).to({ dtype: "float32" }));
      const { pixels, visible } = inputs(2, 20, 12, 4);
      const shape = [2, 3, 20, 12];
      const got = await runtimes[runtime](file, {
        image: [pixels, shape],
        visible: [visible, [2, 15]],
      });
      const ours = wanted(network, pixels, shape, tensor(visible, [2, 1, 15], { dtype: "bool" }));
      for (const [output, value] of Object.entries(ours))
        expectClose(got[output]!.data, value!, { atol: 1e-4, rtol: 0, what: output });
    },
  );

  it("is refused where a weight has no place in it; nothing is left behind", async () => {
    const { path } = randomRun(scratch(), "odis");
    using _scope = tensorScope();
    const { network } = loadNetwork(path, "teacher");
    network.free();
    const file = join(scratch(), "half.onnx");
    const huge = saveRandom(scratch(), randomRun(scratch(), "odis").recipe, 1e6);
    await expect(exportRun(huge, { out: file, half: true })).rejects.toThrow(
      /^export: weight \S+ holds numbers that float16 has no place for; leave --half out$/,
    );
    expect(existsSync(file)).toBe(false);
  });
});

describe("the file", () => {
  it("says what it is, and that batch and size are free", async () => {
    const { path } = randomRun(scratch(), "odis");
    const file = join(scratch(), "net.onnx");
    await exportRun(path, { out: file });
    // Another reader of the format than the runtimes: the generated one, of the whole file at once.
    const model = fromBinary(ModelProtoSchema, readFileSync(file));
    expect(model).toMatchObject({ irVersion: 8n, producerName: "odis" });
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([["", 17n]]);
    const said = Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
    expect(said).toMatchObject({ "odis.patch": "4", "odis.mean": "0.485 0.456 0.406" });
    const shapes = [...model.graph!.input, ...model.graph!.output].map(({ name, type }) => {
      const dims = type?.value.case === "tensorType" ? type.value.value.shape!.dim : [];
      return [
        name,
        dims.map(({ value }) => (value.case === "dimParam" ? value.value : Number(value.value))),
      ];
    });
    expect(Object.fromEntries(shapes)).toEqual({
      image: ["batch", 3, "height", "width"],
      visible: ["batch", "patches"],
      object: ["batch", 8],
      patches: ["batch", "patches", 8],
    });
  });
});

describe("a folder for transformers.js", () => {
  it("holds the files that its pipeline asks for, and a graph with its names", async () => {
    const { path } = randomRun(scratch(), "odis");
    const out = join(scratch(), "js");
    const { files } = await exportRun(path, { out, format: "transformers.js" });
    expect(files.map((file) => file.slice(out.length + 1))).toEqual([
      "onnx/model.onnx",
      "config.json",
      "preprocessor_config.json",
    ]);
    using _scope = tensorScope();
    const { network } = loadNetwork(path, "teacher");
    const { pixels } = inputs(2, 12, 20, 4);
    const got = await runtimes.web(files[0]!, { pixel_values: [pixels, [2, 3, 12, 20]] });
    const tokens = network.forward(tensor(pixels, [2, 3, 12, 20]));
    expectClose(got["last_hidden_state"]!.data, tokens.toFloat32(), { atol: 1e-4, rtol: 0 });
    expectClose(got["pooler_output"]!.data, tokens.select(1, 0).toFloat32(), {
      atol: 1e-4,
      rtol: 0,
    });
  });

  it("keeps half precision under the name that it looks for", async () => {
    const { path } = randomRun(scratch(), "ibot");
    const out = join(scratch(), "js");
    const { files } = await exportRun(path, { out, format: "transformers.js", half: true });
    expect(files[0]).toBe(join(out, "onnx", "model_fp16.onnx"));
  });

  it("is refused for a network that has more than one token before its patches", async () => {
    const out = join(scratch(), "js");
    const { path } = randomRun(scratch(), "odis-cls");
    await expect(exportRun(path, { out, format: "transformers.js" })).rejects.toThrow(
      "export: the network has [CLS] and 1 [OBJ] before its patches; wanted one token, as theirs have.",
    );
    expect(existsSync(out)).toBe(false);
  });
});
