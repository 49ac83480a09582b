import type { Rle } from "../../../objects/index.js";
import { type Found, maskAbove, type Picture } from "../../found.js";
import { resizeLinear } from "../../resize.js";
import { type Adapter, namesFor, outputNames } from "../adapter.js";
import type { Signature, Values } from "../network.js";
import { preparations, prepared } from "../processor.js";
import { indexOfMost, pictureFeeds, rowOf, sigmoid, softmax } from "../queries.js";

/** Names of the outputs of DETR and of MaskFormer, in Hugging Face's spelling. */
const spellings = [
  { logits: "logits", masks: "pred_masks" },
  { logits: "class_queries_logits", masks: "masks_queries_logits" },
] as const;

const outputsOf = (network: Signature) =>
  spellings.find(({ logits, masks }) =>
    [logits, masks].every((name) => outputNames(network).includes(name)),
  );

/** A mask counts where its probability is at least this. */
const INSIDE = 0.5;

/** Queries compete for pixels; one that keeps too little of its own mask is dropped. */
export const panoptic: Adapter = {
  name: "panoptic",
  about: "DETR panoptic, MaskFormer: masks that do not overlap",
  defaults: { score: 0.5, overlap: 0.2, most: 100 },
  recognise: ([network, ...others]) =>
    network && others.length === 0 && outputsOf(network) ? "yes" : "no",
  open: ([network, ...others], settings) => {
    const outputs = outputsOf(network!.signature);
    if (!outputs || others.length > 0)
      throw network!.unfit(
        `is no panoptic network: wanted one file with the outputs logits and pred_masks; it has ` +
          outputNames(network!.signature).join(", "),
      );
    const classes: string[] = [];
    return {
      classes,
      async find(picture, { key }) {
        const feed = prepared(picture, network!, preparations.detr, settings.size);
        const feeds = pictureFeeds(network!, feed);
        const [logits, masks] = await network!.run(feeds, [outputs.logits, outputs.masks], key);
        network!.expect(logits!, outputs.logits, [1, -1, -1]);
        network!.expect(masks!, outputs.masks, [1, logits!.shape[1]!, -1, -1]);
        const known = network!.signature.neighbours.classes;
        classes.push(...namesFor(known, logits!.shape[2]! - 1).slice(classes.length));
        const parts = compete(sureQueries(logits!, settings.score), masks!, picture);
        return parts
          .filter(({ share }) => share > 1 - settings.overlap)
          .slice(0, settings.most)
          .map(({ score, label, mask }): Found => ({ score, label, mask }));
      },
    };
  },
};

interface Query {
  readonly query: number;
  readonly label: number;
  readonly score: number;
}

function sureQueries(logits: Values, least: number): Query[] {
  const [, queries = 0, classes = 0] = logits.shape;
  return Array.from({ length: queries }, (_, query): Query => {
    const shares = softmax(rowOf(logits, query));
    const label = indexOfMost(shares);
    return { query, label, score: shares[label]! };
  }).filter(({ label, score }) => label < classes - 1 && score > least);
}

/** Each pixel goes to the query with the highest score times probability of its mask there. */
function compete(
  queries: readonly Query[],
  { data, shape }: Values,
  picture: Picture,
): (Query & { mask: Rle; share: number })[] {
  const [, , height = 0, width = 0] = shape;
  const pixels = picture.width * picture.height;
  const best = new Float32Array(pixels).fill(-1);
  const winner = new Int32Array(pixels).fill(-1);
  const own = queries.map(({ query, score }, index) => {
    const plane = data.subarray(query * width * height, (query + 1) * width * height);
    const probabilities = { width, height, data: plane.map(sigmoid) };
    const full = resizeLinear(probabilities, picture.width, picture.height).data;
    let area = 0;
    for (let at = 0; at < pixels; at += 1) {
      const value = Math.fround(full[at]! * Math.fround(score));
      if (value >= INSIDE) area += 1;
      if (value <= best[at]!) continue;
      best[at] = value;
      winner[at] = index;
    }
    return area;
  });
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height };
  return queries.map((query, index) => {
    const mine = Uint8Array.from(winner, (won) => Number(won === index));
    const kept = mine.reduce((sum, bit) => sum + bit, 0);
    const share = own[index]! > 0 ? kept / own[index]! : 0;
    return { ...query, mask: maskAbove(mine, 0, whole, picture), share };
  });
}
