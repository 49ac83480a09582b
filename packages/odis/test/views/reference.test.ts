import {
  type ColorStep,
  type Cut,
  drawMask,
  drawView,
  type Picture,
  recolor,
} from "@odis/torch/images";
import { describe, expect, test } from "vitest";
import { firstDifference, golden } from "../golden.js";
import * as witness from "./witness/index.js";

type Change = ColorStep["change"];

interface Crop {
  readonly image: string;
  readonly i: number;
  readonly j: number;
  readonly h: number;
  readonly w: number;
  readonly size: number;
  readonly flip: boolean;
}
interface Jitter {
  readonly order: readonly Change[];
  readonly factors: Readonly<Record<string, number>>;
}
interface Operation {
  readonly order?: Jitter["order"];
  readonly factors?: Jitter["factors"];
  readonly factor?: number;
  readonly radius?: number;
  readonly threshold?: number;
}
interface Pipeline extends Crop {
  readonly jitter: Jitter | null;
  readonly gray: boolean;
  readonly blur_radius: number | null;
  readonly solarize: boolean;
}

interface Info {
  readonly images: Readonly<Record<string, { readonly width: number; readonly height: number }>>;
  readonly crops: Readonly<Record<string, Crop>>;
  readonly color: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly pipelines: Readonly<Record<string, Pipeline>>;
}

const reference = golden<Info>("augment");
const { info } = reference;

/** The reference keeps its views as height × width × 3. */
function planar(hwc: Uint8Array): Uint8Array {
  const n = hwc.length / 3;
  return hwc.map((_, i) => hwc[3 * (i % n) + Math.floor(i / n)]!);
}

function cutOf({ i, j, h, w, flip }: Crop): Cut {
  return { box: { x: j, y: i, width: w, height: h }, flip };
}

function pictureOf({ image }: Crop): Picture {
  return { ...info.images[image]!, rgb: reference.uint8(`${image}/rgb`) };
}

function jitterSteps({ order, factors }: Pick<Jitter, "order" | "factors">): ColorStep[] {
  return order.map((change) => ({ change, amount: factors[change]! }));
}

/** What the product does, and the witness that it is compared with elsewhere. */
const implementations = { native: { drawView, drawMask, recolor }, witness };

describe.each(Object.entries(implementations))("%s", (_, { drawView, drawMask, recolor }) => {
  describe("crop, resize and flip are Pillow's, byte for byte", () => {
    test.each(Object.entries(info.crops))("%s", (name, crop) => {
      const { image, size } = crop;
      const [picture, cut] = [pictureOf(crop), cutOf(crop)];
      const pixels = new Uint8Array(3 * size * size);
      drawView(picture, cut, size, pixels);
      expect(firstDifference(pixels, planar(reference.uint8(`crop/${name}/rgb`)))).toBe(-1);
      const mask = { ...picture, pixels: reference.uint8(`${image}/label`) };
      const out = new Uint8Array(size ** 2);
      drawMask(mask, cut, size, out);
      expect(firstDifference(out, reference.uint8(`crop/${name}/label`))).toBe(-1);
    });
  });

  describe("photometric changes are Pillow's, byte for byte", () => {
    const operations = Object.entries(info.color).flatMap(([crop, named]) =>
      Object.entries(named)
        .filter(([name]) => name !== "normalized") // the engine does it
        .map(([name, operation]) => [crop, name, operation] as const),
    );
    const changes = ["brightness", "contrast", "saturation", "hue", "gray", "blur", "solarize"];
    test.each(operations)("%s %s", (crop, name, operation) => {
      const pixels = planar(reference.uint8(`color/${crop}/input`));
      const { order, factors, factor, radius, threshold } = operation;
      const change = changes.find((word) => name.startsWith(word)) as Change | undefined;
      const steps = change
        ? [{ change, amount: factor ?? radius ?? threshold ?? 128 }]
        : jitterSteps({ order: order!, factors: factors! });
      recolor(pixels, Math.sqrt(pixels.length / 3), steps);
      expect(firstDifference(pixels, planar(reference.uint8(`color/${crop}/${name}`)))).toBe(-1);
    });
  });

  describe("whole chains are the published transform's, byte for byte", () => {
    test.each(Object.entries(info.pipelines))("%s", (name, chain) => {
      const { size, jitter, gray, blur_radius: radius, solarize } = chain;
      const steps = [
        ...(jitter ? jitterSteps(jitter) : []),
        ...(gray ? [{ change: "gray", amount: 0 } as const] : []),
        ...(radius === null ? [] : [{ change: "blur", amount: radius } as const]),
        ...(solarize ? [{ change: "solarize", amount: 128 } as const] : []),
      ];
      const pixels = new Uint8Array(3 * size * size);
      drawView(pictureOf(chain), cutOf(chain), size, pixels, steps);
      expect(firstDifference(pixels, planar(reference.uint8(`pipeline/${name}/rgb`)))).toBe(-1);
    });
  });
});
