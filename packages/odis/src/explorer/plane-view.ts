import { MAP_HALF } from "../portable/index.js";

/** A place in pixels of the screen, or in units of the map (`MAP_HALF`, y upwards). */
export type Point = readonly [x: number, y: number];

/** Part of half the canvas that the whole map takes. */
const FILL = 0.94;
/** Where the middle may be: steps of keys do not end at the outermost objects. */
const FARTHEST = 1.1 * MAP_HALF;
/** How many times larger than the whole map it may be. */
const LARGEST = 200;

/** Which part of the map is seen: the arithmetic between its units and pixels. */
export class PlaneView {
  private x = 0;
  private y = 0;
  private zoom = 1;
  private width = 1;
  private height = 1;

  resize(width: number, height: number): void {
    [this.width, this.height] = [width, height];
  }

  /** How many times larger than the whole map. */
  get larger(): number {
    return this.zoom;
  }

  /** Pixels of a unit. */
  get scale(): Point {
    const { width, height, zoom } = this;
    const pixels = (FILL * zoom) / (2 * MAP_HALF);
    return [width * pixels, Math.min(width, height) * pixels];
  }

  /** What lies in the middle. */
  get middle(): Point {
    return [this.x, this.y];
  }

  /** Corners of what is seen, in units. */
  get corners(): readonly Point[] {
    const { width, height } = this;
    const corners: readonly Point[] = [
      [0, 0],
      [width, 0],
      [width, height],
      [0, height],
    ];
    return corners.map((corner) => this.unitsAt(corner));
  }

  pixelsAt([x, y]: Point): Point {
    const [sx, sy] = this.scale;
    return [this.width / 2 + (x - this.x) * sx, this.height / 2 - (y - this.y) * sy];
  }

  unitsAt([px, py]: Point): Point {
    const [sx, sy] = this.scale;
    return [this.x + (px - this.width / 2) / sx, this.y - (py - this.height / 2) / sy];
  }

  /** Moves the map by pixels; its middle stays on it, or near. */
  move(dx: number, dy: number): void {
    const [sx, sy] = this.scale;
    const within = (value: number): number => Math.max(-FARTHEST, Math.min(FARTHEST, value));
    [this.x, this.y] = [within(this.x - dx / sx), within(this.y + dy / sy)];
  }

  /** What is at a pixel stays there. */
  enlarge(factor: number, at: Point = [this.width / 2, this.height / 2]): void {
    const [x, y] = this.unitsAt(at);
    this.zoom = Math.max(1, Math.min(LARGEST, this.zoom * factor));
    const [px, py] = this.pixelsAt([x, y]);
    this.move(at[0] - px, at[1] - py);
  }

  whole(): void {
    [this.x, this.y, this.zoom] = [0, 0, 1];
  }
}
