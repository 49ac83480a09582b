import { fromBuffer, noGrad, tidy, zeros } from "@odis/torch";
import { type FeatureSet, modeRules } from "../../features/index.js";
import { unit } from "../neighbours.js";
import { imageNames, type Measured } from "../outcome.js";
import { joined, type SharedSet, type Sharing } from "../shares.js";
import { type Finding, nameOf, type ReadJob, suite } from "../suite.js";
import { classesAhead } from "../votes.js";

/** Classes of objects by the nearest class mean: k-NN's cheap cousin, a linear classifier without training. */
export const centroid = suite({
  name: "centroid",
  summary: "nearest class mean",
  settings: {},
  options: {},
  needs: ({ modes }) => ({ modes }),
  measure,
  describe: ({ settings: { modes } }) => ({
    meaning:
      "Nearest mean: each test object takes the class whose mean feature in the bank is nearest; all features have length 1.",
    tables: [
      {
        title: "nearest class mean, top-1, per cent",
        short: "nearest mean",
        classes: true,
        says: `it recognises an object ${modeRules[modes[0]!].shown}, by the nearest class mean`,
        figures: modes.map((mode) => ({
          key: `centroid-${mode}`,
          title: modeRules[mode].name,
          measure: `object/${mode}/centroid/top1`,
          mode,
        })),
      },
    ],
  }),
});

function* measure(job: ReadJob<object>): Iterable<Finding> {
  const { representations, settings, bank, queries, classes } = job;
  for (const { name } of representations)
    for (const mode of settings.modes) {
      const [from, of] = [bank, queries].map((data) => data.summaries(name, mode, "object"));
      for (const [measure, outcome] of centroidShares(from!, of!, classes.length, job))
        yield { name: nameOf(name, `object/${mode}/${measure}`), outcome };
    }
}

/**
 * Classes by the nearest mean of unit features (SimpleShot's L2N without its centring, Wang et al.
 * 2019; the rule of scikit-learn's `NearestCentroid`). Each process adds up its own rows, and answers
 * its own queries.
 *
 * @returns `centroid/top1`, `centroid/top5`; a class that the bank does not have is never an answer
 */
export function centroidShares(
  bank: SharedSet,
  queries: SharedSet,
  classes: number,
  { world, device }: Sharing,
): readonly Measured[] {
  const counts = new Float32Array(classes);
  for (const label of bank.labels) counts[label]! += 1;
  const scores = noGrad(() =>
    tidy(() => {
      const rows = ({ features, width }: FeatureSet) =>
        unit(fromBuffer(features, [features.length / width, width], { device }));
      const own = BigInt64Array.from(bank.own.labels, BigInt);
      const labels = fromBuffer(own, [own.length], { device });
      const sums = zeros([classes, bank.own.width], { device }).indexAdd(0, labels, rows(bank.own));
      world.sum([sums]);
      const means = sums.div(fromBuffer(counts, [classes, 1], { device }).clampMin(1));
      // Of |query - mean|², the query's own length is the same for all classes.
      const nearness = rows(queries.own).matmul(means.transpose(0, 1)).mul(2);
      return nearness.sub(means.pow(2).sum(1)).toFloat32();
    }),
  );
  const ahead = Array.from(queries.own.labels, (label, row) => {
    const mine = scores.subarray(row * classes, (row + 1) * classes);
    const known = mine.map((score, c) => (counts[c]! > 0 ? score : -Infinity));
    return counts[label] === 0 ? Infinity : classesAhead(known, label);
  });
  const images = imageNames(queries.items);
  return ([1, 5] as const).map((top) => {
    const hits = joined(
      world,
      Uint8Array.from(ahead, (n) => Number(n < top)),
    );
    return [`centroid/top${top}`, { kind: "share", hits, images }];
  });
}
