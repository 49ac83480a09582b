import type { ObjectMap } from "../portable/index.js";
import { byId, el, fit } from "./dom.js";
import type { Library } from "./library.js";
import { coloursOf, hueOf } from "./plane-colours.js";
import { listenTo } from "./plane-hand.js";
import { PlaneMarks } from "./plane-marks.js";
import { inside, nearestTo } from "./plane-pick.js";
import { type PointPainter, pointPainter } from "./plane-points.js";
import { PlaneView, type Point } from "./plane-view.js";

export interface PlaneActions {
  readonly open: (row: number) => void;
  /** told of the objects inside of a line, or in sight */
  readonly choose: (rows: readonly number[]) => void;
  /** the choice was taken back */
  readonly all: () => void;
  readonly say: (text: string) => void;
  readonly tell: (error: unknown) => void;
}

/** Pixels: how near a click must be, and the cross, which moves by steps. */
const [NEAR, NEAR_CROSS] = [12, 48];
/** Enlarged by a press of a button. */
const BY_BUTTON = 1.5;
/** After so many milliseconds without a movement all points are drawn, and not MANY only. */
const RESTS = 150;
/** Objects from which on points are small; diameters of a point, pixels. */
const MANY = 20_000;
const diameters = { few: 5, many: 2.2, most: 9 } as const;

/** All objects as points: a click opens the nearest, a line round some chooses them. */
export class ObjectPlane {
  private readonly canvas = byId<HTMLCanvasElement>("map");
  private readonly part = byId("map-part");
  private readonly view = new PlaneView();
  private readonly marks: PlaneMarks;
  private map: ObjectMap | undefined;
  private places = new Float32Array(0);
  private painter: PointPainter | undefined;
  private chosen: readonly number[] | undefined;
  /** whether the next frame draws already */
  private isWaiting = false;
  private isPainted = false;
  /** set while the view moves */
  private moving: number | undefined;
  /** whether keys were used last: what is in the middle counts then */
  private isByKeys = false;

