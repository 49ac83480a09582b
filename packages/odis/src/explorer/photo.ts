import type { OutlinedObject, PatchValues } from "../portable/index.js";
import { el, svg } from "./dom.js";

export interface PhotoOptions {
  readonly src: string;
  /** of the photograph that outlines refer to, pixels */
  readonly width: number;
  readonly height: number;
  readonly alt: string;
  /** what is meant */
  readonly outline?: string | undefined;
  /** a box that is meant */
  readonly box?: readonly number[] | undefined;
  /** a point that is meant */
  readonly point?: readonly number[] | undefined;
  /** others that can be chosen */
  readonly others?: readonly OutlinedObject[];
  readonly onChoose?: (object: OutlinedObject) => void;
}

/** A photograph with what is marked in it, and heat over it when somebody asks. */
export class Photo {
  readonly element: HTMLElement;
  readonly marks: SVGSVGElement;
  private canvas: HTMLCanvasElement | undefined;

  constructor(private readonly options: PhotoOptions) {
    const { src, width, height, alt, outline, box, point, others = [], onChoose } = options;
    this.marks = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMidYMid" });
    for (const other of others) this.marks.append(choice(other, onChoose));
    if (outline !== undefined) this.outline(outline);
    if (box) this.marks.append(boxMark(box));
    if (point) this.marks.append(pointMark(point, Math.max(width, height)));
    const picture = el("img", { src, alt, width, height, draggable: "false", decoding: "async" });
    this.element = el("div", { class: "photo" }, picture, this.marks);
  }

  /** Marks what is meant by its outline. */
  outline(d: string): void {
    this.marks.append(svg("path", { class: "edge-back", d }), svg("path", { class: "edge", d }));
  }

  /** Where a pointer is, pixels of the photograph, inside of it. */
  at({ clientX, clientY }: MouseEvent): readonly [x: number, y: number] {
    const { left, top, width, height } = this.marks.getBoundingClientRect();
    const clamp = (value: number, most: number): number =>
      Math.max(0, Math.min(most - 1, Math.floor(value)));
    return [
      clamp(((clientX - left) / width) * this.options.width, this.options.width),
      clamp(((clientY - top) / height) * this.options.height, this.options.height),
    ];
  }

  /**
   * Lays heat over the photograph.
   *
   * @param grid values of its patches; without it, heat is taken away
   * @param range which values are cold and hot
   */
  heat(grid?: PatchValues, range: readonly [cold: number, hot: number] = [0, 1]): void {
    this.canvas?.remove();
    this.canvas = grid && this.canvasOf(grid, range);
    if (this.canvas) this.element.insertBefore(this.canvas, this.marks);
  }

  private canvasOf({ side, region, values }: PatchValues, [cold, hot]: readonly [number, number]) {
    const small = el("canvas", { width: side, height: side });
    const drawing = small.getContext("2d")!;
    const image = drawing.createImageData(side, side);
    for (const [at, value] of values.entries()) {
      const heat = Math.max(0, Math.min(1, (value - cold) / Math.max(1e-9, hot - cold)));
      // Dark where it is cold, so that the photograph is seen everywhere, orange where it is hot.
      const mix = (from: number, to: number): number => from + heat * (to - from);
      image.data.set([mix(14, 255), mix(16, 170), mix(26, 30), mix(130, 175)], 4 * at);
    }
    drawing.putImageData(image, 0, 0);
    const { width, height } = this.options;
    const scale = Math.min(1, CANVAS / Math.max(width, height));
    const canvas = el("canvas", {
      width: Math.max(1, Math.round(width * scale)),
      height: Math.max(1, Math.round(height * scale)),
    });
    const [x, y, w, h] = region.map((value) => value * scale);
    canvas.getContext("2d")!.drawImage(small, x!, y!, w!, h!);
    return canvas;
  }
}

/** Longer side of a canvas of heat, pixels: it is smooth. */
const CANVAS = 480;

/** Whether a click means the point itself, whatever object is there. */
export const meansPoint = ({ altKey, shiftKey }: MouseEvent): boolean => altKey || shiftKey;

function choice(object: OutlinedObject, onChoose: PhotoOptions["onChoose"]): SVGElement {
  const [x, y, width, height] = object.box;
  const name = object.class ?? "no class";
  const open = (): void => onChoose?.(object);
  const title = svg("title");
  title.textContent = name;
  return svg(
    "rect",
    {
      class: "other",
      x,
      y,
      width,
      height,
      tabindex: 0,
      role: "button",
      "aria-label": name,
      onclick: (event) => {
        if (!(event instanceof MouseEvent && meansPoint(event))) open();
      },
      onkeydown: (event) => {
        if (event instanceof KeyboardEvent && event.key === "Enter") open();
      },
    },
    title,
  );
}

export function boxMark([x, y, width, height]: readonly number[]): SVGRectElement {
  return svg("rect", { class: "drawn", x: x!, y: y!, width: width!, height: height! });
}

function pointMark([x, y]: readonly number[], longest: number): SVGElement {
  return svg("circle", { class: "drawn", cx: x!, cy: y!, r: longest / 90 });
}
