import { noGrad, tidy } from "@odis/torch";
import sharp from "sharp";
import { drawViews } from "../augment/index.js";
import { Rng } from "../core/index.js";
import { decodePhoto } from "../data/index.js";
import { objectFromBox } from "../objects/index.js";
import {
  carryPicture,
  FRAME_NUMBERS,
  makeViews,
  newViewSlots,
  planViews,
  roomForPicture,
  viewConfig,
} from "../views/index.js";

/** Photographs a second. */
export interface ViewRates {
  /** one core: decoded, planned and drawn */
  readonly drawn: number;
  /** one core: decoded and planned, so that the device draws (`views.drawnBy`) */
  readonly planned: number;
  /** the device: drawn */
  readonly device: number;
}

const [width, height] = [640, 480] as const;
const patch = 16;
/** Drawn at a time on a GPU, and on a CPU. */
const [batch, fewer] = [32, 2] as const;

/** What the rates are of, in words. */
export const viewsMeasured = `${width} x ${height} to 2 x 224 + 10 x 96`;

/** How fast photographs become views of the published sizes; takes about two seconds. */
export async function measureViews(device: string): Promise<ViewRates> {
  const views = viewConfig.parse({});
  const file = await photograph();
  const slots = newViewSlots(views, patch);
  const [room, frame] = [new Uint8Array(roomForPicture(views)), new Int32Array(FRAME_NUMBERS)];
  let image = 0;
  const sample = async () => {
    const picture = await decodePhoto(file, "photograph");
    const object = objectFromBox([200, 120, 240, 200], picture, { label: 0 });
    image += 1;
    const rng = new Rng("views", 0, 0, image);
    return { sample: { ...picture, objects: [object] }, rng };
  };
  const drawn = await rate(async () => {
    const { sample: one, rng } = await sample();
    makeViews(one, views, patch, rng, slots);
  });
  const planned = await rate(async () => {
    const { sample: one, rng } = await sample();
    planViews(one, views, patch, rng, slots);
    carryPicture(one, room, frame);
  });
  const { sample: one } = await sample();
  const images = Array.from({ length: device === "cpu" ? fewer : batch }, () => image++);
  const plans = images.map((at) => planViews(one, views, patch, new Rng("views", at), slots));
  const pictures = images.map(() => ({ ...one, reduced: [1, 1] as const }));
  const kinds = (["global", "local"] as const).map((kind) => {
    const { count, size } = views[`${kind}s`];
    const all = Array.from({ length: count }, (_, view) => plans.map((plan) => plan[kind][view]!));
    return { plans: all.flat(), size };
  });
  const onDevice = await rate(() => {
    noGrad(() =>
      tidy(() => {
        // Their sums wait for the device.
        for (const x of drawViews(pictures, kinds, device)) x.sum().toNumbers();
      }),
    );
  });
  return { drawn, planned, device: onDevice * images.length };
}

/** Calls a second, of the fastest of several: the others were disturbed. */
async function rate(work: () => void | Promise<void>): Promise<number> {
  let best = Infinity;
  const began = performance.now();
  for (let round = 0; round < 40 && (round < 4 || performance.now() - began < 500); round += 1) {
    const start = performance.now();
    await work();
    if (round > 0) best = Math.min(best, performance.now() - start); // the first one warms up
  }
  return 1000 / best;
}

/** A JPEG with slopes, edges and noise, of as many bytes as COCO's have in the mean: decoding goes by bytes, too. */
async function photograph(): Promise<Buffer> {
  const rng = new Rng("photograph");
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, at) => {
    const [x, y] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    const slope = 90 * Math.sin(x / 41 + (at % 3)) * Math.cos(y / 29);
    return 128 + slope + (x % 97 < 40 ? 20 : -20) + rng.int(-40, 40);
  });
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}
