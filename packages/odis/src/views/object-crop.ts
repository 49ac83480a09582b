import type { Cut } from "@odis/torch/images";
import { type Box, chooseObject, chooseObjects, weightsBy } from "../objects/index.js";
import type { Rng } from "../core/index.js";
import type { CropConfig, ViewConfig } from "./config.js";
import type { Sample } from "../data/index.js";
import { drawCropBox, ExactCrops } from "./crop-box.js";
import { ViewedObject } from "./viewed-object.js";

/** One view's place in the image. */
export interface Crop {
  readonly geometry: Cut;
  /** Crops drawn for it, the one that stayed included. */
  readonly tries: number;
}

/** What a view shows of the O objects; rows beyond the objects that there are stay 0. */
export interface ShownObjects {
  /** [O, patches]: 1 = the object's token may look at the patch; all 0 where it is not present */
  readonly visible?: Uint8Array;
  /** [O] */
  readonly present: Uint8Array;
}

export interface Crops {
  /** The objects that the views are about, as indices into the sample's, at most O. */
  readonly objects: readonly number[];
  readonly global: readonly Crop[];
  readonly local: readonly Crop[];
}

/** The rule `first-view`: a region above this share of the first view, sought so often ... */
const LINEAGE_SHARE = 0.04;
const LINEAGE_FIRST_TRIES = 10;
/** ... then one pixel of it in every other view, sought so often. */
const LINEAGE_OTHER_TRIES = 20;

/**
 * Draws the views of an image so that they show the same objects (method section 1).
 *
 * - `redraw`: the objects are chosen first; each global crop is drawn again until all of them are
 *   present (each with at least one visible patch and `minVisible` of the view), at most `tries`
 *   times. Then the crop with most of them stays, of equal ones the last.
 * - `exact`: what `redraw` would give with endless patience, drawn directly (see {@link ExactCrops});
 *   of several objects it is the first that must be present, the others are as they fall. Where no
 *   crop can show the object a plain one is taken, as when `redraw` gives up.
 * - `first-view`: the published follow-up code, for one object. The first crop is drawn until any object
 *   covers enough of it, and the object is chosen from those; the others until they hold one pixel
 *   of it. After the last try a fresh crop is taken, without an object.
 * - `off`: the objects are chosen, crops are plain, presence is as it falls.
 *
 * Local crops are plain and count as showing every chosen object, unless they are `aware` (drawn as
 * under `exact` if global ones are, else as under `redraw`) or `masked`; then presence is as it falls, because a token that sees nothing of
 * its object has nothing to learn from.
 *
 * @param into one per view, overwritten
 */
export function drawCrops(
  sample: Sample,
  config: ViewConfig,
  patch: number,
  rng: Rng,
  into: { readonly global: readonly ShownObjects[]; readonly local: readonly ShownObjects[] },
): Crops {
  const viewed = sample.objects.map(
    (object) => new ViewedObject(object, sample, patch, config.visible),
  );
  const drawing: Drawing = { sample, config, rng };
  const { crop } = config.object;
  const { objects, crops } =
    crop === "first-view"
      ? firstViewCrops(drawing, viewed, into.global)
      : objectCrops(drawing, viewed, crop, into.global);
  const chosen = objects.map((index) => viewed[index]!);
  return { objects, global: crops, local: into.local.map(localCrops(drawing, chosen)) };
}

interface Drawing {
  readonly sample: Sample;
  readonly config: ViewConfig;
  readonly rng: Rng;
}

type CropRule = Exclude<ViewConfig["object"]["crop"], "first-view">;

interface GlobalCrops {
  readonly objects: readonly number[];
  readonly crops: readonly Crop[];
}

function objectCrops(
  drawing: Drawing,
  viewed: readonly ViewedObject[],
  rule: CropRule,
  into: readonly ShownObjects[],
): GlobalCrops {
  const { sample, config, rng } = drawing;
  const least = config.object.minArea * sample.width * sample.height;
  const objects = chooseObjects(viewed, config.object, least, rng);
  const chosen = objects.map((index) => viewed[index]!);
  const crops = into.map(cropsOf(drawing, chosen, config.globals, rule));
  return { objects, crops };
}

