import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSource, parseDataSpec } from "../../src/data/dataset.js";
import { ConfigError } from "../../src/core/errors.js";
import { scratchFolder } from "../scratch.js";
import { formats } from "./formats.js";

const scratch = scratchFolder();
const put = (from: string, to: string) =>
  cpSync(join(formats, from), join(scratch(), to), { recursive: true });

describe("a place without a kind before it", () => {
  test("COCO as it is laid out itself", () => {
    put("coco-instances/images", "val2017");
    put("coco-instances/instances.json", "annotations/instances_val2017.json");
    const found = {
      kind: "coco",
      images: join(scratch(), "val2017"),
      annotations: join(scratch(), "annotations/instances_val2017.json"),
    };
    expect(parseDataSpec(scratch())).toEqual(found);
    expect(parseDataSpec(found.annotations)).toEqual(found);
    put("coco-instances/images", "train2017");
    put("coco-instances/instances.json", "annotations/instances_train2017.json");
    put("coco-panoptic/panoptic.json", "annotations/panoptic_val2017.json");
    expect(() => parseDataSpec(`${scratch()}#limit=3`)).toThrow(
      new ConfigError(
        `data ${scratch()}: this could be read in 3 ways. Say which is meant:` +
          ["coco instances train2017", "coco instances val2017", "panoptic panoptic val2017"]
            .map((words) => words.split(" "))
            .map(([kind, file, split]) => {
              const images = join(scratch(), split!);
              const annotations = join(scratch(), `annotations/${file}_${split}.json`);
              return `\n  '${kind}:${images},${annotations}#limit=3'    a file of this kind, pictures in ${images}`;
            })
            .join(""),
      ),
    );
  });

  test("several years of VOC", () => {
    put("voc", "VOCdevkit/VOC2012");
    const devkit = join(scratch(), "VOCdevkit");
    expect(parseDataSpec(devkit)).toEqual({ kind: "voc", place: join(devkit, "VOC2012") });
    put("voc", "VOCdevkit/VOC2007");
    expect(() => parseDataSpec(devkit)).toThrow(
      `data ${devkit}: this could be read in 2 ways. Say which is meant:\n` +
        `  voc:${devkit}/VOC2007    VOC2007/Annotations\n` +
        `  voc:${devkit}/VOC2012    VOC2012/Annotations`,
    );
  });

  test("photographs, with annotations that nobody knows", async () => {
    put("photos", "photos/2021");
    writeFileSync(join(scratch(), "photos/notes.csv"), "picture,mood\n");
    writeFileSync(join(scratch(), "photos/2021/scan.heic"), "");
    const source = await openSource(parseDataSpec(join(scratch(), "photos")));
    expect([source.summary, source.notes]).toEqual([
      "folder: 3 images, no objects",
      [
        "left out: 1 picture named *.heic",
        "none of the 3 images has an object",
        "other files lie there and are not read: 1 *.csv",
      ],
    ]);
  });

  test("nothing, and an empty folder", () => {
    mkdirSync(join(scratch(), "empty"));
    expect(() => parseDataSpec(join(scratch(), "empty"))).toThrow(
      /nothing there is a data set that odis knows \(the folder is empty\)\. Say what it is: KIND:PLACE/,
    );
    writeFileSync(join(scratch(), "a.bin"), "\u0000\u0001");
    expect(() => parseDataSpec(join(scratch(), "a.bin"))).toThrow(
      /\(a file that begins with "\\u0000\\u0001"\)/,
    );
  });
});
