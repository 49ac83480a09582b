import { type Cut, drawView } from "@odis/torch/images";
import type { Sample } from "../data/index.js";
import type { SceneObject } from "../objects/index.js";
import type { Rng } from "../core/index.js";
import type { ViewConfig } from "./config.js";
import { hidePatches } from "./hidden.js";
import { degradeObjects } from "./degrade.js";
import { drawCrops } from "./object-crop.js";
import { drawColors, type ViewKind } from "./color.js";

/** Planar RGB: bytes 0..255 as the loader makes them, or floats that are normalised already. */
export type Pixels = Uint8Array | Float32Array;

/** Where a view goes. With n = (size / patch)² patches in rows, and O rows for objects: */
interface PixelSlot {
  /** planar 3 × size × size bytes, not yet normalised */
  readonly pixels: Uint8Array;
  /**
   * [O], 1 = the object is in the view. A local view counts as showing every object that there is
   * unless `views.locals` says `masked` or `aware`.
   */
  readonly present: Uint8Array;
}

export interface GlobalSlot extends PixelSlot {
  /** [O, n], 1 = the object's token may look at the patch; all 0 where the object is not present. */
  readonly visible: Uint8Array;
  /** [n], 1 = the student must guess the patch. */
  readonly hidden: Uint8Array;
}

export interface LocalSlot extends PixelSlot {
  /** [O, n]; wanted if and only if `views.locals.masked` */
  readonly visible?: Uint8Array;
}

/** One slot per view, as many as the configuration asks for. */
export interface ViewSlots {
  readonly global: readonly GlobalSlot[];
  readonly local: readonly LocalSlot[];
}

/** Slots in memory of their own, O = `views.object.count`. */
export function newViewSlots({ globals, locals, object }: ViewConfig, patch: number): ViewSlots {
  const bytes = (length: number) => new Uint8Array(length);
  const [N, n] = [(globals.size / patch) ** 2, (locals.size / patch) ** 2];
  const O = object.count;
  return {
    global: Array.from({ length: globals.count }, () => ({
      pixels: bytes(3 * globals.size ** 2),
      present: bytes(O),
      visible: bytes(O * N),
      hidden: bytes(N),
    })),
    local: Array.from({ length: locals.count }, () => ({
      pixels: bytes(3 * locals.size ** 2),
      present: bytes(O),
      ...(locals.masked ? { visible: bytes(O * n) } : {}),
    })),
  };
}

/** What was drawn, for the batch, the run's statistics and the explorer. */
export interface ViewReport {
  /** What the views are about, with the masks that they were made with: at most O, maybe none. */
  readonly objects: readonly SceneObject[];
  /** Per global view: crops drawn, the one that stayed included. */
  readonly tries: readonly number[];
  readonly global: readonly Cut[];
  readonly local: readonly Cut[];
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
  const seen = degradeObjects(sample, config.masks);
  const { objects, global, local } = drawCrops(seen, config, patch, rng, into);

  const draw = (cut: Cut, size: number, kind: ViewKind, pixels: Uint8Array) =>
    drawView(sample, cut, size, pixels, drawColors(config.color, kind, rng));
  for (const [index, { geometry }] of global.entries()) {
    const kind = index === 0 ? "first" : "other";
    draw(geometry, config.globals.size, kind, into.global[index]!.pixels);
  }
  for (const [index, { geometry }] of local.entries()) {
    draw(geometry, config.locals.size, "local", into.local[index]!.pixels);
  }
  const side = config.globals.size / patch;
  for (const { hidden } of into.global) hidePatches(config.hidden, side, side, rng, hidden);

  return {
    objects: objects.map((index) => seen.objects[index]!),
    tries: global.map(({ tries }) => tries),
    global: global.map(({ geometry }) => geometry),
    local: local.map(({ geometry }) => geometry),
  };
}

/** The caller lays out the batch: a slot of the wrong size would silently shift its neighbours. */
function checkSlots(config: ViewConfig, patch: number, into: ViewSlots): void {
  const { globals, locals, object } = config;
  const [N, n] = [(globals.size / patch) ** 2, (locals.size / patch) ** 2];
  const O = object.count;
  const fits =
    into.global.length === globals.count &&
    into.local.length === locals.count &&
    into.local.every(
      ({ pixels, present, visible }) =>
        pixels.length === 3 * locals.size ** 2 &&
        present.length === O &&
        visible?.length === (locals.masked ? O * n : undefined),
    ) &&
    into.global.every(
      ({ pixels, present, visible, hidden }) =>
        pixels.length === 3 * globals.size ** 2 &&
        present.length === O &&
        visible.length === O * N &&
        hidden.length === N,
    );
  if (!fits) {
    throw new Error(
      `internal: view slots do not fit ${globals.count} global views of ${globals.size} px in ` +
        `${N} patches and ${locals.count} local views of ${locals.size} px, ${O} objects`,
    );
  }
}