function firstViewCrops(
  { sample, config, rng }: Drawing,
  viewed: readonly ViewedObject[],
  into: readonly ShownObjects[],
): GlobalCrops {
  const { size } = config.globals;
  const draw = () => drawGeometry(sample, config.globals, config, rng);
  const weights = weightsBy(config.object.weigh, viewed);
  let object = -1;
  const first = (geometry: Cut, shown: ShownObjects) => {
    const areas = viewed.map((one) => one.count(geometry, size));
    const candidates = areas.map((area) => (area > LINEAGE_SHARE * size ** 2 ? area : 0));
    object = chooseObject(candidates, config.object.choose, 0, rng, weights);
    return show(viewed.slice(object, object + 1), geometry, size, LINEAGE_SHARE, shown);
  };
  const other = (geometry: Cut, shown: ShownObjects) =>
    show([viewed[object]!], geometry, size, 0, shown);
  const crops = into.map((shown, index): Crop => {
    clear(shown);
    if (index > 0 && object < 0) return { geometry: draw(), tries: 1 };
    const [accept, tries] =
      index === 0
        ? ([first, LINEAGE_FIRST_TRIES] as const)
        : ([other, LINEAGE_OTHER_TRIES] as const);
    const drawn = drawUntil(draw, (geometry) => accept(geometry, shown), 1, tries);
    return shown.present[0] ? drawn : { geometry: draw(), tries: drawn.tries };
  });
  return { objects: into[0]?.present[0] ? [object] : [], crops };
}

function localCrops(
  drawing: Drawing,
  chosen: readonly ViewedObject[],
): (shown: ShownObjects) => Crop {
  const { sample, config, rng } = drawing;
  const { locals, object } = config;
  if (locals.aware)
    return cropsOf(drawing, chosen, locals, object.crop === "exact" ? "exact" : "redraw");
  if (locals.masked) return cropsOf(drawing, chosen, locals, "off");
  return (shown) => {
    clear(shown);
    shown.present.fill(1, 0, chosen.length);
    return { geometry: drawGeometry(sample, locals, config, rng), tries: 1 };
  };
}

/** How views of one kind are drawn so that they show the objects. */
function cropsOf(
  { sample, config, rng }: Drawing,
  chosen: readonly ViewedObject[],
  crops: CropConfig,
  rule: CropRule,
): (shown: ShownObjects) => Crop {
  const { tries, minVisible } = config.object;
  const { size } = crops;
  const plain = () => drawGeometry(sample, crops, config, rng);
  const accept = (shown: ShownObjects) => (geometry: Cut) =>
    show(chosen, geometry, size, minVisible, shown);
  const drawn = (shown: ShownObjects) =>
    drawUntil(plain, accept(shown), chosen.length, rule === "redraw" ? tries : 1);
  const [first] = chosen;
  if (rule !== "exact" || !first) return drawn;

  const least = Math.max(1, minVisible * size ** 2);
  const covers = (box: Box) => first.covers(box, size, least);
  const exact = new ExactCrops(sample, crops, { box: first.box, size, least }, covers);
  return (shown) => {
    const found = exact.draw(rng, (box) => {
      if (!covers(box)) return undefined;
      const geometry = { box, flip: rng.bool(config.flip) };
      accept(shown)(geometry);
      return shown.present[0] ? geometry : undefined;
    });
    return found ? { geometry: found.crop, tries: found.looks } : drawn(shown);
  };
}

/**
 * Writes down which objects a crop shows.
 *
 * @param least share of the view that an object must cover to be present
 * @returns how many are present
 */
function show(
  chosen: readonly ViewedObject[],
  geometry: Cut,
  size: number,
  least: number,
  shown: ShownObjects,
): number {
  const { visible, present } = shown;
  clear(shown);
  for (const [o, look] of chosen.entries()) {
    const row = (visible?.length ?? 0) / present.length;
    const patches = visible?.subarray(o * row, (o + 1) * row);
    present[o] = Number(look.mark(geometry, size, least * size ** 2, patches));
  }
  return present.reduce((sum, bit) => sum + bit, 0);
}

function clear({ visible, present }: ShownObjects): void {
  visible?.fill(0);
  present.fill(0);
}

/**
 * Draws crops until one shows all objects; if none does, the one with most of them stays, of equal
 * ones the last.
 *
 * @param accept returns how many objects the crop shows
 */
function drawUntil(
  draw: () => Cut,
  accept: (geometry: Cut) => number,
  wanted: number,
  tries: number,
): Crop {
  let [best, most] = [draw(), -1];
  for (let attempt = 1, geometry = best; ; attempt += 1, geometry = draw()) {
    const found = accept(geometry);
    if (found >= most) [best, most] = [geometry, found];
    if (most < wanted && attempt < tries) continue;
    if (best !== geometry) accept(best); // what it shows was overwritten since
    return { geometry: best, tries: attempt };
  }
}

/** A random crop box and whether to mirror it. */
function drawGeometry(
  { width, height }: Pick<Sample, "width" | "height">,
  crops: CropConfig,
  { flip }: Pick<ViewConfig, "flip">,
  rng: Rng,
): Cut {
  return { box: drawCropBox(width, height, crops, rng), flip: rng.bool(flip) };
}
