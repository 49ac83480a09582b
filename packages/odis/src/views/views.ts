import type { Sample } from "../data/sample.js";
import type { Rng } from "../rng.js";
import type { ViewConfig } from "./config.js";
import { hidePatches } from "./hidden.js";
import { drawGeometry, drawGlobalCrops } from "./object-crop.js";
import { changeColors } from "./photometric.js";
import { type Geometry, resampleBicubic } from "./resample.js";

/** Where a local view's pixels go: planar 3 × size × size bytes, not yet normalised. */
export interface PixelSlot {
  readonly pixels: Uint8Array;
}

/** Where a global view goes; the patch grids are [size/patch, size/patch], row-major. */
export interface ViewSlot extends PixelSlot {
  /** 1 = the object's token may look at the patch; all 0 where the object is not present. */
  readonly visible: Uint8Array;
  /** 1 = the student must guess the patch. */
  readonly hidden: Uint8Array;
}

/** One slot per view, as many as the configuration asks for. */
export interface ViewSlots {
  readonly global: readonly ViewSlot[];
  readonly local: readonly PixelSlot[];
}

/** What was drawn, for the batch, the run's statistics and the explorer. */
export interface ViewReport {
  /** Index into the sample's objects, -1 when none was large enough. */
  readonly object: number;
  /** Per global view: whether the object is in it. */
  readonly present: readonly boolean[];
  /** Per global view: crops drawn, the one that stayed included. */
  readonly tries: readonly number[];
  readonly global: readonly Geometry[];
  readonly local: readonly Geometry[];
}

/**
 * Makes all views of one image (method section 1): places first, then pixels and colours, hidden
 * patches last, so that a change of colour or hiding never moves a crop.
 *
 * @param patch side of a patch in pixels; divides the view sizes (see `checkViewSizes`)
 * @param rng decides everything; the same stream gives the same views
 * @param into overwritten; may lie in shared memory
 */
export function makeViews(
  sample: Sample,
  config: ViewConfig,
  patch: number,
  rng: Rng,
  into: ViewSlots,
): ViewReport {
  checkSlots(config, patch, into);
  const visible = into.global.map((slot) => slot.visible);
  const { object, views } = drawGlobalCrops(sample, config, patch, rng, visible);
  const local = into.local.map(() => drawGeometry(sample, config.locals, config, rng));

  for (const [index, { geometry }] of views.entries()) {
    const { pixels } = into.global[index]!;
    resampleBicubic(sample, geometry, config.globals.size, pixels);
    changeColors(pixels, config.globals.size, config.color, index === 0 ? "first" : "other", rng);
  }
  for (const [index, geometry] of local.entries()) {
    const { pixels } = into.local[index]!;
    resampleBicubic(sample, geometry, config.locals.size, pixels);
    changeColors(pixels, config.locals.size, config.color, "local", rng);
  }
  const side = config.globals.size / patch;
  for (const { hidden } of into.global) hidePatches(config.hidden, side, side, rng, hidden);

  return {
    object,
    present: views.map((view) => view.present),
    tries: views.map((view) => view.tries),
    global: views.map((view) => view.geometry),
    local,
  };
}

/** The caller lays out the batch: a slot of the wrong size would silently shift its neighbours. */
function checkSlots({ globals, locals }: ViewConfig, patch: number, into: ViewSlots): void {
  const patches = (globals.size / patch) ** 2;
  const fits =
    into.global.length === globals.count &&
    into.local.length === locals.count &&
    into.local.every(({ pixels }) => pixels.length === 3 * locals.size ** 2) &&
    into.global.every(
      ({ pixels, visible, hidden }) =>
        pixels.length === 3 * globals.size ** 2 &&
        visible.length === patches &&
        hidden.length === patches,
    );
  if (!fits) {
    throw new Error(
      `internal: view slots do not fit ${globals.count} global views of ${globals.size} px in ` +
        `${patches} patches and ${locals.count} local views of ${locals.size} px`,
    );
  }
}
