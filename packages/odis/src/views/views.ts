import { drawView } from "@odis/torch/images";
import type { Sample } from "../data/index.js";
import type { SceneObject } from "../objects/index.js";
import type { Rng } from "../core/index.js";
import type { ViewConfig } from "./config.js";
import { hidePatches } from "./hidden.js";
import { degradeObjects } from "./degrade.js";
import { drawCrops } from "./object-crop.js";
import { drawColors } from "./color.js";
import type { ViewPlan } from "./plan.js";

/** Planar RGB: bytes 0..255 as the loader makes them, or floats that are normalised already. */
export type Pixels = Uint8Array | Float32Array;

/** What is known of a view before it is drawn. With n = (size / patch)² patches in rows, and O rows for objects: */
interface PlanSlot {
  /**
   * [O], 1 = the object is in the view. A local view counts as showing every object that there is
   * unless `views.locals` says `masked` or `aware`.
   */
  readonly present: Uint8Array;
}

interface GlobalPlanSlot extends PlanSlot {
  /** [O, n], 1 = the object's token may look at the patch; all 0 where the object is not present. */
  readonly visible: Uint8Array;
  /** [n], 1 = the student must guess the patch. */
  readonly hidden: Uint8Array;
}

interface LocalPlanSlot extends PlanSlot {
  /** [O, n]; wanted if and only if `views.locals.masked` */
  readonly visible?: Uint8Array;
}

/** One slot per view, as many as the configuration asks for. */
export interface PlanSlots {
  readonly global: readonly GlobalPlanSlot[];
  readonly local: readonly LocalPlanSlot[];
}

/** Where a view is drawn. */
interface PixelSlot {
  /** planar 3 × size × size bytes, not yet normalised */
  readonly pixels: Uint8Array;
}

export type GlobalSlot = GlobalPlanSlot & PixelSlot;

/** Views that are planned and drawn. */
export interface ViewSlots extends PlanSlots {
  readonly global: readonly GlobalSlot[];
  readonly local: readonly (LocalPlanSlot & PixelSlot)[];
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

/** What was decided, for the batch, the run's statistics and the explorer. */
export interface ViewReport {
  /** What the views are about, with the masks that they were made with: at most O, maybe none. */
  readonly objects: readonly SceneObject[];
  /** Per global view: crops drawn, the one that stayed included. */
  readonly tries: readonly number[];
  readonly global: readonly ViewPlan[];
  readonly local: readonly ViewPlan[];
}

/**
 * Decides all views of one image (method section 1): places first, then colours, hidden patches last,
 * so that a change of colour or hiding never moves a crop. No pixel is looked at.
 *
 * @param patch side of a patch in pixels; divides the view sizes (see `checkViewSizes`)
 * @param rng decides everything; the same stream gives the same views
 * @param into overwritten; may lie in shared memory
 */
export function planViews(
  sample: Sample,
  config: ViewConfig,
  patch: number,
  rng: Rng,
  into: PlanSlots,
): ViewReport {
  checkSlots(config, patch, into);
  const seen = degradeObjects(sample, config.masks);
  const { objects, global, local } = drawCrops(seen, config, patch, rng, into);

  const globals = global.map(({ geometry }, index): ViewPlan => {
    const steps = drawColors(config.color, index === 0 ? "first" : "other", rng);
    return { ...geometry, steps };
  });
  const locals = local.map(
    ({ geometry }): ViewPlan => ({
      ...geometry,
      steps: drawColors(config.color, "local", rng),
    }),
  );
  const side = config.globals.size / patch;
  for (const { hidden, visible } of into.global) {
    hidePatches(config.hidden, side, side, rng, hidden);
    if (config.hidden.where === "object") keepOfObjects(hidden, visible);
  }

  return {
    objects: objects.map((index) => seen.objects[index]!),
    tries: global.map(({ tries }) => tries),
    global: globals,
    local: locals,
  };
}

/** Plans all views of one image, and draws them; see {@link planViews}. */
export function makeViews(
  sample: Sample,
  config: ViewConfig,
  patch: number,
  rng: Rng,
  into: ViewSlots,
): ViewReport {
  const report = planViews(sample, config, patch, rng, into);
  for (const kind of ["global", "local"] as const) {
    const { size } = config[`${kind}s`];
    for (const [index, plan] of report[kind].entries()) {
      const { pixels } = into[kind][index]!;
      if (pixels.length !== 3 * size ** 2)
        throw new Error(`internal: got ${pixels.length} bytes for a view of ${size} px`);
      drawView(sample, plan, size, pixels, plan.steps);
    }
  }
  return report;
}

/**
 * Leaves hidden what belongs to an object.
 *
 * @param hidden [N], changed in place
 * @param visible [O, N]
 */
function keepOfObjects(hidden: Uint8Array, visible: Uint8Array): void {
  const N = hidden.length;
  for (let patch = 0; patch < N; patch += 1) {
    let inside = 0;
    for (let at = patch; at < visible.length; at += N) inside |= visible[at]!;
    hidden[patch]! &= inside;
  }
}

/** The caller lays out the batch: a slot of the wrong size would silently shift its neighbours. */
function checkSlots(config: ViewConfig, patch: number, into: PlanSlots): void {
  const { globals, locals, object } = config;
  const [N, n] = [(globals.size / patch) ** 2, (locals.size / patch) ** 2];
  const O = object.count;
  const fits =
    into.global.length === globals.count &&
    into.local.length === locals.count &&
    into.local.every(
      ({ present, visible }) =>
        present.length === O && visible?.length === (locals.masked ? O * n : undefined),
    ) &&
    into.global.every(
      ({ present, visible, hidden }) =>
        present.length === O && visible.length === O * N && hidden.length === N,
    );
  if (!fits) {
    throw new Error(
      `internal: view slots do not fit ${globals.count} global views of ${globals.size} px in ` +
        `${N} patches and ${locals.count} local views of ${locals.size} px, ${O} objects`,
    );
  }
}
