import { describe, expect, test } from "vitest";
import { blur } from "../../src/views/color.js";
import {
  brightness,
  contrast,
  grayscale,
  hue,
  jitter,
  type JitterStep,
  saturation,
  solarize,
} from "../../src/views/color.js";
import { type Geometry, resampleBicubic, resampleNearest } from "../../src/views/resample.js";
import { firstDifference, golden } from "../golden.js";

interface Cut {
  readonly image: string;
  readonly i: number;
  readonly j: number;
  readonly h: number;
  readonly w: number;
  readonly size: number;
  readonly flip: boolean;
}
interface Jitter {
  readonly order: readonly JitterStep[];
  readonly factors: Readonly<Record<JitterStep, number>>;
}
interface Operation {
  readonly order?: Jitter["order"];
  readonly factors?: Jitter["factors"];
  readonly factor?: number;
  readonly radius?: number;
  readonly threshold?: number;
}
interface Pipeline extends Cut {
  readonly jitter: Jitter | null;
  readonly gray: boolean;
  readonly blur_radius: number | null;
  readonly solarize: boolean;
}

interface Info {
  readonly images: Readonly<Record<string, { readonly width: number; readonly height: number }>>;
  readonly crops: Readonly<Record<string, Cut>>;
  readonly color: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly pipelines: Readonly<Record<string, Pipeline>>;
}

const reference = golden<Info>("augment");
const { info } = reference;

function cut({ image, i, j, h, w, size, flip }: Cut) {
  const picture = { ...info.images[image]!, rgb: reference.uint8(`${image}/rgb`) };
  const view: Geometry = { box: { x: j, y: i, width: w, height: h }, flip };
  const pixels = new Uint8Array(3 * size * size);
  resampleBicubic(picture, view, size, pixels);
  return { picture, view, pixels };
}

/** The reference keeps its views as height × width × 3. */
function planar(hwc: Uint8Array): Uint8Array {
  const n = hwc.length / 3;
  return hwc.map((_, i) => hwc[3 * (i % n) + Math.floor(i / n)]!);
}

function applyAll(pixels: Uint8Array, order: Jitter["order"], factors: Jitter["factors"]): void {
  for (const step of order) jitter(pixels, step, factors[step]);
}

describe("crop, resize and flip are Pillow's, byte for byte", () => {
  test.each(Object.entries(info.crops))("%s", (name, crop) => {
    const { picture, view, pixels } = cut(crop);
    expect(firstDifference(pixels, planar(reference.uint8(`crop/${name}/rgb`)))).toBe(-1);
    const label = reference.uint8(`${crop.image}/label`);
    const out = new Uint8Array(crop.size ** 2);
    resampleNearest(label, picture.width, view, crop.size, out);
    expect(firstDifference(out, reference.uint8(`crop/${name}/label`))).toBe(-1);
  });
});

describe("photometric changes are Pillow's, byte for byte", () => {
  const operations = Object.entries(info.color).flatMap(([crop, named]) =>
    Object.entries(named)
      .filter(([name]) => name !== "normalized") // the engine does it
      .map(([name, operation]) => [crop, name, operation] as const),
  );
  test.each(operations)("%s %s", (crop, name, operation) => {
    const pixels = planar(reference.uint8(`color/${crop}/input`));
    const amount = operation.factor ?? operation.radius ?? 0;
    if (name.startsWith("brightness")) brightness(pixels, amount);
    else if (name.startsWith("contrast")) contrast(pixels, amount);
    else if (name.startsWith("saturation")) saturation(pixels, amount);
    else if (name.startsWith("hue")) hue(pixels, amount);
    else if (name.startsWith("gray")) grayscale(pixels);
    else if (name.startsWith("blur")) blur(pixels, Math.sqrt(pixels.length / 3), amount);
    else if (name.startsWith("solarize")) solarize(pixels, operation.threshold);
    else applyAll(pixels, operation.order!, operation.factors!);
    expect(firstDifference(pixels, planar(reference.uint8(`color/${crop}/${name}`)))).toBe(-1);
  });
});

describe("whole chains are the published transform's, byte for byte", () => {
  test.each(Object.entries(info.pipelines))("%s", (name, chain) => {
    const { pixels } = cut(chain);
    if (chain.jitter) applyAll(pixels, chain.jitter.order, chain.jitter.factors);
    if (chain.gray) grayscale(pixels);
    if (chain.blur_radius !== null) blur(pixels, chain.size, chain.blur_radius);
    if (chain.solarize) solarize(pixels);
    expect(firstDifference(pixels, planar(reference.uint8(`pipeline/${name}/rgb`)))).toBe(-1);
  });
});
