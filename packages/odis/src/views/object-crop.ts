import type { Sample } from "../data/sample.js";
import { chooseObject } from "../objects/choose.js";
import type { Box, SceneObject } from "../objects/object.js";
import { visiblePatches } from "../objects/patches.js";
import type { Rng } from "../rng.js";
import type { CropConfig, ViewConfig } from "./config.js";
import { drawCropBox } from "./crop-box.js";
import { type Geometry, resampleNearest } from "./resample.js";
import { Scratch } from "./scratch.js";

/** One global view's place in the image. */
export interface GlobalCrop {
  readonly geometry: Geometry;
  /** Crops drawn for it, the one that stayed included. */
  readonly tries: number;
  /** Whether the object counts as being in it. */
  readonly present: boolean;
}

export interface GlobalCrops {
  /** Index of the object that the views are about, -1 when the image has none. */
  readonly object: number;
  readonly views: readonly GlobalCrop[];
}

/** The lineage's rule: a region above this share of the first view, sought so often ... */
const LINEAGE_SHARE = 0.04;
const LINEAGE_FIRST_TRIES = 10;
/** ... then one pixel of it in every other view, sought so often. */
const LINEAGE_OTHER_TRIES = 20;

/**
 * Draws the global views of an image so that they show one and the same object (method section 1).
 *
 * - `redraw`: the object is chosen first; each crop is drawn again until the object is present (at
 *   least one visible patch and `minVisible` of the view), at most `tries` times. The last crop
 *   stays; the object is then not present in it.
 * - `lineage`: the related published code. The first crop is drawn until any object covers enough
 *   of it, and the object is chosen from those; the others until they hold one pixel of it. After
 *   the last try a fresh crop is taken, without an object.
 * - `off`: the object is chosen, crops are plain, presence is as it falls.
 *
 * @param visible one per global view, [patches, patches], overwritten: 1 = the object's token may
 *   look at the patch; all 0 where the object is not present
 */
export function drawGlobalCrops(
  sample: Sample,
  config: ViewConfig,
  patch: number,
  rng: Rng,
  visible: readonly Uint8Array[],
): GlobalCrops {
  for (const patches of visible) patches.fill(0);
  if (config.object.crop === "lineage") return lineageCrops(sample, config, patch, rng, visible);

  const { choose, minArea, crop, minVisible, tries } = config.object;
  const areas = sample.objects.map(({ area }) => area);
  const object = chooseObject(areas, choose, minArea * sample.width * sample.height, rng);
  const chosen = sample.objects[object];
  if (!chosen) return { object: -1, views: visible.map(() => plainCrop(sample, config, rng)) };

  const look = new Look(chosen, sample.width, config, patch);
  const least = minVisible * config.globals.size ** 2;
  const views = visible.map((patches) =>
    drawUntil(sample, config, crop === "redraw" ? tries : 1, rng, (geometry) =>
      look.mark(geometry, least, patches),
    ),
  );
  return { object, views };
}

function lineageCrops(
  sample: Sample,
  config: ViewConfig,
  patch: number,
  rng: Rng,
  visible: readonly Uint8Array[],
): GlobalCrops {
  const looks = sample.objects.map((object) => new Look(object, sample.width, config, patch));
  const above = LINEAGE_SHARE * config.globals.size ** 2;
  let object = -1;
  const views = visible.map((patches, index): GlobalCrop => {
    if (index > 0 && object < 0) return plainCrop(sample, config, rng);
    const drawn =
      index === 0
        ? drawUntil(sample, config, LINEAGE_FIRST_TRIES, rng, (geometry) => {
            const areas = looks.map((look) => look.count(geometry));
            const candidates = areas.map((area) => (area > above ? area : 0));
            object = chooseObject(candidates, config.object.choose, 0, rng);
            return looks[object]?.mark(geometry, above, patches) ?? false;
          })
        : drawUntil(sample, config, LINEAGE_OTHER_TRIES, rng, (geometry) =>
            looks[object]!.mark(geometry, 1, patches),
          );
    return drawn.present ? drawn : { ...plainCrop(sample, config, rng), tries: drawn.tries };
  });
  return { object: views[0]?.present ? object : -1, views };
}

function plainCrop(sample: Sample, config: ViewConfig, rng: Rng): GlobalCrop {
  return { geometry: drawGeometry(sample, config.globals, config, rng), tries: 1, present: false };
}

/** Draws crops until one is accepted; the last one stays when none is. */
function drawUntil(
  sample: Sample,
  config: ViewConfig,
  tries: number,
  rng: Rng,
  accept: (geometry: Geometry) => boolean,
): GlobalCrop {
  for (let attempt = 1; ; attempt += 1) {
    const geometry = drawGeometry(sample, config.globals, config, rng);
    const present = accept(geometry);
    if (present || attempt >= tries) return { geometry, tries: attempt, present };
  }
}

/** A random crop box and whether to mirror it. */
export function drawGeometry(
  { width, height }: Pick<Sample, "width" | "height">,
  crops: CropConfig,
  { flip }: Pick<ViewConfig, "flip">,
  rng: Rng,
): Geometry {
  return { box: drawCropBox(width, height, crops, rng), flip: rng.bool(flip) };
}

const viewMask = new Scratch((length) => new Uint8Array(length));

/** One object through the views' eyes; its mask is rasterised once, when a crop first meets it. */
class Look {
  private mask: Uint8Array | undefined;

  constructor(
    private readonly object: SceneObject,
    private readonly imageWidth: number,
    private readonly config: ViewConfig,
    private readonly patch: number,
  ) {}

  /** Object pixels in the view; when there are any, {@link viewMask} holds the view's mask. */
  count(geometry: Geometry): number {
    if (!overlap(this.object.box, geometry.box)) return 0; // most rejected crops end here
    this.mask ??= this.object.pixels();
    const { size } = this.config.globals;
    return resampleNearest(this.mask, this.imageWidth, geometry, size, viewMask.take(size * size));
  }

  /**
   * Marks the visible patches if the view holds enough of the object.
   *
   * @param least object pixels wanted; one is always wanted
   * @returns whether it does, and so at least one patch is visible; otherwise `patches` is all 0
   */
  mark(geometry: Geometry, least: number, patches: Uint8Array): boolean {
    const count = this.count(geometry);
    if (count === 0 || count < least) return false;
    const { size } = this.config.globals;
    const mask = viewMask.take(size * size);
    return visiblePatches(mask, size, size, this.patch, this.config.visible, patches) > 0;
  }
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
