import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  absoluteSpec,
  type DataSpec,
  dataText,
  openSource,
  parseDataSpec,
} from "../../src/data/dataset.js";
import { readers } from "../../src/data/registry.js";
import { BadImageError, ConfigError, DataError } from "../../src/core/errors.js";
import { failure } from "../failure.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const kinds = readers.map(({ kind }) => kind).join(", ");

describe("a data set on the command line", () => {
  test.each<[string, DataSpec]>([
    [
      "coco:photos",
      { kind: "coco", images: "photos/images", annotations: "photos/instances.json" },
    ],
    ["coco:a/b,c/d.json", { kind: "coco", images: "a/b", annotations: "c/d.json" }],
    ["module:mine.js", { kind: "module", path: "mine.js" }],
    [
      "coco:photos#limit=100,crowd,take=0..0.8,seed=3",
      {
        kind: "coco",
        images: "photos/images",
        annotations: "photos/instances.json",
        limit: 100,
        crowd: true,
        take: [0, 0.8],
        seed: 3,
      },
    ],
  ])("%s, and back", (text, spec) => {
    expect(parseDataSpec(text)).toEqual(spec);
    expect(parseDataSpec(dataText(spec))).toEqual(spec);
  });

  test("a folder with a comma in its name is told by both parts", () => {
    const spec = { kind: "coco", images: "a,b/images", annotations: "a,b/instances.json" };
    expect(dataText(spec)).toBe("coco:a,b/images,a,b/instances.json");
  });

  test.each([
    ["coco:a/b,c/d.json#masks=m.json,crowd", "coco:/w/a/b,/w/c/d.json#masks=/w/m.json,crowd"],
    ["coco:/a/b,/c/d.json", "coco:/a/b,/c/d.json"],
    ["coco:photos", "coco:/w/photos"],
    ["coco:images,instances.json", "coco:/w"],
    ["coco:/a/images,/b/instances.json", "coco:/a/images,/b/instances.json"],
    ["voc:../VOC2012", "voc:/VOC2012"],
    ["module:mine.js", "module:/w/mine.js"],
    [
      'mix:{"parts":[{"data":"folder:a","weight":2},{"data":"maps:b,c"}]}',
      'mix:{"parts":[{"data":"folder:/w/a","weight":2},{"data":"maps:/w/b,/w/c"}]}',
    ],
  ])("%s, from any folder", (text, whole) => {
    const here = process.cwd();
    const told = dataText(absoluteSpec(parseDataSpec(text)));
    const up = here.slice(0, here.lastIndexOf("/"));
    expect(told).toBe(whole.replaceAll(/\/w\b/g, here).replace("voc:/V", `voc:${up}/V`));
  });

  test.each([
    ["photos", "there is no such place", ""],
    ["nothing:photos", '"nothing" is no kind of data', ""],
    ["cocoo:photos", '"cocoo" is no kind of data', ". Did you mean coco?"],
    ["coco:", "no place stands behind coco:", ""],
    ["", "there is no such place", ""],
    ["\u001b[2J:x", '"\\u001b[2J" is no kind of data', ""],
  ])("%j names the kinds", (text, problem, hint) => {
    expect(() => parseDataSpec(text)).toThrow(
      new ConfigError(
        `data ${JSON.stringify(text)}: ${problem}; wanted a folder or file that exists, or KIND:PLACE ` +
          `with one of the kinds ${kinds}; for example coco:photos reads photos/images and ` +
          `photos/instances.json${hint}`,
      ),
    );
  });

  test.each(["coco:a,", "coco:,b.json"])("%j is half a place", (text) => {
    expect(() => parseDataSpec(text)).toThrow(
      `data "${text}": wanted coco:FOLDER (with images/ and instances.json in it) or ` +
        "coco:IMAGES,ANNOTATIONS.json",
    );
  });

  test.each([
    ["coco:a#limit=0", "data setting limit: got 0; wanted a whole number, 1 or more"],
    ["coco:a#limit=", 'data setting limit: got ""; wanted a whole number, 1 or more'],
    ["coco:a#limit=ten", 'data setting limit: got "ten"; wanted a whole number, 1 or more'],
    [
      "coco:a#take=..0.8",
      'data setting take: got "..0.8"; wanted FROM..TO, two shares from 0 to 1, the lower one first',
    ],
    ["coco:a#crowd=no", 'data setting crowd: got "no"; wanted true or false'],
    [
      "coco:a#take=0.8..0.2",
      "data setting take: got [0.8,0.2]; wanted FROM..TO, two shares from 0 to 1, the lower one first",
    ],
    ["coco:a#color=blue", 'data setting color: got "blue"; wanted one of stored, managed'],
    [
      "coco:a#limt=3",
      'data setting "limt": coco data has none of that name; wanted one of limit, take, seed, balance, ' +
        "color, exif, outside, whole, masks, crowd. Did you mean limit?",
    ],
  ])("%s", (text, message) => {
    expect(() => parseDataSpec(text)).toThrow(new ConfigError(message));
  });

  test("commas and # in the names of folders that exist", () => {
    const odd = join(scratch(), "red, green#crowd");
    mkdirSync(join(odd, "images"), { recursive: true });
    writeFileSync(join(odd, "instances.json"), '{"images": []}');
    const folder = {
      kind: "coco",
      images: join(odd, "images"),
      annotations: join(odd, "instances.json"),
    };
    expect(parseDataSpec(odd)).toEqual(folder);
    const two = `coco:${join(odd, "images")},${join(odd, "instances.json")}`;
    expect(parseDataSpec(two)).toEqual(folder);
    expect(() => parseDataSpec("coco:a,b,c")).toThrow(
      'data "coco:a,b,c": wanted coco:FOLDER (with images/ and instances.json in it) or ' +
        "coco:IMAGES,ANNOTATIONS.json; with these commas it can be cut in several ways",
    );
  });
});

