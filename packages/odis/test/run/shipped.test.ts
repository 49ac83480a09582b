import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors, readSafetensors, tensorScope, writeSafetensors } from "@odis/torch";
import { load, openSource, parseDataSpec } from "odis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exportRun } from "../../src/run/export.js";
import { loadNetwork } from "../../src/run/load.js";
import { shippedFile, shippedNames } from "../../src/run/index.js";
import { odis } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
const weights = (): string => join(scratch(), "weights");
let run: string;

/** A network of random weights under a name, as `weights/NAME` of the package holds them. */
beforeEach(async () => {
  run = randomRun(scratch(), "odis", {
    model: { patch: 8 },
    views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
  }).path;
  const out = join(weights(), "vit-tiny-test", "model.safetensors");
  await exportRun(run, { out, format: "odis", half: true });
  process.env["ODIS_WEIGHTS"] = weights();
});
afterEach(() => {
  delete process.env["ODIS_WEIGHTS"];
});

describe("a network that is known by name", () => {
  it("is written as float16, its recipe inside", () => {
    using file = openSafetensors(shippedFile("vit-tiny-test")!);
    expect(new Set(file.names.map((name) => file.info(name).dtype))).toEqual(new Set(["float16"]));
    expect(JSON.parse(file.metadata["odis.recipe"]!)).toMatchObject({
      model: { dim: 8, patch: 8 },
    });
  });

  it("loads as the run it came from, its weights rounded", async () => {
    using _scope = tensorScope();
    const { network } = loadNetwork(run, "teacher");
    const wanted = new Map(
      network
        .namedParameters()
        .map(([name, weight]) => [name, weight.to({ dtype: "float16" }).to({ dtype: "float32" })]),
    );
    const loaded = loadNetwork("vit-tiny-test", "teacher");
    expect(loaded).toMatchObject({ step: 7, checkpoint: shippedFile("vit-tiny-test") });
    for (const [name, weight] of loaded.network.namedParameters())
      expect(weight.toFloat32(), name).toEqual(wanted.get(name)!.toFloat32());
    using teacher = load("vit-tiny-test");
    const photo = await (await openSource(parseDataSpec(`coco:${photos}`))).read(0);
    expect(teacher.features(photo, photo.objects[0])).toHaveLength(8);
  });

  it("begins a run, is looked into, and goes on to other programs", () => {
    const at = { cwd: scratch() };
    expect(odis(["import", "vit-tiny-test"], at).stdout).toContain(
      "network   width 8, 2 blocks, 2 heads",
    );
    expect(odis(["export", "vit-tiny-test", "net.onnx"], at)).toMatchObject({
      code: 0,
      stdout: "net.onnx\n",
    });
    const settings =
      "model.dim=8 model.depth=2 model.heads=2 model.patch=8 head.hidden=12 head.bottleneck=6 head.prototypes=10 " +
      "views.globals.size=32 views.locals.count=0 optim.batch=2";
    const words = ["pretrain", "--init", "vit-tiny-test", "--set", ...settings.split(" ")];
    const began = odis([...words, "--steps", "1", "--data", `coco:${photos}`, "--out", "new"], at);
    expect(began.stderr).toContain("starts from vit-tiny-test: 38 of 39 weights are the file's");
    expect(began.code).toBe(0);
  });

  it("is evaluated in a run folder of its name, which is made once", () => {
    const at = { cwd: scratch() };
    const words = [
      "evaluate",
      "vit-tiny-test",
      "--train",
      `coco:${photos}`,
      "--baselines",
      "no",
      "--k",
      "1",
    ];
    const first = odis(words, at);
    expect(first.stderr).toContain(
      "vit-tiny-test comes with odis; made it a run in ./vit-tiny-test\n",
    );
    expect(first.code).toBe(0);
    const evaluation = join(scratch(), "vit-tiny-test", "evaluation.json");
    expect(JSON.parse(readFileSync(evaluation, "utf8"))).toMatchObject({ step: 7 });
    const again = odis(words, at);
    expect(again.stderr).not.toContain("comes with odis");
    expect(again).toMatchObject({ code: 0, stdout: first.stdout });
  });

  it("stands behind what lies at a path of that name", () => {
    const here = join(scratch(), "vit-tiny-test");
    mkdirSync(here);
    const { code, stderr } = odis(["export", "vit-tiny-test", "net.onnx"], { cwd: scratch() });
    expect({ code, stderr }).toMatchObject({ code: 4 });
    expect(stderr).toMatch(/^odis export: .*vit-tiny-test/);
  });

  it("is offered where a name is nearly one", () => {
    expect(() => load("vit-tiny-tset")).toThrow(
      "vit-tiny-tset does not exist; wanted a run folder, a checkpoint, a file of odis export --format odis, " +
        "or one of vit-mini-quads, vit-mini-scenes, vit-tiny-test. Did you mean vit-tiny-test?",
    );
    expect(odis(["evaluate", "vit-tiny"]).stderr).toBe(
      "odis evaluate: RUN vit-tiny: wanted a folder that exists, or one of the networks vit-mini-quads, vit-mini-scenes, vit-tiny-test\n",
    );
  });
});

