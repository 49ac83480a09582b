import type { ObjectMap } from "../portable/index.js";
import { byId, el } from "./dom.js";
import type { Library } from "./library.js";

export interface PlaneActions {
  readonly open: (row: number) => void;
  /** told of the objects inside of a lasso */
  readonly choose: (rows: readonly number[]) => void;
  /** the choice was taken back */
  readonly all: () => void;
  readonly tell: (error: unknown) => void;
}

/** Pixels: a point's radius, how near a click must be, and what is still a click. */
const [POINT, NEAR, CLICK] = [2.2, 12, 5];
/** Classes with a colour of their own. */
const COLOURS = 12;

type Point = readonly [x: number, y: number];

/** All objects as points; a click opens the nearest, a lasso chooses those in it. */
export class ObjectPlane {
  private readonly canvas = byId<HTMLCanvasElement>("map");
  private readonly part = byId("map-part");
  private map: ObjectMap | undefined;
  private lasso: Point[] = [];

  constructor(
    private readonly library: Library,
    private readonly actions: PlaneActions,
  ) {
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
  }

  toggle(): void {
    this.part.hidden = !this.part.hidden;
    byId("map-button").setAttribute("aria-expanded", String(!this.part.hidden));
    if (this.part.hidden) this.actions.all();
    else this.load().catch(this.actions.tell);
  }

  private async load(): Promise<void> {
    this.map ??= await this.library.map();
    byId("map-note").replaceChildren(
      `What is alike lies near; the plane keeps ${Math.round(100 * this.map.kept)} % of the variance. Click a point, or draw round some. `,
      el("button", { type: "button", onclick: () => this.actions.all() }, "Show all"),
    );
    this.draw();
  }

  /** Pixels of the canvas on the screen. */
  private placeOf(row: number): Point {
    const { places } = this.map!;
    const { clientWidth, clientHeight } = this.canvas;
    const scale = (0.47 * Math.min(clientWidth, clientHeight)) / 1000;
    const wide = clientWidth / Math.min(clientWidth, clientHeight);
    return [
      clientWidth / 2 + places[2 * row]! * scale * wide,
      clientHeight / 2 - places[2 * row + 1]! * scale,
    ];
  }

  private draw(): void {
    const { canvas, map } = this;
    if (!map || canvas.clientWidth === 0) return;
    const ratio = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const drawing = canvas.getContext("2d")!;
    drawing.scale(ratio, ratio);
    const soft = getComputedStyle(canvas).color;
    const side = map.classes.length > 20_000 ? 1.5 : 2 * POINT;
    for (let row = 0; row < map.classes.length; row += 1) {
      const colour = map.classes[row]!;
      const isOwn = colour >= 0 && colour < Math.min(COLOURS, this.library.facts.classes.length);
      drawing.fillStyle = isOwn ? `hsl(${(colour * 360) / COLOURS} 65% 52%)` : soft;
      const [x, y] = this.placeOf(row);
      drawing.fillRect(x - side / 2, y - side / 2, side, side);
    }
    this.drawLasso(drawing, soft);
  }

  private drawLasso(drawing: CanvasRenderingContext2D, colour: string): void {
    if (this.lasso.length < 2) return;
    drawing.beginPath();
    for (const [x, y] of this.lasso) drawing.lineTo(x, y);
    drawing.closePath();
    drawing.strokeStyle = colour;
    drawing.stroke();
  }

  private begin(down: PointerEvent): void {
    if (!this.map || down.button !== 0) return;
    this.canvas.setPointerCapture(down.pointerId);
    const at = ({ offsetX, offsetY }: MouseEvent): Point => [offsetX, offsetY];
    this.lasso = [at(down)];
    const move = (event: PointerEvent): void => {
      this.lasso.push(at(event));
      this.draw();
    };
    const end = (): void => {
      this.canvas.removeEventListener("pointermove", move);
      this.end();
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end, { once: true });
  }

  private end(): void {
    const { lasso } = this;
    const [start] = lasso;
    const far = Math.max(...lasso.map(([x, y]) => Math.hypot(x - start![0], y - start![1])));
    if (far < CLICK) {
      this.lasso = [];
      const row = this.nearest(start!);
      if (row !== undefined) this.actions.open(row);
    } else {
      const rows = this.rows().filter((row) => isInside(this.placeOf(row), lasso));
      if (rows.length > 0) this.actions.choose(rows);
    }
    this.draw();
  }

  private rows(): readonly number[] {
    return Array.from(this.map!.classes.keys());
  }

  private nearest([x, y]: Point): number | undefined {
    let best: number | undefined;
    let least = NEAR;
    for (const row of this.rows()) {
      const [px, py] = this.placeOf(row);
      const distance = Math.hypot(px - x, py - y);
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }
}

/** Whether a ray from a point meets a polygon's edges an odd number of times. */
function isInside([x, y]: Point, polygon: readonly Point[]): boolean {
  let inside = false;
  for (const [at, [ax, ay]] of polygon.entries()) {
    const [bx, by] = polygon[(at + 1) % polygon.length]!;
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  }
  return inside;
}
