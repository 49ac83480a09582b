import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rleFromMask, rleToMask } from "../../src/objects/rle.js";
import type { Corners, Found } from "../../src/segment/found.js";
import type { AdapterSettings } from "../../src/segment/onnx/adapter.js";
import { chooseAdapter, openAdapter } from "../../src/segment/onnx/registry.js";
import { Network } from "../../src/segment/onnx/network.js";
import { scratchFolder } from "../scratch.js";
import { fixture, maskIou, openFixture, photograph, recorded, type Said } from "./networks.js";

/**
 * Networks that the libraries' own exporters wrote, and what the libraries' own post-processing says
 * of photographs (fixtures/masks). Boxes agree to a thousandth of a pixel, masks but for a pixel in
 * a thousand.
 */
const cases: readonly {
  readonly stem: string;
  readonly adapter: string;
  readonly named?: true;
  readonly given?: Partial<AdapterSettings>;
}[] = [
  { stem: "yolo11-seg", adapter: "yolo" },
  { stem: "yolov8-seg-dynamic", adapter: "yolo", given: { size: 192 } },
  { stem: "yolov8-boxes", adapter: "yolo" },
  { stem: "yolo11-boxes-nms", adapter: "yolo" },
  { stem: "yolov5-dynamic", adapter: "yolov5", named: true, given: { size: 160 } },
  { stem: "yolox", adapter: "yolox" },
  { stem: "rt-detr", adapter: "rt-detr", named: true },
  { stem: "rf-detr", adapter: "rf-detr" },
  { stem: "mask-rcnn", adapter: "mask-rcnn" },
  { stem: "mask-rcnn-28", adapter: "mask-rcnn" },
  { stem: "mavl-objects", adapter: "mavl", given: { size: 128 } },
  { stem: "mavl-small", adapter: "mavl", given: { size: 128 } },
];

describe.each(cases)("$stem", ({ stem, adapter, named, given = {} }) => {
  const { images } = recorded(stem);

  test("is recognised, and finds what its library finds", async () => {
    const network = await openFixture(`${stem}.onnx`);
    const chosen = chooseAdapter([network], named ? adapter : undefined);
    expect(chosen.name).toBe(adapter);
    const { finder } = openAdapter(chosen, [network], given);
    for (const [name, said] of Object.entries(images))
      compare(await finder.find(await photograph(name), { key: name }), said);
    await network.close();
  });
});

describe.each([
  { stem: "detr", kind: "detr", adapter: "detr" },
  { stem: "rt-detr", kind: "rt_detr", adapter: "rt-detr" },
  { stem: "detr-panoptic", kind: "detr", adapter: "panoptic", given: { overlap: 0.6 } },
])("$stem with Hugging Face's files beside it", ({ stem, kind, adapter, given = {} }) => {
  const scratch = scratchFolder();
  const { images, processor } = recorded(stem);
  const names = { 0: "animal", 1: "vehicle", 2: "furniture" };

  test("is told from its kin, prepared as they say, and its labels have names", async () => {
    mkdirSync(join(scratch(), "onnx"));
    const path = join(scratch(), "onnx", "model.onnx");
    copyFileSync(fixture(`${stem}.onnx`), path);
    writeFileSync(
      join(scratch(), "config.json"),
      JSON.stringify({ model_type: kind, id2label: names }),
    );
    writeFileSync(join(scratch(), "onnx", "preprocessor_config.json"), JSON.stringify(processor));
    const network = await Network.open(path, { provider: "cpu", threads: 1 });
    const chosen = chooseAdapter([network], undefined);
    expect(chosen.name).toBe(adapter);
    const { finder } = openAdapter(chosen, [network], given);
    for (const [name, said] of Object.entries(images))
      compare(await finder.find(await photograph(name), { key: name }), said);
    expect(finder.classes).toEqual(Object.values(names));
    await network.close();
  });
});

describe.each([
  ["sam", "sam-encoder.onnx", "sam-decoder.onnx"],
  [
    "hf-sam-vision_encoder",
    "hf-sam-vision_encoder.onnx",
    "hf-sam-prompt_encoder_mask_decoder.onnx",
  ],
])("%s", (name, ...files) => {
  const { images, points, score, stability, overlap } = recorded(
    name === "sam" ? "sam-encoder" : name,
  );

  test("finds at a grid of points what its library's generator finds, in either order", async () => {
    const networks = await Promise.all(files.toReversed().map((file) => openFixture(file)));
    const given = { points, score, stability, overlap } as Partial<AdapterSettings>;
    const { finder } = openAdapter(chooseAdapter(networks, undefined), networks, given);
    for (const [photo, said] of Object.entries(images)) {
      const found = await finder.find(await photograph(photo), { key: photo });
      compare(found, said);
      for (const [index, { box }] of found.entries()) expect(box).toEqual(said.boxes![index]); // first and last pixel, as the library has it
    }
    for (const network of networks) await network.close();
  });
});

test("SAM draws in boxes what Meta's predictor draws", async () => {
  const { images, prompts } = recorded("sam-decoder");
  const networks = await Promise.all(
    ["sam-encoder.onnx", "sam-decoder.onnx"].map((file) => openFixture(file)),
  );
  const { finder } = openAdapter(chooseAdapter(networks, undefined), networks, {});
  for (const [name, said] of Object.entries(images)) {
    const box = (prompts as Record<string, Corners>)[name]!;
    compare(await finder.find(await photograph(name), { key: name, prompts: [box] }), said);
  }
  for (const network of networks) await network.close();
});

describe.each(["u2net", "isnet"])("%s", (stem) => {
  test("is recognised, and its regions are together what rembg cuts out", async () => {
    const network = await openFixture(`${stem}.onnx`);
    const chosen = chooseAdapter([network], undefined);
    expect(chosen.name).toBe(stem);
    const { finder } = openAdapter(chosen, [network], { score: 0, most: Infinity });
    for (const [name, said] of Object.entries(recorded(stem).images)) {
      const found = await finder.find(await photograph(name), { key: name });
      expect(found.length).toBeGreaterThan(0);
      const together = found.map(({ mask }) => rleToMask(mask!)).reduce(united);
      const { width, height } = found[0]!.mask!;
      const { counts } = rleFromMask(together, width, height);
      expect(maskIou(counts, said.masks![0]!)).toBeGreaterThan(0.999);
    }
    await network.close();
  });
});

function united(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((bit, at) => bit | b[at]!);
}

function compare(found: readonly Found[], said: Said): void {
  expect(found.map(({ label }) => label)).toEqual(said.labels ?? found.map(() => -1));
  expect(found.length).toBe(said.scores!.length);
  for (const [index, { box, score, mask }] of found.entries()) {
    expect(Math.abs(score - said.scores![index]!)).toBeLessThan(1e-5);
    if (!mask)
      for (const side of [0, 1, 2, 3] as const)
        expect(Math.abs(box![side] - said.boxes![index]![side])).toBeLessThan(1e-3);
    else expect(maskIou(mask.counts, said.masks![index]!)).toBeGreaterThan(0.999);
  }
}
