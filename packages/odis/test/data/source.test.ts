import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSource, parseDataSpec } from "../../src/data/dataset.js";
import { ConfigError, DataError } from "../../src/core/errors.js";
import { scratchFolder } from "../scratch.js";
import { failure } from "./failure.js";

const scratch = scratchFolder();

describe("a data set on the command line", () => {
  test("coco:FOLDER, coco:IMAGES,ANNOTATIONS.json and module:FILE", () => {
    expect(parseDataSpec("coco:photos")).toEqual({
      kind: "coco",
      images: "photos/images",
      annotations: "photos/instances.json",
    });
    expect(parseDataSpec("coco:a/b,c/d.json")).toEqual({
      kind: "coco",
      images: "a/b",
      annotations: "c/d.json",
    });
    expect(parseDataSpec("module:mine.js")).toEqual({ kind: "module", path: "mine.js" });
  });

  test.each(["photos", "voc:photos", "coco:", ""])("%j names the kinds", (text) => {
    expect(() => parseDataSpec(text)).toThrow(
      new ConfigError(
        `data ${JSON.stringify(text)}: wanted KIND:PLACE, with one of the kinds coco, module; for ` +
          "example coco:photos reads photos/images and photos/instances.json",
      ),
    );
  });

  test.each(["coco:a,", "coco:,b.json", "coco:a,b,c"])("%j is half a place", (text) => {
    expect(() => parseDataSpec(text)).toThrow(
      `data "${text}": wanted coco:FOLDER (with images/ and instances.json in it) or ` +
        "coco:IMAGES,ANNOTATIONS.json",
    );
  });
});

function written(text: string) {
  const path = join(scratch(), "source.mjs");
  writeFileSync(path, text);
  return { kind: "module", path, options: { count: 3 } } as const;
}

describe("a module of the user's own", () => {
  test("is opened with its options", async () => {
    const source = await openSource(
      written(`
        class Source {
          classes = ["thing"];
          constructor(count) { this.size = count; }
          key(index) { return "picture " + index + " of " + this.size; }
          async read(index) {
            return { key: this.key(index), width: 1, height: 1, rgb: new Uint8Array(3), objects: [] };
          }
        }
        export const open = async ({ count }) => new Source(count);`),
    );
    expect(source.size).toBe(3);
    expect((await source.read(1)).key).toBe("picture 1 of 3");
  });

  test.each([
    ["export const read = 1;", 'has no function "open"; wanted open(options)'],
    ["export const open = () => ({ size: 0 });", '"size" is 0; wanted 1 or more samples'],
    ["import 'nowhere';", "cannot be loaded: "],
  ])("%j is refused", async (text, message) => {
    const spec = written(text);
    const found = await failure(openSource(spec), DataError);
    expect(found).toContain(`data module ${spec.path}`);
    expect(found).toContain(message);
  });
});
