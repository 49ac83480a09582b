import { z } from "zod";
import { ConfigError, number, range, renamed, whole } from "../core/index.js";

function chance(meaning: string) {
  return number(0, 1, `the chance of ${meaning}`);
}

/** Smallest share of an image that a crop may be asked to cover. */
const LEAST_SCALE = 0.0001;

function crops(count: number, size: number, scale: readonly [number, number], least: number) {
  return {
    count: whole(least, 64, "how many views of this kind an image gets").default(count),
    size: whole(1, 4096, "the side of the view in pixels").default(size),
    scale: range(LEAST_SCALE, 1, "the share of the image's area that a crop covers").default(scale),
    aspect: range(0.01, 100, "a crop's width over its height").default([3 / 4, 4 / 3]),
  };
}

/**
 * How good the masks are that training, or an evaluation, gets to see: annotations as they are, or
 * made worse the way a detector's are. The errors belong to the image: every epoch, every run and
 * every seed of a recipe meets the same ones. Read by `degradeObjects`.
 */
export const maskConfig = z
  .strictObject({
    /** `truth`: as annotated; `box`: each mask filled up to its box; `none`: no objects at all */
    kind: z.enum(["truth", "box", "none"]).default("truth"),
    /** Boxes are moved and scaled until they overlap with the true ones that much. */
    iou: number(0.1, 1, "a box's intersection over union with the true box").default(1),
    missing: chance("an object being overlooked").default(0),
    /** Objects that their detector was less sure of are left out; people are sure. */
    minScore: number(0, 1, "the least score of an object").default(0),
    /** Boxes where nothing was annotated; they have no label. */
    false: number(0, 100, "the expected number of false boxes in an image").default(0),
    /** Another seed makes other mistakes of the same kind. */
    seed: whole(0, Number.MAX_SAFE_INTEGER, "which mistakes are made").default(0),
  })
  .readonly()
  .refine(({ kind, iou }) => kind === "box" || iou === 1, {
    error: 'wanted 1 unless views.masks.kind is "box": only boxes can be moved',
    path: ["iou"],
  })
  .refine(({ kind, missing, false: spurious }) => kind !== "none" || missing + spurious === 0, {
    error: 'wanted another kind with views.masks.missing or .false: "none" leaves no objects',
    path: ["kind"],
  })
  .prefault({});

export type MaskConfig = z.output<typeof maskConfig>;

/**
 * How an image becomes views. Defaults are the method's published values; where the paper is
 * silent they are iBOT's, which it builds on. Read by {@link planViews}.
 */
