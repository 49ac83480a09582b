import { fromBuffer, noGrad, tidy } from "@odis/torch";
import { DataError } from "../errors.js";
import { Rng } from "../rng.js";
import type { ProbeChoice, Probes, Samples } from "./probe.js";

/** The share of the bank's images that probes are chosen on, and not trained on. */
const heldOutShare = 0.1;

/**
 * Images to choose probes on. Whole ones are held out: what is in one image resembles each other.
 *
 * @param images those of the bank, each once
 * @throws DataError when there are less than two
 */
export function heldOutImages(images: readonly number[], seed: number): ReadonlySet<number> {
  if (images.length < 2)
    throw new DataError(
      `evaluation: linear probes are chosen on images that they were not trained on, but the ` +
        `train data has ${images.length} image with a labelled object. Wanted 2 or more, or another ` +
        `suite.`,
    );
  const order = [...new Rng("validation", seed).permutation(images.length)];
  const held = order.slice(0, Math.max(1, Math.round(heldOutShare * images.length)));
  return new Set(held.map((at) => images[at]!));
}

/**
 * The best probe on samples that it was not trained on; of equally good ones the one with the
 * lower cross-entropy, and then the first.
 *
 * @param score of predicted classes [n] against the largest targets [n]
 */
export function chooseProbe(
  probes: Probes,
  validation: Samples,
  score: (predicted: Int32Array, truth: Int32Array) => number,
): ProbeChoice {
  return noGrad(() =>
    tidy(() => {
      const features = probes.upload(validation);
      const [n] = features.dims(2);
      const targets = fromBuffer(validation.targets, [n, 1, probes.classes]).to({
        device: features.device,
      });
      const truth = Int32Array.from(targets.argmax(-1).toNumbers());
      let best: (ProbeChoice & { readonly loss: number }) | undefined;
      for (const at of probes.columns.keys()) {
        const logits = probes.logits(at, features);
        const losses = logits.logSoftmax(-1).mul(targets).sum(-1).mean(0).neg().toFloat32();
        const predicted = logits.argmax(-1).transpose(0, 1).contiguous().toNumbers(); // [L, n]
        for (const rate of probes.learningRates.keys()) {
          const mine = Int32Array.from(predicted.slice(rate * n, (rate + 1) * n));
          const found = { at, rate, score: score(mine, truth), loss: losses[rate]! };
          const better =
            !best ||
            found.score > best.score ||
            (found.score === best.score && found.loss < best.loss);
          if (better) best = found;
        }
      }
      const { at, rate, score: reached } = best!;
      return { at, rate, score: reached };
    }),
  );
}
