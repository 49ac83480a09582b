import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  loadConfigFile,
  parseSetting,
  resolveConfig,
  settingsLayer,
} from "../../src/core/schema.js";
import { ConfigError } from "../../src/core/errors.js";
import { nearest } from "../../src/core/text.js";
import { recordingProxy } from "../recording-proxy.js";

const schema = z.strictObject({
  seed: z.int().min(0).default(0),
  optim: z
    .strictObject({
      lr: z.number().positive().default(5e-4),
      batch: z.int().min(1).max(4096).default(64),
      decay: z.number().min(0).lt(1).default(0.04),
    })
    .prefault({}),
  loss: z
    .strictObject({
      centering: z.enum(["mean", "sinkhorn"]).default("mean"),
      shared: z.boolean().default(true),
    })
    .readonly()
    .prefault({}),
  views: z
    .strictObject({
      scale: z.tuple([z.number(), z.number()]).default([0.25, 1]),
      ratio: z.array(z.number()).min(1, "wanted at least one ratio").default([0.3]),
      size: z.int().multipleOf(4).default(224),
    })
    .prefault({}),
  data: z
    .union([z.string().min(1), z.strictObject({ images: z.string(), count: z.int() })])
    .optional(),
  source: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("coco"), images: z.string() }),
      z.strictObject({ kind: z.literal("folder") }),
    ])
    .optional(),
});