export const viewConfig = z
  .strictObject({
    /**
     * Who cuts, resizes and recolours: the data workers, to the same bytes as Pillow; or the device that
     * trains, of pictures that workers decode, to nearly the same (`augment/`), where cores cannot keep up.
     */
    drawnBy: z.enum(["workers", "device"]).default("workers"),
    globals: z
      .strictObject(crops(2, 224, [0.25, 1], 1))
      .readonly()
      .prefault({}),
    /**
     * Small views count as showing every object of the image (published), unless one of the two
     * switches is on: then those that are in them.
     */
    locals: z
      .strictObject({
        ...crops(10, 96, [0.05, 0.25], 0),
        /** [OBJ] looks at its visible patches only, as in global views */
        masked: z.boolean().default(false),
        /** drawn so that the objects are present: as global views under `exact`, else under `redraw` */
        aware: z.boolean().default(false),
      })
      .readonly()
      .prefault({}),
    /** Chance of mirroring a view left to right. */
    flip: chance("mirroring a view").default(0.5),
    masks: maskConfig,
    object: z
      .strictObject({
        /** `area`: by mask area, `uniform`: equal chances, `largest`: always the largest */
        choose: z.enum(["area", "uniform", "largest"]).default("area"),
        /** `score`: the chance is multiplied by how sure the detector was that found the object */
        weigh: z.enum(["none", "score"]).default("none"),
        /** Chosen one after the other; an image with fewer leaves the rest of its rows empty. */
        count: whole(1, 16, "how many objects the views of an image are about").default(1),
        overlap: number(
          0,
          1,
          "the largest intersection over union of two chosen objects' masks",
        ).default(0.3),
        /** Smaller objects are not chosen: at the default a crop at the smallest scale that holds all of it just reaches `minVisible`. */
        minArea: number(0, 1, "the least share of the image that an object covers").default(0.0025),
        /** `redraw`: until the object is present; `exact`: the same with endless patience; `first-view`: the object is one that the first view shows, as in the published follow-up code; `off`: plain random crops */
        crop: renamed(z.enum(["redraw", "exact", "first-view", "off"]), {
          lineage: "first-view",
        }).default("redraw"),
        tries: whole(1, 1000, "how often a crop is drawn at most").default(20),
        /** Present means at least this share of the view is object. */
        minVisible: number(0, 1, "the least share of a view that is object").default(0.01),
      })
      .readonly()
      .refine(({ crop, count }) => crop !== "first-view" || count === 1, {
        error: "wanted 1 with views.object.crop first-view, which knows one object",
        path: ["count"],
      })
      .prefault({}),
    visible: z
      .strictObject({
        /** `any`: one object pixel in the patch; `coverage`: a share of it; `boxes`: rectangles round connected groups */
        rule: renamed(z.enum(["any", "coverage", "boxes"]), { lineage: "boxes" }).default("any"),
        coverage: number(0, 1, "the least share of a patch that is object").default(0.5),
        margin: whole(0, 64, "patches added round a rectangle").default(1),
      })
      .readonly()
      .prefault({}),
    hidden: z
      .strictObject({
        /** `block`: rectangles (BEiT); `random`: single patches */
        shape: z.enum(["block", "random"]).default("block"),
        /** `view`: of all patches (published); `object`: of those drawn, only the patches of an object */
        where: z.enum(["view", "object"]).default("view"),
        /** One entry is drawn per view; the view's share of hidden patches is uniform in entry ± its variance. */
        ratio: z
          .array(chance("a patch being hidden"))
          .min(1, "wanted at least one ratio")
          .readonly()
          .default([0, 0.3]),
        variance: z
          .array(number(0, 1, "half the width of a ratio's range"))
          .readonly()
          .default([0, 0.2]),
        aspect: range(0.01, 100, "a block's height over its width").default([0.3, 1 / 0.3]),
      })
      .readonly()
      .refine(({ ratio, variance }) => ratio.length === variance.length, {
        error: "wanted as many variances as ratios",
        path: ["variance"],
      })
      .refine(
        ({ ratio, variance }) =>
          ratio.every(
            (mean, i) => mean - (variance[i] ?? 0) >= 0 && mean + (variance[i] ?? 0) <= 1,
          ),
        { error: "wanted ratio - variance and ratio + variance within 0 to 1", path: ["variance"] },
      )
      .prefault({}),
    color: z
      .strictObject({
        jitter: z
          .strictObject({
            p: chance("changing a view's colours").default(0.8),
            brightness: number(0, 1, "the largest relative change").default(0.4),
            contrast: number(0, 1, "the largest relative change").default(0.4),
            saturation: number(0, 1, "the largest relative change").default(0.2),
            hue: number(0, 0.5, "the largest turn of the colour circle").default(0.1),
          })
          .readonly()
          .prefault({}),
        gray: chance("a view without colour").default(0.2),
        blur: z
          .strictObject({
            /** for the first global view, for the other globals, for locals */
            p: z
              .tuple([
                chance("blurring the first global view"),
                chance("blurring the other global views"),
                chance("blurring a local view"),
              ])
              .readonly()
              .default([1, 0.1, 0.5]),
            radius: range(0, 100, "the blur's standard deviation in pixels").default([0.1, 2]),
          })
          .readonly()
          .prefault({}),
        /** Chance of inverting the bright half of a global view after the first. */
        solarize: chance("solarising a global view after the first").default(0.2),
      })
      .readonly()
      .prefault({}),
  })
  .readonly()
  .prefault({});

export type ViewConfig = z.output<typeof viewConfig>;
export type CropConfig = ViewConfig["globals"];
export type HiddenConfig = ViewConfig["hidden"];
export type ColorConfig = ViewConfig["color"];

/**
 * What the schema cannot know: views are cut into patches without a remainder.
 *
 * @throws ConfigError naming the setting, its value, and the nearest sizes that would do
 */
export function checkViewSizes(config: ViewConfig, patch: number): void {
  for (const kind of ["globals", "locals"] as const) {
    const { count, size } = config[kind];
    if (count === 0 || size % patch === 0) continue;
    const below = Math.floor(size / patch) * patch;
    const options = below > 0 ? `${below} or ${below + patch}` : `${patch}`;
    throw new ConfigError(
      `views.${kind}.size: got ${size}; wanted a multiple of the patch size ${patch}, e.g. ${options}`,
    );
  }
}
