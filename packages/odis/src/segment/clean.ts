import { type Rle, rleArea, rleFromMask, rleIou, rleToMask } from "../objects/index.js";
import type { Picture } from "./found.js";

/** Which objects are worth keeping. */
export interface CleanSettings {
  /** smaller ones are dropped: share of the picture */
  readonly minArea: number;
  /** larger ones are dropped: a mask of the whole picture tells nothing */
  readonly maxArea: number;
  /** of two masks that overlap more, intersection over union, the less sure one is dropped */
  readonly duplicates: number;
  /** gives pixels that several masks claim to the surest of them */
  readonly exclusive: boolean;
}

export const cleanDefaults: CleanSettings = {
  minArea: 0.001,
  maxArea: 0.95,
  duplicates: 0.8,
  exclusive: false,
};

/** One mask with what is known of it. */
export interface Candidate {
  readonly score: number;
  readonly label: number;
  readonly mask: Rle;
}

/** @returns what stays, the surest first */
export function cleaned(
  candidates: readonly Candidate[],
  settings: CleanSettings,
  { width, height }: Pick<Picture, "width" | "height">,
): Candidate[] {
  const { minArea, maxArea, duplicates, exclusive } = settings;
  const pixels = width * height;
  const fits = ({ mask }: Candidate): boolean => {
    const area = rleArea(mask);
    return area > 0 && area >= minArea * pixels && area <= maxArea * pixels;
  };
  const kept: Candidate[] = [];
  for (const candidate of candidates.filter(fits).toSorted((a, b) => b.score - a.score))
    if (!kept.some((better) => rleIou(better.mask, candidate.mask) > duplicates))
      kept.push(candidate);
  return exclusive ? disjoint(kept, pixels).filter(fits) : kept;
}

function disjoint(candidates: readonly Candidate[], pixels: number): Candidate[] {
  const taken = new Uint8Array(pixels);
  return candidates.map((candidate) => {
    const { width, height } = candidate.mask;
    const own = rleToMask(candidate.mask);
    for (let at = 0; at < pixels; at += 1) {
      if (taken[at] === 1) own[at] = 0;
      else if (own[at] === 1) taken[at] = 1;
    }
    return { ...candidate, mask: rleFromMask(own, width, height) };
  });
}
