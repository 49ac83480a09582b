import { byId, el, fit } from "./dom.js";
import type { Library } from "./library.js";
import type { PlaneView, Point } from "./plane-view.js";

/** How long a point is pointed at before its picture is asked for, milliseconds. */
const RESTING = 80;
/** Radius of the ring round a point, and of the cross, pixels. */
const [RING, CROSS] = [7, 6];

/** What is drawn over the map's points: the line of a hand, a ring round a point and what it is, a cross. */
export class PlaneMarks {
  line: readonly Point[] = [];
  private readonly canvas = byId<HTMLCanvasElement>("map-marks");
  private readonly card = byId("map-card");
  private row: number | undefined;
  private resting: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly library: Library) {}

  /** Marks an object, or none. */
  point(row: number | undefined, name: string): void {
    if (row === this.row) return;
    this.row = row;
    clearTimeout(this.resting);
    this.card.hidden = row === undefined;
    if (row === undefined) return;
    this.card.replaceChildren(el("span", {}, name));
    this.resting = setTimeout(() => {
      this.card.prepend(el("img", { src: this.library.crop(row), alt: "" }));
    }, RESTING);
  }

  draw(view: PlaneView, places: Float32Array, hasCross: boolean): void {
    const { canvas, row } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    fit(canvas);
    const drawing = canvas.getContext("2d")!;
    drawing.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    drawing.clearRect(0, 0, width, height);
    drawing.strokeStyle = getComputedStyle(canvas).color;
    drawing.lineWidth = 1.5;
    drawing.beginPath();
    if (hasCross) {
      drawing.moveTo(width / 2 - CROSS, height / 2);
      drawing.lineTo(width / 2 + CROSS, height / 2);
      drawing.moveTo(width / 2, height / 2 - CROSS);
      drawing.lineTo(width / 2, height / 2 + CROSS);
    }
    if (row !== undefined) {
      const [x, y] = view.pixelsAt([places[2 * row]!, places[2 * row + 1]!]);
      drawing.moveTo(x + RING, y);
      drawing.arc(x, y, RING, 0, 2 * Math.PI);
      this.place(x, y, width);
    }
    drawing.stroke();
    this.drawLine(drawing);
  }

  private drawLine(drawing: CanvasRenderingContext2D): void {
    if (this.line.length < 2) return;
    drawing.beginPath();
    for (const [x, y] of this.line) drawing.lineTo(x, y);
    drawing.closePath();
    drawing.globalAlpha = 0.12;
    drawing.fillStyle = drawing.strokeStyle;
    drawing.fill();
    drawing.globalAlpha = 1;
    drawing.stroke();
  }

  /** Puts the card beside a point, on the side that has room. */
  private place(x: number, y: number, width: number): void {
    const { style } = this.card;
    const isLeft = x > width / 2;
    style.left = isLeft ? "auto" : `${x + 2 * RING}px`;
    style.right = isLeft ? `${width - x + 2 * RING}px` : "auto";
    style.top = `${Math.max(0, y - 2 * RING)}px`;
  }
}
