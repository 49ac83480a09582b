import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dataText, openSource, parseDataSpec } from "../../../src/data/dataset.js";
import { pictureGroups } from "../../../src/data/picture.js";
import { ConfigError } from "../../../src/core/errors.js";
import { scratchFolder } from "../../scratch.js";
import { formats } from "../formats.js";

const scratch = scratchFolder();
const file = () => join(scratch(), "mix.json");
const [coco, yolo] = [`coco:${join(formats, "coco-instances")}`, `yolo:${join(formats, "yolo")}`];

function mixed(parts: unknown) {
  writeFileSync(file(), JSON.stringify({ parts }));
  return parseDataSpec(`mix:${file()}`);
}

describe("several data sets as one", () => {
  test("one after the other, classes by name", async () => {
    const spec = mixed([{ data: coco }, { data: yolo }]);
    expect(parseDataSpec(dataText(spec))).toEqual(spec); // a report can name it without the file
    expect(parseDataSpec(file())).toEqual(spec);
    const source = await openSource(spec);
    expect([source.size, source.classes, source.summary]).toEqual([
      5,
      ["bird", "cat", "dog", "elk"],
      "mix: 5 images, 4 classes",
    ]);
    const names = async (index: number) => {
      const { key, objects } = await source.read(index);
      expect(key).toBe(source.key(index));
      return objects.map(({ label }) => source.classes[label]);
    };
    expect(await names(0)).toEqual(["dog", "cat", "dog"]);
    expect(await names(3)).toEqual(["dog", "cat", "dog"]);
    expect([source.key(0), source.key(3)]).toEqual([
      "1/000000000030.jpg",
      "2/images/train/000000000030.jpg",
    ]);
    // The same photograph in both parts is one picture.
    expect([...(await pictureGroups(source))]).toEqual([0, 1, 2, 0, 1]);
  });

  test("weights: every image at least once, in the ratio that was asked for", async () => {
    const source = await openSource(
      mixed([
        { data: coco, weight: 1 },
        { data: yolo, weight: 4 },
      ]),
    );
    const keys = Array.from({ length: source.size }, (_, index) => source.key(index));
    const times = (key: string) => keys.filter((other) => other === key).length;
    expect(keys.filter((key) => key.startsWith("1/"))).toHaveLength(3);
    expect(keys.filter((key) => key.startsWith("2/"))).toHaveLength(12);
    expect(new Set(keys.map(times))).toEqual(new Set([1, 6]));
    const uneven = await openSource(
      mixed([
        { data: coco, weight: 2 },
        { data: yolo, weight: 1 },
      ]),
    );
    const all = Array.from({ length: uneven.size }, (_, index) => uneven.key(index));
    expect(all).toHaveLength(6); // 4 of 3 images, 2 of 2
    expect(new Set(all)).toHaveLength(5);
  });

  test("threads share what was read", async () => {
    const source = await openSource(mixed([{ data: coco }, { data: `${yolo}#limit=1` }]));
    writeFileSync(file(), "gone");
    const again = await openSource(structuredClone(source.spec));
    expect(again.size).toBe(4);
    expect((await again.read(3)).rgb).toEqual((await source.read(3)).rgb);
    expect(again.key(3)).toBe(source.key(3));
  });

  test.each([
    [[], /wanted \{ "parts": \[/],
    [
      [{ data: 3 }],
      /parts\[0\] is \{"data":3\}; wanted "data", a place, and maybe "weight", above 0$/,
    ],
    [[{ data: "coco:a", weight: 0 }], /parts\[0\] is .*above 0$/],
    [[{ data: "nowhere" }], /^data "nowhere": there is no such place/],
  ])("%j is refused", (parts, message) => {
    expect(() => mixed(parts)).toThrow(message);
    expect(() => mixed(parts)).toThrow(ConfigError);
  });

  test("weights that would repeat a few images for ever", async () => {
    await expect(openSource(mixed([{ data: coco, weight: 1e-9 }, { data: yolo }]))).rejects.toThrow(
      /at these weights the 2 images of part 2 would be repeated \d+ times; wanted at most 1000$/,
    );
  });
});
