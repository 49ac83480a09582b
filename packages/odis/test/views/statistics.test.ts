import { describe, expect, test } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { viewConfig } from "../../src/views/config.js";
import { drawCropBox } from "../../src/views/crop-box.js";
import { hidePatches } from "../../src/views/hidden.js";
import { golden } from "../golden.js";

interface Summary {
  readonly mean: number;
  readonly std: number;
  readonly quantiles: readonly number[];
}
interface CropStats {
  readonly image_h: number;
  readonly image_w: number;
  readonly scale: readonly [number, number];
  readonly ratio: readonly [number, number];
  readonly draws: number;
  readonly area_fraction: Summary;
  readonly aspect_w_over_h: Summary;
  readonly log_aspect: Summary;
  readonly rel_top: Summary;
  readonly rel_left: Summary;
  readonly center_y: Summary;
  readonly center_x: Summary;
  readonly share_equal_to_central_fallback: number;
  readonly share_full_height: number;
  readonly share_full_width: number;
}
interface HiddenStats {
  readonly pred_ratio: number | readonly number[];
  readonly pred_ratio_var: number | readonly number[];
  readonly pred_shape: "block" | "rand";
  readonly grid: number;
  readonly aspect: readonly [number, number];
  readonly draws: number;
  readonly mean_ratio: number;
  readonly share_empty: number;
  readonly mean_ratio_of_nonempty: number;
  readonly quantiles_nonempty: readonly number[];
  readonly hist_edges: readonly number[];
  readonly mean_cell_probability_rows: readonly number[];
  readonly corner_probability: readonly number[];
  readonly center_probability: number;
}

const reference = golden<{
  readonly rrc: Readonly<Record<string, CropStats>>;
  readonly block_mask: Readonly<Record<string, HiddenStats>>;
}>("augment-stats");
const { info } = reference;
const levels = reference.floats("quantile_levels");

/** Linear interpolation between order statistics. */
function quantiles(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return Array.from(levels, (level) => {
    const at = level * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
    return low + (high - low) * (at % 1);
  });
}

function expectNear(got: readonly number[], wanted: readonly number[], tolerance: number): void {
  const worst = Math.max(...got.map((value, i) => Math.abs(value - wanted[i]!)));
  expect(worst, `${got.join(" ")} against ${wanted.join(" ")}`).toBeLessThan(tolerance);
}

/** Two shares of as many draws differ by chance; four sigmas of that are let pass. */
function expectShare(got: number, wanted: number, draws: number): void {
  const share = (got + wanted) / 2;
  const sigma = Math.sqrt((2 * share * (1 - share)) / draws);
  expect(Math.abs(got - wanted)).toBeLessThanOrEqual(4 * sigma + 1 / draws);
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("crop boxes are distributed as the published ones", () => {
  test.each(Object.entries(info.rrc))("%s", (name, wanted) => {
    const { image_h: H, image_w: W, draws } = wanted;
    const rng = new Rng("crop statistics", name);
    const crops = { scale: wanted.scale, aspect: wanted.ratio };
    const boxes = Array.from({ length: draws }, () => drawCropBox(W, H, crops, rng));

    const summaries: readonly (readonly [number[], Summary, number])[] = [
      [boxes.map((b) => (b.width * b.height) / (W * H)), wanted.area_fraction, 0.02],
      [boxes.map((b) => b.width / b.height), wanted.aspect_w_over_h, 0.03],
      [boxes.map((b) => Math.log(b.width / b.height)), wanted.log_aspect, 0.03],
      [boxes.map((b) => (b.x + b.width / 2) / W), wanted.center_x, 0.02],
      [boxes.map((b) => (b.y + b.height / 2) / H), wanted.center_y, 0.02],
      [boxes.filter((b) => b.width < W).map((b) => b.x / (W - b.width)), wanted.rel_left, 0.02],
      [boxes.filter((b) => b.height < H).map((b) => b.y / (H - b.height)), wanted.rel_top, 0.02],
    ];
    for (const [values, summary, tolerance] of summaries) {
      // Few crops leave room to move in the extreme image: their mean alone, within its own noise.
      const few = values.length < 1000;
      const noise = few ? 4 * summary.std * Math.sqrt(2 / values.length) : tolerance;
      expectNear([mean(values)], [summary.mean], noise);
      if (!few) expectNear(quantiles(values), summary.quantiles, tolerance);
    }
    const share = (keep: (box: (typeof boxes)[number]) => boolean) =>
      boxes.filter(keep).length / draws;
    expectShare(
      share((b) => b.height === H),
      wanted.share_full_height,
      draws,
    );
    expectShare(
      share((b) => b.width === W),
      wanted.share_full_width,
      draws,
    );
    const none = { scale: [4, 4], aspect: wanted.ratio } as const; // fits never: the fallback
    const central = drawCropBox(W, H, none, rng);
    expectShare(
      share(
        (b) =>
          b.x === central.x &&
          b.y === central.y &&
          b.width === central.width &&
          b.height === central.height,
      ),
      wanted.share_equal_to_central_fallback,
      draws,
    );
  });
});

describe("hidden patches are distributed as the published ones", () => {
  test.each(Object.entries(info.block_mask))("%s", (name, wanted) => {
    const { grid, draws } = wanted;
    const cells = grid * grid;
    const config = viewConfig.parse({
      hidden: {
        shape: wanted.pred_shape === "rand" ? "random" : "block",
        ratio: [wanted.pred_ratio].flat(),
        variance: [wanted.pred_ratio_var].flat(),
        aspect: wanted.aspect,
      },
    });
    const rng = new Rng("hidden statistics", name);
    const out = new Uint8Array(cells);
    const total = new Float64Array(cells);
    const ratios = Array.from({ length: draws }, () => {
      const count = hidePatches(config.hidden, grid, grid, rng, out);
      let sum = 0;
      out.forEach((bit, i) => {
        sum += bit;
        total[i]! += bit / draws;
      });
      expect(count).toBe(sum);
      return count / cells;
    });

    const hidden = ratios.filter((ratio) => ratio > 0);
    expectNear([mean(ratios)], [wanted.mean_ratio], 0.004);
    expectNear([mean(hidden)], [wanted.mean_ratio_of_nonempty], 0.004);
    expectShare(1 - hidden.length / draws, wanted.share_empty, draws);
    expectNear(quantiles(hidden).slice(1), wanted.quantiles_nonempty.slice(1), 0.02);
    for (const [bin, count] of reference.integers(`block_mask/${name}/hist`).entries()) {
      const [low, high] = [wanted.hist_edges[bin]!, wanted.hist_edges[bin + 1]!];
      const got = ratios.filter((ratio) => ratio >= low && ratio < high).length;
      expectShare(got / draws, count / draws, draws);
    }
    const rows = wanted.mean_cell_probability_rows.map((_, y) =>
      mean([...total.subarray(y * grid, (y + 1) * grid)]),
    );
    expectNear(rows, wanted.mean_cell_probability_rows, 0.01);
    const corners = [total[0]!, total[grid - 1]!, total[cells - grid]!, total[cells - 1]!];
    for (const corner of corners) expectShare(corner, mean(wanted.corner_probability), draws);
    const center = total[Math.floor(grid / 2) * (grid + 1)]!;
    expectShare(center, wanted.center_probability, draws);
  });
});
