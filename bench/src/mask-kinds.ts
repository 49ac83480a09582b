import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runStages, type Stage } from "./stages.js";

const usage = `npm run masks:train -- [options]

Trains ODIS on scenes with each kind of mask (people's, boxes, none, regions of alike colour, cuts of an iBOT
warm-up's features) and evaluates all with the true masks: odis scenes, pretrain, masks, compare, one after the
other. Run again to go on after an interruption.

  --out FOLDER    everything, default runs/mask-kinds
  --steps N       of each row, default 1500
  --warmup N      of iBOT, which cuts need, default 1500
  --train N       scenes to train on, default 3000
  --test N        scenes to evaluate on, default 1000
  --batch N       images in a step, default 64
  --seeds N       of each row, default 1
  --rows A,B      only these of truth, boxes, none, regions, cuts
  --threads N     of the engine in training and evaluation, default all cores
  --limit N       images read of each data set in evaluation, default 2000
  --help`;

const { values } = parseArgs({
  options: {
    out: { type: "string", default: "runs/mask-kinds" },
    steps: { type: "string", default: "1500" },
    warmup: { type: "string", default: "1500" },
    train: { type: "string", default: "3000" },
    test: { type: "string", default: "1000" },
    batch: { type: "string", default: "64" },
    seeds: { type: "string", default: "1" },
    rows: { type: "string" },
    threads: { type: "string" },
    limit: { type: "string", default: "2000" },
    help: { type: "boolean", default: false },
  },
});

/** The same scenes as those that makers of masks were measured on, more of them. */
const scenes = "--objects 2,4 --scale 0.35,0.55 --tint 0.15 --background 0.15".split(" ");

/** @param inOut where a row's masks lie */
const rowsIn = (inOut: (name: string) => string) => [
  { name: "truth", note: "as they were drawn" },
  { name: "boxes", set: { "views.masks.kind": "box" }, note: "boxes round the true masks" },
  { name: "none", set: { "views.masks.kind": "none" }, note: "no objects at all" },
  { name: "regions", masks: inOut("regions.json"), note: "odis masks --with regions" },
  { name: "cuts", masks: inOut("cuts.json"), note: "odis masks --with cuts of an iBOT warm-up" },
];

function stages(): readonly Stage[] {
  const { steps, warmup, train, test, batch, seeds, limit } = values;
  const out = resolve(values.out);
  const inOut = (name: string): string => join(out, name);
  const [training, testing] = [`coco:${inOut("scenes/train")}`, `coco:${inOut("scenes/test")}`];
  mkdirSync(out, { recursive: true });
  writeFileSync(
    inOut("plan.json"),
    JSON.stringify({
      name: "mask-kinds",
      title: "Training on each kind of mask",
      note: "Masks of training only; evaluation has the true ones.",
      common: { recipe: "odis", model: "vit-mini" },
      rows: rowsIn(inOut),
      evaluate: { suite: ["knn"], size: 80 },
    }),
  );
  const wanted = values.rows?.split(",");
  const has = (row: string): boolean => wanted?.includes(row) ?? true;
  const masks = (name: string, maker: string, ...more: string[]): readonly Stage[] => [
    {
      title: `masks of ${name}`,
      words: ["masks", training, "--with", maker, "--out", inOut(`${name}.json`), ...more],
    },
    {
      title: `${name} beside the true masks`,
      words: ["masks", "evaluate", inOut(`${name}.json`), training],
    },
  ];
  const engine = values.threads === undefined ? [] : ["--threads", values.threads];
  const length = [...engine, "--batch", batch, "--steps"];
  return [
    {
      title: "scenes",
      words: ["scenes", inOut("scenes"), "--train", train, "--test", test, ...scenes],
    },
    ...(has("regions") ? masks("regions", "regions") : []),
    ...(has("cuts")
      ? [
          {
            title: "iBOT, which knows no objects",
            words: ["pretrain", "--data", training, "--out", inOut("warm-up"), "--recipe", "ibot"]
              .concat("--model", "vit-mini")
              .concat(...length, warmup),
          },
          // A cut's matrices are small: on a busy machine two threads wait for each other most of the time.
          ...masks("cuts", `cuts:${inOut("warm-up")}`, "--size", "80", "--threads", "1"),
        ]
      : []),
    {
      title: "ODIS on each",
      words: ["compare", inOut("plan.json"), "--train", training, "--test", testing]
        .concat("--out", inOut("compare"), "--seeds", seeds, "--limit", limit, ...length, steps)
        .concat(wanted ? ["--rows", wanted.join()] : []),
    },
  ];
}

function main(): number {
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const known = rowsIn(String).map(({ name }) => name);
  const unknown = values.rows?.split(",").find((name) => !known.includes(name));
  if (unknown !== undefined) {
    console.error(
      `masks:train: --rows: got ${JSON.stringify(unknown)}, wanted some of ${known.join(",")}`,
    );
    return 2;
  }
  return runStages(stages());
}

process.exitCode = main();