/** What a user reads who gave these settings in a file and on the command line. */
function problems(file: Record<string, unknown>, ...settings: string[]): readonly string[] {
  try {
    resolveConfig(schema, [{ source: "my.json", values: file }, settingsLayer(settings)]);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}

describe("resolveConfig", () => {
  it("lets later layers win leaf by leaf, and fills in the rest", () => {
    const config = resolveConfig(schema, [
      { source: "recipe", values: { optim: { lr: 1, batch: 8 }, views: { scale: [0.1, 0.2] } } },
      { source: "my.json", values: { optim: { batch: 16 }, seed: 3 } },
      settingsLayer(["optim.batch=32", "views.scale=[0.3,1]"]),
    ]);
    expect(config).toEqual({
      seed: 3,
      optim: { lr: 1, batch: 32, decay: 0.04 },
      loss: { centering: "mean", shared: true },
      views: { scale: [0.3, 1], ratio: [0.3], size: 224 },
    });
  });

  it("freezes every level, and leaves the schema's own defaults alone", () => {
    const config = resolveConfig(schema, []);
    expect(() => Object.assign(config.optim, { lr: 2 })).toThrow(TypeError);
    expect(() => Object.assign(config.views.ratio, [2])).toThrow(TypeError);
    expect(Object.isFrozen(schema.parse({}).views.ratio)).toBe(false);
  });

  it.each([
    [["optim.lr=fast"], '--set: optim.lr: got "fast", wanted a number'],
    [["optim.lr=0"], "--set: optim.lr: got 0, wanted a number greater than 0"],
    [["optim.batch=-3"], "--set: optim.batch: got -3, wanted a number of at least 1"],
    [["optim.batch=2.5"], "--set: optim.batch: got 2.5, wanted a whole number"],
    [["optim.batch=5000"], "--set: optim.batch: got 5000, wanted a number of at most 4096"],
    [["optim.decay=1"], "--set: optim.decay: got 1, wanted a number less than 1"],
    [
      ["loss.centering=sinkhorm"],
      '--set: loss.centering: got "sinkhorm", wanted one of "mean", "sinkhorn". Did you mean "sinkhorn"?',
    ],
    [["loss.shared=yes"], '--set: loss.shared: got "yes", wanted true or false'],
    [["views.ratio=[]"], "--set: views.ratio: got [], wanted at least one ratio"],
    [["views.scale=[1]"], "--set: views.scale: got [1], wanted a list of at least 2 entries"],
    [["views.scale=3"], "--set: views.scale: got 3, wanted a list"],
    [["views.size=225"], "--set: views.size: got 225, wanted a multiple of 4"],
    [["optim=3"], "--set: optim: got 3, wanted an object of settings"],
    [["data=3"], "--set: data: got 3, wanted a text, or an object of settings"],
    [['data={"images":"x","count":"many"}'], '--set: data.count: got "many", wanted a number'],
    [["source.kind=cocoa"], '--set: source.kind: got "cocoa", wanted one of "coco", "folder"'],
    [["source.kind=coco"], "source.images: got nothing, wanted a text"],
    [["optim.lrr=0.1"], "--set: optim.lrr: unknown setting (got 0.1). Did you mean optim.lr?"],
    [["lr=0.1"], "--set: lr: unknown setting (got 0.1). Did you mean optim.lr?"],
    [
      ["loss.temperature=1"],
      "--set: loss.temperature: unknown setting (got 1). Settings of loss are: centering, shared.",
    ],
    [
      ["wholly.unknown=1"],
      '--set: wholly: unknown setting (got {"unknown":1}). Settings are: seed, optim, loss, views, data, source.',
    ],
  ])("explains %j", (settings, sentence) => {
    expect(problems({}, ...settings)).toEqual([sentence]);
  });

  it("names the layer that set the value, and every problem on a line of its own", () => {
    expect(problems({ optim: { lr: -1, batch: 0 }, seeed: 1 }, "optim.batch=0.5")).toEqual([
      "my.json: optim.lr: got -1, wanted a number greater than 0",
      "--set: optim.batch: got 0.5, wanted a whole number",
      "my.json: seeed: unknown setting (got 1). Did you mean seed?",
    ]);
  });

  it("is not fooled by names that objects have by themselves", () => {
    expect(problems({}, "__proto__.polluted=1", "constructor=1").join("\n")).toMatch(
      /__proto__.*unknown setting[\s\S]*constructor: unknown setting/,
    );
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("parseSetting", () => {
  it.each([
    ["optim.lr=1e-3", { optim: { lr: 0.001 } }],
    ["optim.lr=.5", { optim: { lr: 0.5 } }],
    ["seed=7", { seed: 7 }],
    ["a.b=true", { a: { b: true } }],
    ["a=null", { a: null }],
    ["a=text with = sign", { a: "text with = sign" }],
    ['a="7"', { a: "7" }],
    ["a=", { a: "" }],
    ["a=coco:../x", { a: "coco:../x" }],
    ["a=[1, 2]", { a: [1, 2] }],
    ["a=Infinity", { a: "Infinity" }],
  ])("%s", (text, values) => {
    expect(parseSetting(text)).toEqual(values);
  });

  it("refuses what is no setting, or half of a list", () => {
    expect(() => parseSetting("optim.lr")).toThrow(
      new ConfigError("--set optim.lr: wanted path=value, e.g. --set optim.lr=0.001"),
    );
    expect(() => parseSetting("=3")).toThrow(/wanted path=value/);
    expect(() => parseSetting("a..b=3")).toThrow(/wanted path=value/);
    expect(() => parseSetting("views.scale=[0.3,")).toThrow(
      new ConfigError(
        "--set views.scale: got [0.3,, wanted JSON (quote it for the shell: --set 'views.scale=…')",
      ),
    );
  });
});

describe("loadConfigFile", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "config-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (text: string): string => {
    const path = join(folder, "my.json");
    writeFileSync(path, text);
    return path;
  };

  it("reads an object", () => {
    const path = file('{"optim": {"lr": 1}}');
    expect(loadConfigFile(path)).toEqual({ source: path, values: { optim: { lr: 1 } } });
  });

  it("says what is wrong, and in which line", () => {
    expect(() => loadConfigFile(join(folder, "none.json"))).toThrow(
      /none\.json: cannot be read \(ENOENT.*\)\. Give --config a JSON file/,
    );
    expect(() => loadConfigFile(file('{\n  "optim": {,}\n}'))).toThrow(
      /^config file \S+my\.json is not JSON: unexpected "," at line 2, column 13$/,
    );
    expect(() => loadConfigFile(file("[1]"))).toThrow(/got a list, wanted an object of settings/);
    expect(() => loadConfigFile(file("3"))).toThrow(/got 3, wanted an object of settings/);
  });
});

describe("nearest", () => {
  it("finds a slip, a swap and a missing letter, but no other word", () => {
    const known = ["batch", "epochs", "workers"];
    expect(nearest("bathc", known)).toBe("batch");
    expect(nearest("epoch", known)).toBe("epochs");
    expect(nearest("Worker", known)).toBe("workers");
    expect(nearest("colour", known)).toBeUndefined();
    expect(nearest("", known)).toBeUndefined();
  });
});

describe("recordingProxy", () => {
  it("lists leaves that nobody read", () => {
    const { config, unread } = recordingProxy(resolveConfig(schema, []));
    expect(unread()).toEqual([
      "seed",
      "optim.lr",
      "optim.batch",
      "optim.decay",
      "loss.centering",
      "loss.shared",
      "views.scale",
      "views.ratio",
      "views.size",
    ]);
    const { optim } = config;
    expect(optim.lr + optim.batch + config.seed + config.views.scale[1]).toBeGreaterThan(0);
    expect(unread()).toEqual([
      "optim.decay",
      "loss.centering",
      "loss.shared",
      "views.ratio",
      "views.size",
    ]);
  });
});
