import {
  type Box,
  boxesMeet,
  type SceneObject,
  visiblePatches,
  type VisibleRule,
} from "../objects/index.js";
import { countNearest, type Geometry, resampleNearest, Scratch } from "./resample.js";

const unread = new Scratch((length) => new Uint8Array(length));
const viewMask = new Scratch((length) => new Uint8Array(length));

/** One object through the views' eyes; its mask is drawn once, when somebody first needs it. */
export class Look {
  private mask: Uint8Array | undefined;

  constructor(
    private readonly object: SceneObject,
    private readonly imageWidth: number,
    private readonly patch: number,
    private readonly rule: VisibleRule,
  ) {}

  get area(): number {
    return this.object.area;
  }

  get box(): Box {
    return this.object.box;
  }

  /** The mask in the image, kept. */
  pixels(): Uint8Array {
    this.mask ??= this.object.pixels();
    return this.mask;
  }

  /** Object pixels in the view; when there are any, {@link viewMask} holds the view's mask. */
  count(geometry: Geometry, size: number): number {
    if (!boxesMeet(this.box, geometry.box)) return 0; // most rejected crops end here
    const out = viewMask.take(size * size);
    return resampleNearest(this.pixels(), this.imageWidth, geometry, size, out);
  }

  /** Whether a crop's view has so many object pixels; quicker than {@link count} for small objects. */
  covers(box: Box, size: number, least: number): boolean {
    return countNearest(this.pixels(), this.imageWidth, box, size, this.box) >= least;
  }

  /**
   * Marks the visible patches if the view holds enough of the object.
   *
   * @param least object pixels wanted; one is always wanted
   * @param patches overwritten, if somebody reads them; all 0 when the view does not hold enough
   * @returns whether it does, and so at least one patch is visible
   */
  mark(geometry: Geometry, size: number, least: number, patches = this.unread(size)): boolean {
    const count = this.count(geometry, size);
    if (count === 0 || count < least) {
      patches.fill(0);
      return false;
    }
    const mask = viewMask.take(size * size);
    return visiblePatches(mask, size, size, this.patch, this.rule, patches) > 0;
  }

  private unread(size: number): Uint8Array {
    const patches = (size / this.patch) ** 2;
    return unread.take(patches).subarray(0, patches);
  }
}
