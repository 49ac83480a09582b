import { existsSync } from "node:fs";
import { ConfigError, loadConfigFile, nearest } from "../core/index.js";
import { checkPlan, type Plan, type PlanInput } from "./plan.js";

/** For CPUs: the smallest network, and how its training crops magnify what evaluation looks at. */
const small = {
  common: { recipe: "odis", model: "vit-mini" },
  evaluate: { suite: ["knn", "linear", "dense"], size: 80, limit: 2000, epochs: 30 },
} satisfies Partial<PlanInput>;

const teacherTemperature = (value: number) => {
  const constant = { start: value, end: value, warmupEpochs: 0 };
  return { "loss.teacherTemperature": constant, "loss.patchTemperature": constant };
};

const movedBoxes = [0.9, 0.7, 0.5, 0.3].map((iou) => ({
  name: `iou-${iou}`,
  note: `boxes moved and scaled until they overlap with the true ones by ${iou}`,
  set: { "views.masks.kind": "box", "views.masks.iou": iou },
}));

/** The comparisons that come with odis. */
export const plans: readonly PlanInput[] = [
  {
    ...small,
    name: "main",
    title: "ODIS beside the systems it comes from",
    rows: [
      { name: "dino", recipe: "dino", note: "[CLS] of whole images" },
      { name: "ibot", recipe: "ibot", note: "[CLS] of whole images and hidden patches" },
      { name: "odis-crop", recipe: "odis-crop", note: "object-aware crops only" },
      { name: "odis-mask", recipe: "odis-mask", note: "masked attention only" },
      { name: "odis", recipe: "odis", note: "both: the paper’s method" },
    ],
    reference: "ibot",
    lines: [
      { name: "iBOT", row: "ibot", inference: "none" },
      { name: "iBOT + masks", row: "ibot", inference: "mask" },
      { name: "ODIS", row: "odis", inference: "none" },
      { name: "ODIS + masks", row: "odis", inference: "mask" },
    ],
  },
  {
    ...small,
    name: "ablation",
    title: "What ODIS is made of",
    rows: [
      { name: "odis", note: "the object is chosen by its area" },
      { name: "odis-crop", recipe: "odis-crop", note: "object-aware crops only" },
      { name: "odis-mask", recipe: "odis-mask", note: "masked attention only" },
      {
        name: "odis-isolated",
        recipe: "odis-isolated",
        note: "the object’s patches see each other alone",
      },
      { name: "odis-cls", recipe: "odis-cls", note: "with a [CLS] and its loss" },
      { name: "odis-pool", recipe: "odis-pool", note: "mean of the object’s patches for [OBJ]" },
      {
        name: "uniform",
        set: { "views.object.choose": "uniform" },
        note: "every object has the same chance",
      },
      {
        name: "largest",
        set: { "views.object.choose": "largest" },
        note: "always the largest object",
      },
    ],
  },
  {
    ...small,
    name: "locals",
    title: "Objects in local views",
    common: { ...small.common, set: { "views.locals.count": 4 } },
    rows: [
      { name: "odis", note: "plain local views, where [OBJ] sees everything" },
      {
        name: "aware",
        set: { "views.locals.aware": true },
        note: "local views are drawn until the object is in them",
      },
      {
        name: "masked",
        set: { "views.locals.masked": true },
        note: "in local views, too, [OBJ] sees the object only",
      },
      {
        name: "aware-masked",
        set: { "views.locals.aware": true, "views.locals.masked": true },
        note: "both",
      },
    ],
  },
  {
    ...small,
    name: "masks",
    title: "How good masks must be",
    note: "Masks of training only; evaluation has the true ones.",
    rows: [
      { name: "truth", note: "as annotated" },
      { name: "box", set: { "views.masks.kind": "box" }, note: "boxes round the true masks" },
      ...movedBoxes,
      {
        name: "missing",
        set: { "views.masks.missing": 0.5 },
        note: "half of the objects are overlooked",
      },
      {
        name: "false",
        set: { "views.masks.false": 1 },
        note: "one false box an image on average",
      },
      { name: "none", set: { "views.masks.kind": "none" }, note: "no objects at all" },
      { name: "ibot", recipe: "ibot", note: "a method that needs no objects" },
    ],
  },
  {
    ...small,
    name: "sensitivity",
    title: "How much single settings matter",
    rows: [
      {
        name: "odis",
        note: "teacher temperature .025, teacher average .95, hidden 0 or .1 to .5, one head",
      },
      ...[0.015, 0.04, 0.07].map((value) => ({
        name: `temperature-${value}`,
        set: teacherTemperature(value),
      })),
      ...[0.9, 0.98, 0.996].map((value) => ({
        name: `average-${value}`,
        set: { "teacher.momentum.start": value },
      })),
      {
        name: "hidden-less",
        set: { "views.hidden.ratio": [0, 0.15], "views.hidden.variance": [0, 0.1] },
        note: "hidden 0 or .05 to .25",
      },
      {
        name: "hidden-more",
        set: { "views.hidden.ratio": [0, 0.5], "views.hidden.variance": [0, 0.2] },
        note: "hidden 0 or .3 to .7",
      },
      {
        name: "hidden-always",
        set: { "views.hidden.ratio": [0.3], "views.hidden.variance": [0.2] },
        note: "hidden .1 to .5 in every global view",
      },
      {
        name: "heads-prototypes",
        set: { "head.share": "mlp" },
        note: "prototypes of their own for [OBJ] and patches",
      },
      {
        name: "heads-untied",
        set: { "head.share": "none" },
        note: "a head for [OBJ] and one for patches",
      },
    ],
  },
  {
    ...small,
    name: "multi",
    title: "Several objects in one pass",
    common: { ...small.common, set: { "views.locals.count": 2 } },
    rows: [
      { name: "odis", note: "one object a pass" },
      { name: "multi-2", recipe: "odis-multi", set: { "views.object.count": 2 } },
      { name: "multi-4", recipe: "odis-multi", set: { "views.object.count": 4 } },
      {
        name: "multi-4-each",
        recipe: "odis-multi",
        set: {
          "views.object.count": 4,
          "model.objectEmbedding": "each",
          "model.objectPosition": "each",
        },
        note: "each [OBJ] has an embedding and a position of its own",
      },
      {
        name: "multi-4-separate",
        recipe: "odis-multi",
        set: { "views.object.count": 4, "model.objectAttention": "separate" },
        note: "patches of one object do not see the [OBJ] of another",
      },
      {
        name: "multi-4-unmasked",
        recipe: "odis-multi",
        set: { "views.object.count": 4, "views.locals.masked": false },
        note: "every [OBJ] sees the same local views",
      },
    ],
  },
];

/**
 * A built-in plan by its name, or one from a JSON file.
 *
 * @throws ConfigError one line for each problem
 */
export function loadPlan(nameOrFile: string): Plan {
  const builtIn = plans.find((plan) => plan.name === nameOrFile);
  if (builtIn) return checkPlan({ source: `plan ${nameOrFile}`, values: builtIn });
  if (existsSync(nameOrFile)) return checkPlan(loadConfigFile(nameOrFile));
  const names = plans.map((plan) => plan.name);
  const close = nearest(nameOrFile, names);
  throw new ConfigError(
    `plan ${nameOrFile}: there is no such plan and no such file; wanted one of ${names.join(", ")}, ` +
      `or a JSON file${close === undefined ? "" : `. Did you mean ${close}?`}`,
  );
}
