import type { OutlinedObject } from "../src/explore/wire.js";
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
  /** others that can be chosen */
  readonly others?: readonly OutlinedObject[];
  readonly onChoose?: (row: number) => void;
}

/** A photograph with what is marked in it, and heat over it when somebody asks. */
export class Photo {
  readonly element: HTMLElement;
  readonly marks: SVGSVGElement;
  private canvas: HTMLCanvasElement | undefined;

  constructor(private readonly options: PhotoOptions) {
    const { src, width, height, alt, outline, box, others = [], onChoose } = options;
    this.marks = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMidYMid" });
    for (const other of others) this.marks.append(choice(other, onChoose));
    if (outline !== undefined)
      this.marks.append(
        svg("path", { class: "edge-back", d: outline }),
        svg("path", { class: "edge", d: outline }),
      );
    if (box) this.marks.append(boxMark(box));
    const picture = el("img", { src, alt, width, height, draggable: "false", decoding: "async" });
    this.element = el("div", { class: "photo" }, picture, this.marks);
  }

  /** Where a pointer is, pixels of the photograph, inside of it. */
  at({ clientX, clientY }: MouseEvent): readonly [x: number, y: number] {
    const { left, top, width, height } = this.marks.getBoundingClientRect();
    const clamp = (value: number, most: number): number =>
      Math.max(0, Math.min(most - 1, Math.round(value)));
    return [
      clamp(((clientX - left) / width) * this.options.width, this.options.width),
      clamp(((clientY - top) / height) * this.options.height, this.options.height),
    ];
  }

  /**
   * Lays heat over the photograph.
   *
   * @param values [side, side]; without them it is taken away
   * @param of which values are cold and hot
   */
  heat(
    values?: readonly number[],
    side = 1,
    of: readonly [low: number, high: number] = [0, 1],
  ): void {
    if (!values) {
      this.canvas?.remove();
      this.canvas = undefined;
      return;
    }
    const small = el("canvas", { width: side, height: side });
    const drawing = small.getContext("2d")!;
    const image = drawing.createImageData(side, side);
    for (const [at, value] of values.entries()) {
      const heat = Math.max(0, Math.min(1, (value - of[0]) / Math.max(1e-9, of[1] - of[0])));
      image.data.set([255 * heat, 176 * heat ** 1.5, 60 * (1 - heat), 90 + 165 * heat], 4 * at);
    }
    drawing.putImageData(image, 0, 0);
    // The photograph may be smaller than its box: the canvas takes the same place as its picture.
    const canvas = this.canvas ?? el("canvas");
    const { width, height } = this.options;
    const scale = Math.min(1, 480 / Math.max(width, height));
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.style.objectFit = "contain";
    canvas.getContext("2d")!.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (!this.canvas) this.element.insertBefore(canvas, this.marks);
    this.canvas = canvas;
  }
}

function choice(object: OutlinedObject, onChoose?: (row: number) => void): SVGElement {
  const [x, y, width, height] = object.box;
  const name = object.class ?? "no class";
  const open = (): void => onChoose?.(object.row);
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
      onclick: open,
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
