import { type Rle, rleFromMask, rleIou } from "../../objects/index.js";
import { type LabelMap, segmentGraph } from "../felzenszwalb.js";
import type { Found, Picture } from "../found.js";
import { type Maker, placeBehind } from "../maker.js";
import { type Proposal, proposals } from "../proposals.js";
import { resizePillow } from "../../portable/index.js";

const defaults = { score: 0.05, overlap: 0.5, most: 5, size: 256 } as const;

/** Graph segmentation at the working size: some hundred regions a photograph. */
const GRAPH = { scale: 250, least: 30 } as const;

/** Where nothing was trained yet: regions of alike colour that differ from what is round them. */
export const regions: Maker = {
  name: "regions",
  places: "regions",
  about: "no network: regions of alike colour that differ from what is round them",
  reads: ["score", "overlap", "most", "size"],
  parse: (text) => (placeBehind("regions", text) === "" ? "" : undefined),
  async open(_place, options) {
    const settings = {
      score: options.score ?? defaults.score,
      overlap: options.overlap ?? defaults.overlap,
      most: options.most ?? defaults.most,
      size: options.size ?? defaults.size,
    };
    return {
      finder: { classes: [], find: async (picture) => find(picture, settings) },
      provenance: { maker: "regions", files: [], settings: { ...GRAPH, ...settings } },
      close: async () => undefined,
    };
  },
};

interface Settings {
  readonly score: number;
  readonly overlap: number;
  readonly most: number;
  readonly size: number;
}

function find(picture: Picture, { score: least, overlap, most, size }: Settings): Found[] {
  const { width, height, rgb: data } = picture;
  const ratio = Math.min(1, size / Math.max(width, height));
  const side = (length: number) => Math.max(1, Math.round(length * ratio));
  const small = resizePillow(
    { width, height, channels: 3, data },
    side(width),
    side(height),
    "bilinear",
  );
  const map = segmentGraph(small, GRAPH);
  const kept: { readonly score: number; readonly mask: Rle; readonly proposal: Proposal }[] = [];
  const ranked = proposals(map, small).toSorted((a, b) => b.score - a.score);
  for (const proposal of ranked) {
    if (kept.length === most || proposal.score < least) break;
    const mask = maskOf(proposal, map, map);
    if (kept.every((better) => rleIou(better.mask, mask) <= overlap))
      kept.push({ score: proposal.score, mask, proposal });
  }
  return kept.map(({ score, proposal }) => ({
    score: Math.min(1, score),
    label: -1,
    mask: maskOf(proposal, map, picture),
  }));
}

/** The mask of some regions at another size: each pixel as the region that holds its middle. */
function maskOf(
  proposal: Proposal,
  map: LabelMap,
  { width, height }: { readonly width: number; readonly height: number },
): Rle {
  const own = new Uint8Array(map.count);
  for (const region of proposal.regions) own[region] = 1;
  const pixels = new Uint8Array(width * height);
  for (let y = 0, at = 0; y < height; y += 1) {
    const row = Math.floor(((y + 0.5) * map.height) / height) * map.width;
    for (let x = 0; x < width; x += 1, at += 1)
      pixels[at] = own[map.labels[row + Math.floor(((x + 0.5) * map.width) / width)]!]!;
  }
  return rleFromMask(pixels, width, height);
}