describe("vit-mini-scenes, which comes with odis", () => {
  it("tells things in scenes apart better than its own weights at random", async () => {
    const made = odis(
      ["scenes", "scenes", "--train", "120", "--test", "40", "--objects", "2,4"].concat([
        "--scale",
        ".35,.55",
        "--tint",
        ".15",
        "--background",
        ".15",
      ]),
      { cwd: scratch() },
    );
    expect(made.code).toBe(0);
    const words = ["evaluate", "vit-mini-scenes", "--mode", "crop-mask", "--baselines", "yes"];
    const sets = ["--train", "coco:scenes/train", "--test", "coco:scenes/test"];
    expect(odis([...words, ...sets], { cwd: scratch() }).code).toBe(0);
    const { measurements } = JSON.parse(
      readFileSync(join(scratch(), "vit-mini-scenes", "evaluation.json"), "utf8"),
    ) as { measurements: { name: string; value: number; low: number }[] };
    const [trained, untrained] = ["trained", "untrained"].map((whose) =>
      measurements.find(({ name }) => name === `${whose}/object/crop-mask/knn20/top1`),
    );
    // 67.1 and 25.8 per cent with a bank of 6,016 objects; here it has some 360.
    expect(trained!.low).toBeGreaterThan(untrained!.value);
  });
});

describe("a file that odis exported", () => {
  /** The file with other texts in its header. */
  const changed = (change: Readonly<Record<string, string>>): string => {
    const from = shippedFile("vit-tiny-test")!;
    const path = join(scratch(), "changed.safetensors");
    using file = openSafetensors(from);
    const tensors = [...readSafetensors(from)].map(([name, { data, ...info }]) => ({
      name,
      ...info,
      data: () => data,
    }));
    writeSafetensors(path, tensors, { ...file.metadata, ...change });
    return path;
  };
  const recipeWith = (part: string, values: object): string => {
    using file = openSafetensors(shippedFile("vit-tiny-test")!);
    const recipe = JSON.parse(file.metadata["odis.recipe"]!) as Record<string, object>;
    return JSON.stringify({ ...recipe, [part]: { ...recipe[part], ...values } });
  };

  it("loads by its path, too", () => {
    using _scope = tensorScope();
    expect(loadNetwork(shippedFile("vit-tiny-test")!, "teacher").step).toBe(7);
  });

  it("is refused when its recipe is another network's, before that is built", () => {
    const deep = changed({ "odis.recipe": recipeWith("model", { depth: 1_000_000_000 }) });
    expect(() => load(deep)).toThrow("model.depth is 2 in the file and 1000000000 in the recipe");
    const wide = changed({ "odis.recipe": recipeWith("head", { prototypes: 1_000_000_000 }) });
    expect(() => load(wide)).toThrow(
      "changed.safetensors: head.prototypes is 10 by its weights and 1000000000 by its recipe. Export it again.",
    );
  });

  it.each([
    ["no recipe", "", "its recipe is not one of this release"],
    ["no JSON", "{", "its recipe is not one of this release"],
    ["another release's", '{"future":1}', "its recipe is not one of this release"],
  ])("is refused with %s", (_, recipe, message) => {
    expect(() => load(changed({ "odis.recipe": recipe }))).toThrow(message);
  });

  it("is refused for the network that it has not, and when odis did not write it", () => {
    expect(() => loadNetwork(shippedFile("vit-tiny-test")!, "student")).toThrow(
      "model.safetensors: holds the teacher, not the student.",
    );
    const path = join(scratch(), "plain.safetensors");
    const ones = () => Float32Array.of(1, 1);
    writeSafetensors(path, [{ name: "norm.weight", dtype: "float32", shape: [2], data: ones }]);
    expect(() => load(path)).toThrow(
      "plain.safetensors: holds no recipe, so odis export --format odis did not make it. Make it a run: odis import.",
    );
    writeFileSync(join(scratch(), "text.txt"), "hello");
    expect(() => load(join(scratch(), "text.txt"))).toThrow("the file is torn");
  });
});

describe("the networks in this package", () => {
  it("are small, in half precision, described, and load", () => {
    delete process.env["ODIS_WEIGHTS"];
    const place = new URL("../../weights/", import.meta.url).pathname;
    for (const name of shippedNames()) {
      const file = shippedFile(name)!;
      expect(statSync(file).size, name).toBeLessThanOrEqual(2_000_000);
      expect(existsSync(join(place, name, "README.md")), `${name}'s card`).toBe(true);
      using opened = openSafetensors(file);
      for (const tensor of opened.names) expect(opened.info(tensor).dtype).toBe("float16");
      using teacher = load(name);
      expect(teacher.width).toBeGreaterThan(0);
    }
    // Nothing lies there that has no name.
    const found = existsSync(place) ? readdirSync(place) : [];
    expect(found.toSorted()).toEqual(shippedNames());
  });
});