  constructor(
    private readonly library: Library,
    private readonly actions: PlaneActions,
  ) {
    this.marks = new PlaneMarks(library);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.colour());
    this.canvas.addEventListener("focus", () => {
      this.isByKeys = this.canvas.matches(":focus-visible");
      this.mark();
    });
    this.canvas.addEventListener("blur", () => this.mark());
    const lasso = byId("map-lasso");
    const isPressed = (): boolean => lasso.getAttribute("aria-pressed") === "true";
    this.pressed("map-lasso", () => lasso.setAttribute("aria-pressed", String(!isPressed())));
    this.pressed("map-closer", () => this.enlarge(BY_BUTTON));
    this.pressed("map-farther", () => this.enlarge(1 / BY_BUTTON));
    this.pressed("map-whole", () => this.whole());
    this.pressed("map-sight", () => this.choose(this.view.corners));
    this.pressed("map-all", () => this.all());
    listenTo(this.canvas, {
      draws: isPressed,
      used: (isByKeys) => {
        if (this.isByKeys === isByKeys) return;
        this.isByKeys = isByKeys;
        this.mark();
      },
      move: (dx, dy) => this.changed(() => this.view.move(dx, dy)),
      enlarge: (factor, at) => this.enlarge(factor, at),
      whole: () => this.whole(),
      line: (line, isFinished) => this.line(line, isFinished),
      over: (at) => this.point(at && this.nearest(at)),
      open: (at) => this.open(at),
      all: () => this.all(),
    });
  }

  toggle(): void {
    this.part.hidden = !this.part.hidden;
    byId("map-button").setAttribute("aria-expanded", String(!this.part.hidden));
    if (!this.part.hidden) this.load().catch(this.actions.tell);
    else if (this.chosen) this.all();
  }

  /** Another choice was made elsewhere. */
  forget(): void {
    this.chosen = undefined;
    byId("map-all").hidden = true;
    this.colour();
  }

  private pressed(button: string, does: () => void): void {
    byId(button).addEventListener("click", () => {
      if (this.map) does();
    });
  }

  private async load(): Promise<void> {
    if (this.map) return;
    const map = await this.library.map();
    if (this.map) return;
    const places = Float32Array.from(map.places);
    this.painter = pointPainter(this.canvas, places, () => this.draw());
    this.places = places;
    this.map = map;
    byId("map-note").textContent =
      `What is alike lies near; the plane keeps ${Math.round(100 * map.kept)} % of the variance. ` +
      "Click a point to open it; drag to move, turn the wheel to come nearer; with Lasso, or the Shift key held, draw round " +
      "points to list them. By keys: arrows, + and -, Enter for what is at the cross.";
    byId("map-classes").replaceChildren(...legend(this.library));
    this.colour();
  }

  private colour(): void {
    if (!this.map) return;
    const soft = getComputedStyle(this.canvas).color;
    this.painter!.colour(coloursOf(this.map.classes, soft, this.chosen));
    this.draw();
  }

  private draw(): void {
    this.isPainted = false;
    this.mark();
  }

  /** Draws before the next frame, once; the points only when they have changed. */
  private mark(): void {
    if (!this.painter || this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      const { clientWidth, clientHeight } = this.canvas;
      if (clientWidth === 0) return; // it was hidden
      if (!this.isPainted) {
        this.view.resize(clientWidth, clientHeight);
        fit(this.canvas);
        const every = this.moving === undefined ? 1 : Math.ceil(this.map!.classes.length / MANY);
        this.painter!.paint(this.view, this.diameter() * devicePixelRatio, every);
        this.isPainted = true;
      }
      this.marks.draw(this.view, this.places, this.hasCross);
    });
  }

  private get hasCross(): boolean {
    return this.isByKeys && document.activeElement === this.canvas;
  }

  private diameter(): number {
    const { few, many, most } = diameters;
    const whole = this.map!.classes.length > MANY ? many : few;
    return Math.min(most, whole * Math.sqrt(this.view.larger));
  }

  /** Changes the view, and what is at the cross of somebody who uses keys. */
  private changed(change: () => void): void {
    if (!this.map) return;
    change();
    clearTimeout(this.moving);
    this.moving = setTimeout(() => {
      this.moving = undefined;
      this.draw();
    }, RESTS);
    this.draw();
    this.point(this.hasCross ? this.nearest() : undefined);
  }

  private enlarge(factor: number, at?: Point): void {
    this.changed(() => this.view.enlarge(factor, at));
  }

  private whole(): void {
    this.changed(() => this.view.whole());
  }

  private point(row: number | undefined): void {
    if (!this.map) return;
    const place = row === undefined ? undefined : this.map.classes[row]!;
    const name = this.library.facts.classes[place ?? -1]?.name ?? "no class";
    this.marks.point(row, name);
    this.mark();
  }

  private line(line: readonly Point[], isFinished: boolean): void {
    if (!this.map) return;
    this.marks.line = isFinished ? [] : line;
    if (isFinished) this.choose(line.map((point) => this.view.unitsAt(point)));
    this.mark();
  }

  private choose(polygon: readonly Point[]): void {
    const rows = inside(this.places, polygon);
    if (rows.length === 0) {
      this.actions.say("no object is in there");
      return;
    }
    this.chosen = rows;
    byId("map-all").hidden = false;
    this.colour();
    this.actions.choose(rows);
  }

  private all(): void {
    if (!this.chosen) return;
    if (document.activeElement === byId("map-all")) this.canvas.focus();
    this.forget();
    this.actions.all();
  }

  /** The object nearest to a pixel, or to the middle. */
  private nearest(at?: Point): number | undefined {
    const { view, places } = this;
    const [place, within] = at ? [view.unitsAt(at), NEAR] : [view.middle, NEAR_CROSS];
    return nearestTo(places, place, view.scale, within);
  }

  private open(at?: Point): void {
    const row = this.nearest(at);
    if (row !== undefined) this.actions.open(row);
  }
}

function legend({ facts }: Library): readonly HTMLElement[] {
  return facts.classes.flatMap(({ name }, place) => {
    const hue = hueOf(place);
    if (hue === undefined) return [];
    const swatch = el("i", { "aria-hidden": "true" });
    swatch.style.background = hue;
    return [el("li", {}, swatch, name)];
  });
}
