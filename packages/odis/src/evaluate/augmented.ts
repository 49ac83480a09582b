import { Rng } from "../core/index.js";
import type { FramedImage, FrameOptions, Window } from "../features/index.js";
import { frameBox } from "../portable/index.js";
import { drawCropBox, drawEachJitter } from "../views/index.js";

/** Two thirds of the areas are more than the picture has; after ten sizes that do not fit its largest crop is taken. */
const crops = { scale: [0.5, 2], aspect: [3 / 4, 4 / 3] } as const;

/** Each change with this chance, on its own. */
const jitter = { p: 0.5, brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.1 } as const;

export interface AugmentedOptions extends Pick<FrameOptions, "frame"> {
  /** how often each picture is shown */
  readonly epochs: number;
  readonly seed: number;
}

/**
 * What the memory of nearest patches is filled from: each picture some times, each time another crop of what
 * the frame shows in somewhat other colours, not mirrored. Numbers are those of the published evaluation
 * (open-hummingbird-eval); it changes the colours of the picture and then crops, bilinearly, where here, as in
 * all views, the crop is drawn first, bicubically.
 */
export function augmentedWindows(
  { index: image, sample }: Pick<FramedImage, "index" | "sample">,
  { epochs, seed, frame }: AugmentedOptions,
): readonly Window[] {
  const shown = frameBox(sample, frame);
  return Array.from({ length: epochs }, (_, index) => {
    const rng = new Rng("augmented patches", seed, image, index);
    const { x, y, ...sides } = drawCropBox(shown.width, shown.height, crops, rng);
    const box = { x: shown.x + x, y: shown.y + y, ...sides };
    return { box, index, of: epochs, steps: drawEachJitter(jitter, rng) };
  });
}
