import { countPatches, type Cut } from "@odis/torch/images";
import {
  type Box,
  boxesMeet,
  drawFrom,
  type DrawMask,
  type Frame,
  type Rle,
  runsOfObject,
  type SceneObject,
} from "../objects/index.js";
import { visiblePatches, type VisibleRule } from "../portable/index.js";

/** Object pixels in each patch of the view that was looked at last; kept, since there are many. */
let counts = new Int32Array();

function countsOf(length: number): Int32Array {
  if (counts.length !== length) counts = new Int32Array(length);
  return counts;
}

/** One object through the views' eyes. */
export class ViewedObject {
  private kept: Rle | undefined;

  constructor(
    private readonly object: SceneObject,
    private readonly image: Frame,
    private readonly patch: number,
    private readonly rule: VisibleRule,
  ) {}

  get area(): number {
    return this.object.area;
  }

  get box(): Box {
    return this.object.box;
  }

  get score(): number | undefined {
    return this.object.score;
  }

  /** Has runs, whatever the object was made of. */
  get pixels(): DrawMask {
    return drawFrom(this.runs);
  }

  /** Made once: many crops and other objects are held against them. */
  private get runs(): Rle {
    this.kept ??= runsOfObject(this.object, this.image);
    return this.kept;
  }

  /** Object pixels in the view; when there are any, {@link counts} holds those of each patch. */
  count(cut: Cut, size: number, patch = this.patch): number {
    if (!boxesMeet(this.box, cut.box)) return 0; // most rejected crops end here
    return countPatches(this.runs, cut, size, patch, countsOf((size / patch) ** 2));
  }

  /** Whether a crop's view has so many object pixels. */
  covers(box: Box, size: number, least: number): boolean {
    return this.count({ box, flip: false }, size, size) >= least;
  }

  /**
   * Marks the visible patches if the view holds enough of the object.
   *
   * @param least object pixels wanted; one is always wanted
   * @param patches overwritten, if somebody reads them; all 0 when the view does not hold enough
   * @returns whether it does, and so at least one patch is visible
   */
  mark(cut: Cut, size: number, least: number, patches?: Uint8Array): boolean {
    const count = this.count(cut, size);
    const side = size / this.patch;
    const visible = patches ?? new Uint8Array(side * side);
    if (count === 0 || count < least) {
      visible.fill(0);
      return false;
    }
    return visiblePatches(counts, side, side, this.patch, this.rule, visible) > 0;
  }
}