function written(text: string, name = "source.mjs") {
  const path = join(scratch(), name);
  writeFileSync(path, text);
  return { kind: "module", path, options: { count: 3 } } as const;
}

describe("a module of the user's own", () => {
  test("has two members", async () => {
    const source = await openSource(
      written(`
        export const open = ({ count }) => ({
          size: count,
          read: (index) => ({ width: 2, height: 1, rgb: new Uint8Array(6).fill(index) }),
        });`),
    );
    expect([source.size, source.classes, source.key(1)]).toEqual([3, [], "1"]);
    expect(await source.read(1)).toEqual({
      key: "1",
      width: 2,
      height: 1,
      rgb: new Uint8Array(6).fill(1),
      objects: [],
    });
  });

  test("may be a class, with names, labels and objects", async () => {
    const source = await openSource(
      written(`
        class Source {
          classes = ["thing"];
          constructor(count) { this.size = count; }
          key(index) { return "picture " + index + " of " + this.size; }
          async read(index) {
            const pixels = () => Uint8Array.of(0, 1);
            return {
              width: 2, height: 1, rgb: new Uint8ClampedArray(6),
              objects: [{ id: 4, label: 0, pixels }],
            };
          }
        }
        export const open = async ({ count }) => new Source(count);`),
    );
    const { key, rgb, objects } = await source.read(1);
    expect([key, rgb.constructor.name]).toEqual(["picture 1 of 3", "Uint8Array"]);
    expect(objects).toMatchObject([
      { id: 4, label: 0, area: 1, box: { x: 1, y: 0, width: 1, height: 1 } },
    ]);
  });

  test.each([
    ["export const read = 1;", ' has no function "open"; wanted open(options)'],
    ["import 'nowhere';", " cannot be loaded: "],
    ["export const open = () => { throw new Error('no disk'); };", ": open() failed: no disk"],
    ["export const open = () => {};", ": open() returned undefined; wanted { size, read(index) }"],
    ["export const open = () => ({ size: 0 });", ': "size" is 0; wanted 1 or more samples'],
    [
      "export const open = () => ({ size: 2 });",
      ': "read" is missing; wanted a function read(index)',
    ],
    [
      "export const open = () => ({ size: 2, read() {}, classes: 'a' });",
      ': "classes" is "a"; wanted a list of names',
    ],
  ])("%j is refused", async (text, message) => {
    const spec = written(text);
    const found = await failure(openSource(spec), DataError);
    expect(found).toContain(`data module ${spec.path}${message}`);
  });

  test.each([
    ["", "returned undefined; wanted { width, height, rgb }"],
    ["throw new Error('no disk');", "failed: no disk"],
    ["return { width: 2, height: 0 };", '"width" and "height" are 2 and 0; wanted whole numbers'],
    ["return { width: 2, height: 1, rgb: [1, 2] };", '"rgb" is a Array; wanted a Uint8Array'],
    [
      "return { width: 2, height: 1, rgb: new Uint8Array(8) };",
      '"rgb" has 8 bytes; wanted 6, 3 for each of 2 × 1 pixels',
    ],
    ["return { ...good, objects: 3 };", '"objects" is 3; wanted a list'],
    ["return { ...good, objects: [null] };", "objects[0] is null; wanted { id, label,"],
    [
      "return { ...good, objects: [{ id: 'a' }] };",
      'objects[0]: "id" is "a"; wanted a whole number',
    ],
    [
      "return { ...good, objects: [{ id: 0, label: 7 }] };",
      'objects[0]: "label" is 7; wanted -1 (unknown) or 0',
    ],
    [
      "return { ...good, objects: [{ id: 0, label: 0 }] };",
      'objects[0]: "pixels" is missing; wanted a function that draws the mask',
    ],
    [
      "return { ...good, objects: [{ id: 0, label: 0, pixels: () => new Uint8Array(3) }] };",
      "objects[0]: pixels() gave 3 bytes; wanted 2, one for each of 2 × 1 pixels",
    ],
  ])("a sample is checked: %s", async (body, message) => {
    const spec = written(`
      const good = { width: 2, height: 1, rgb: new Uint8Array(6) };
      export const open = () => ({ size: 9, read(index) { ${body} } });`);
    const source = await openSource(spec);
    const found = await failure(source.read(4), DataError);
    expect(found).toContain(`data module ${spec.path}: read(4)`);
    expect(found).toContain(message);
  });

  test("skips an image by the error of that name", async () => {
    const errors = JSON.stringify(join(import.meta.dirname, "../../src/core/errors.js"));
    const spec = written(`
      import { BadImageError } from ${errors.replace(".js", ".ts")};
      export const open = () => ({ size: 1, read() { throw new BadImageError("x", "torn"); } });`);
    expect(await failure((await openSource(spec)).read(0), BadImageError)).toBe("image x: torn");
  });
});
