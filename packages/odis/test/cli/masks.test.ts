import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { scratchFolder } from "../scratch.js";
import { adapters, makers } from "../../src/segment/index.js";
import { fixture } from "../segment/networks.js";
import { odis } from "./odis.js";

const scratch = scratchFolder();
const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
const yolo = fixture("yolo11-seg.onnx");

describe("odis masks", () => {
  test("finds, draws, merges and judges", async () => {
    const at = (name: string) => join(scratch(), name);
    const found = odis([
      "masks",
      `coco:${photos}`,
      "--with",
      yolo,
      "--out",
      at("masks.json"),
      "--sheet",
      at("sheet.png"),
      "--threads",
      "1",
    ]);
    expect(found.stderr).toMatch(/coco: 6 images, 29 objects/);
    expect(found.stdout).toMatch(
      /masks\.json: \d+ objects in 6 images\n.*sheet\.png: 6 pictures with their masks\n$/,
    );
    expect(found.code).toBe(0);
    const { width, height } = await sharp(at("sheet.png")).metadata();
    expect(width).toBeGreaterThan(3 * 192);
    expect(height).toBeGreaterThan(2 * 192);

    const own = odis(["masks", `coco:${photos}`, "--with", "annotations", "--out", at("own.json")]);
    expect(own.code).toBe(0);
    const merged = odis([
      "masks",
      "merge",
      at("masks.json"),
      at("own.json"),
      "--out",
      at("both.json"),
    ]);
    expect(merged.stdout).toMatch(/both\.json: \d+ of \d+ objects in 6 images/);
    const judged = odis(["masks", "evaluate", at("both.json"), `coco:${photos}`]);
    expect(judged.stdout).toMatch(
      /^\d+ masks beside 29 annotated objects in 6 images; per cent \[95 %\]\n/,
    );
    expect(judged.stdout).toMatch(/\d+\.\d \[\d+\.\d, \d+\.\d\] +images whose surest box overlaps/);
    expect(readdirSync(scratch()).toSorted()).toEqual([
      "both.json",
      "masks.json",
      "own.json",
      "sheet.png",
    ]);
  });

  test.each([
    [
      ["--with", "yolo"],
      2,
      /^odis masks: --with yolo: no maker of masks is called that; wanted one of NETWORK\.onnx, cuts:RUN, regions, annotations$/,
    ],
    [["--with", "regoins"], 2, /Did you mean regions\?$/],
    [["--with", "cuts"], 2, /^odis masks: --with cuts: wanted cuts:RUN, the folder of a run$/],
    [["--with", "cuts:nowhere"], 4, /^odis masks: nowhere does not exist; wanted a run folder/],
    [
      ["--with", "regions", "--points", "3"],
      2,
      /^odis masks: --points: regions has no such setting; it reads --score, --overlap, --most, --size$/,
    ],
    [["--with", "a.onnx,b.onnx,c.onnx"], 2, /wanted one ONNX file, or two with a comma between$/],
    [
      ["--with", fixture("README.md").replace(/README\.md$/, "none.onnx")],
      3,
      /^odis masks: network \S+none\.onnx does not exist$/,
    ],
    [
      ["--with", "regions", "--min-area", "2"],
      2,
      /--min-area 2: wanted a number of at least 0 and at most 1/,
    ],
  ])("%j ends with %i and a sentence", (words, code, message) => {
    const out = join(scratch(), "masks.json");
    const ended = odis(["masks", `coco:${photos}`, "--out", out, ...words]);
    const said = ended.stderr
      .split("\n")
      .filter((line) => line.startsWith("odis masks:"))
      .join("\n");
    expect(said).toMatch(message);
    expect(ended.code).toBe(code);
    expect(existsSync(out)).toBe(false);
  });

  test("the help names every maker and every kind of network, and files as files", () => {
    const { stdout } = odis(["masks", "--help"]);
    for (const { places, about } of makers)
      expect(stdout).toContain(`  ${places}\n      ${about}\n`);
    for (const { name, about } of adapters)
      expect(stdout).toContain(`  ${name.padEnd(12)} ${about}`);
    expect(stdout).toMatch(/--out <FILE> /);
    expect(stdout).toMatch(/--sheet <FILE\.png> /);
  });

  test("an engine that is not there is said in a sentence", () => {
    const run = new URL("../fixtures/run-0.1", import.meta.url).pathname;
    const words = [
      "masks",
      `coco:${photos}`,
      "--with",
      `cuts:${run}`,
      "--out",
      join(scratch(), "m.json"),
    ];
    const { code, stderr } = odis([...words, "--threads", "1"], { env: { LIBTORCH: "/nowhere" } });
    expect(code).toBe(5);
    expect(stderr).toMatch(/^odis masks: LIBTORCH=\/nowhere: there is no such folder; wanted /m);
    expect(stderr).not.toContain("    at ");
  });

  test("what is missing is named with the whole command", () => {
    expect(odis(["masks", "merge", "a.json", "b.json"]).stderr).toMatch(
      /^odis masks merge: --out is missing; wanted --out .*See odis masks merge --help\.$/m,
    );
  });
});

describe("odis pretrain --masks", () => {
  test("trains on the file's objects and goes on with them", () => {
    const masks = join(scratch(), "masks.json");
    expect(odis(["masks", `coco:${photos}`, "--with", "regions", "--out", masks]).code).toBe(0);
    const out = join(scratch(), "run");
    const words = ["pretrain", "--data", `coco:${photos}`, "--masks", masks, "--out", out];
    const small = ["--model", "vit-mini", "--batch", "2", "--steps", "2", "--threads", "1"];
    const run = odis([
      ...words,
      ...small,
      "--set",
      "views.masks.minScore=0.1",
      "views.object.weigh=score",
    ]);
    expect(run.stdout).toMatch(/finished 2 steps/);
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8")) as {
      data: { masks: string };
    };
    expect(config.data.masks).toBe(masks);
  });
});

describe("odis bootstrap", () => {
  test("warms up, discovers, trains on that, discovers again; and goes on where it stood", () => {
    const out = join(scratch(), "boot");
    const words = ["bootstrap", "--data", `coco:${photos}`, "--out", out, "--model", "vit-mini"];
    const small = [
      "--warmup",
      "2",
      "--steps",
      "2",
      "--batch",
      "2",
      "--threads",
      "1",
      "--size",
      "64",
    ];
    const first = odis([...words, ...small]);
    expect(first.stdout).toMatch(/1\/4 warm-up on whole images \(iBOT\)\n +odis pretrain --data /);
    expect(first.stdout).toMatch(/2\/4 discovery of objects by the features of \S+warm-up\n/);
    expect(first.stdout).toMatch(
      /\d+ objects in 6 annotated images: best overlap \d+\.\d %, recall \d+\.\d %, CorLoc \d+\.\d %/,
    );
    expect(first.stdout).toMatch(/4\/4 discovery of objects by the features of \S+odis-1\n/);
    expect(first.code).toBe(0);
    expect(readdirSync(out).toSorted()).toEqual([
      "masks-1.json",
      "masks-2.json",
      "odis-1",
      "warm-up",
    ]);
    const before = readFileSync(join(out, "masks-2.json"));
    const again = odis([...words, ...small]);
    expect(again.code).toBe(0);
    expect(readFileSync(join(out, "masks-2.json"))).toEqual(before);
  }, 300_000);
});
