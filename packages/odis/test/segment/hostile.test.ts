import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadImageError, DataError, OdisError } from "../../src/core/errors.js";
import { Network } from "../../src/segment/onnx/network.js";
import { readModelFacts } from "../../src/segment/onnx/model-file.js";
import { chooseAdapter, openAdapter } from "../../src/segment/onnx/registry.js";
import { openLooker } from "../../src/segment/remote.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "./networks.js";

// The built file: the process loads it by its place on the disk.
const child = new URL("../../dist/segment/child.js", import.meta.url);
const scratch = scratchFolder();
const picture = { width: 64, height: 48, rgb: new Uint8Array(3 * 64 * 48).fill(90) };
const cpu = { provider: "cpu", threads: 1 } as const;

const looker = (name: string, patience = 60, options: object = {}) =>
  openLooker({ text: fixture(name), options: { threads: 1, ...options } }, { patience, child });

describe("files that are no networks", () => {
  const write = (name: string, bytes: Uint8Array | string): string => {
    const path = join(scratch(), name);
    writeFileSync(path, bytes);
    return path;
  };
  const whole = readFileSync(fixture("yolov5-dynamic.onnx"));

  test.each([
    ["a text", "hello", /^network \S+a\.onnx is no ONNX file \(/],
    [
      "a picture",
      readFileSync(new URL("../fixtures/coco-6/images/000000000030.jpg", import.meta.url)),
      /is no ONNX file/,
    ],
    ["nothing", "", /a\.onnx is empty; wanted an ONNX file$/],
    [
      "the beginning of one",
      whole.subarray(0, 30_000),
      /is no whole ONNX file: it has 30000 bytes, a part of it would reach to byte \d+\. If it was downloaded, the download broke off$/,
    ],
    ["zeros", new Uint8Array(1000), /is no ONNX file \(byte 0 begins no field\)$/],
    [
      "numbers without an end",
      new Uint8Array(1000).fill(0xff),
      /is no ONNX file \(the number at byte 0 has no end\)$/,
    ],
  ])("%s is said to be none", async (_what, bytes, message) => {
    const path = write("a.onnx", bytes);
    await expect(Network.open(path, cpu)).rejects.toThrow(message);
    await expect(Network.open(path, cpu)).rejects.toBeInstanceOf(OdisError);
  });

  test("a folder, and nothing at all", async () => {
    await expect(Network.open(scratch(), cpu)).rejects.toThrow(
      /is a folder; wanted a regular file$/,
    );
    await expect(Network.open(join(scratch(), "no.onnx"), cpu)).rejects.toThrow(/does not exist$/);
  });

  test("any bytes are read to an end, and torn ones refused with a sentence", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat({ max: whole.length - 1 }),
        async (noise, at) => {
          for (const bytes of [noise, Buffer.concat([whole.subarray(0, at), noise])]) {
            const path = write("fuzz.onnx", bytes);
            const result = await readModelFacts(path).catch((error: unknown) => error);
            if (!(result instanceof Error)) continue; // noise may lie in a weight
            expect(result).toBeInstanceOf(DataError);
            expect(result.message.split("\n")).toHaveLength(1);
            expect(result.message.length).toBeLessThan(400);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("networks that are something else", () => {
  test("of texts: no adapter takes it, and its ports are said", async () => {
    await expect(looker("hostile-words.onnx")).rejects.toThrow(
      /hostile-words\.onnx: no adapter knows a network with the inputs text \[n\] and the outputs said \[n\]/,
    );
  });

  test("with an operator that nobody has", async () => {
    const refused = looker("hostile-unknown.onnx");
    await expect(refused).rejects.toThrow(/hostile-unknown\.onnx: onnxruntime refuses it: /);
    await refused.catch((error: Error) => expect(error.message.split("\n")).toHaveLength(1));
  });

  test("with weights outside of its folder", async () => {
    await expect(looker("hostile-outside.onnx")).rejects.toThrow(
      /keeps weights in the file "\.\.\/\.\.\/\.\.\/\.\.\/etc\/passwd", which is not in its own folder\. That is not followed$/,
    );
  });

  test("taken for what they are not", async () => {
    await expect(looker("u2net.onnx", 60, { adapter: "yolo" })).rejects.toThrow(
      /u2net\.onnx: has not the inputs and outputs of YOLO's networks$/,
    );
    await expect(looker("detr.onnx", 60, { adapter: "sam" })).rejects.toThrow(
      /detr\.onnx: is no part of SAM; wanted two files/,
    );
    await expect(looker("yolo11-seg.onnx", 60, { adapter: "yolo12" })).rejects.toThrow(
      /--adapter: got "yolo12"; wanted one of yolo, .* Did you mean yolo\?$/,
    );
    await expect(looker("yolo11-seg.onnx", 60, { points: 3 })).rejects.toThrow(
      /--points: networks of the kind yolo have no such setting; wanted some of --score, --overlap/,
    );
    await expect(looker("detr.onnx")).rejects.toThrow(
      /detr\.onnx: its inputs and outputs fit 2 kinds of network\. Say which is meant:\n {2}--adapter detr .*\n {2}--adapter rt-detr /,
    );
  });
});

describe("networks that answer nonsense", () => {
  const asked = async (name: string, patience?: number) => {
    const made = await looker(name, patience);
    try {
      return await made.find(picture, { key: "a.jpg" });
    } finally {
      await made.close();
    }
  };

  test("values that are no numbers", async () => {
    await expect(asked("hostile-nan.onnx")).rejects.toThrow(
      /^image a\.jpg: network \S+hostile-nan\.onnx gives values that are not finite \(NaN\) for it$/,
    );
  });

  test("boxes larger than anything", async () => {
    const { found } = await asked("hostile-huge.onnx");
    for (const { box } of found) for (const side of box!) expect(Number.isNaN(side)).toBe(false);
  });

  test("too few numbers", async () => {
    await expect(asked("hostile-short.onnx")).rejects.toThrow(
      /hostile-short\.onnx: output "output0" has the shape \[1, 3, 84\]; wanted \[1, 4 \+ classes \+ 0, boxes\]$/,
    );
  });

  test("more memory than there is", async () => {
    await expect(asked("hostile-bomb.onnx")).rejects.toThrow(/^image a\.jpg: /);
    await expect(asked("hostile-bomb.onnx")).rejects.toBeInstanceOf(BadImageError);
  });

  test("nothing, for ever: the process is ended, and the next picture finds another", async () => {
    const made = await looker("hostile-endless.onnx", 2);
    for (const key of ["a.jpg", "b.jpg"])
      await expect(made.find(picture, { key })).rejects.toThrow(
        new RegExp(
          `^image ${key}: \\S+hostile-endless\\.onnx did not answer within 2 seconds and was ended$`,
        ),
      );
    await made.close();
  });

  test("a picture of one pixel, and one that is a line", async () => {
    for (const [width, height] of [
      [1, 1],
      [3000, 1],
      [1, 3000],
    ] as const) {
      const thin = { width, height, rgb: new Uint8Array(3 * width * height).fill(128) };
      for (const name of readdirSync(fixture(".")).filter((file) =>
        /^(yolo|rt-detr|mavl|u2net|mask-rcnn).*onnx$/.test(file),
      )) {
        const network = await Network.open(fixture(name), cpu);
        const named = name.startsWith("rt-")
          ? "rt-detr"
          : name.startsWith("yolov5")
            ? "yolov5"
            : undefined;
        const { finder } = openAdapter(chooseAdapter([network], named), [network], {});
        const found = await finder.find(thin, { key: "thin" }).catch((error: unknown) => error);
        if (found instanceof Error) expect(found).toBeInstanceOf(BadImageError);
        await network.close();
      }
    }
  });
});
