import { type Tensor, tidy } from "@odis/torch";
import type { FrameOptions } from "./frame.js";
import { blockElements } from "./knn.js";
import { iouCounts, type IouCounts, labelMap } from "./label-map.js";
import type { Measured } from "./outcome.js";
import type { PassReader, PassRow, PassTokens } from "./passes.js";

/** What a patch shows, by some way: [P, D] features -> [P, classes] scores. */
export type Classify = (patches: Tensor) => Tensor;

/** Segments the images of passes and counts right pixels of the framed images. */
export class PatchJudge implements PassReader {
  readonly blocks = 1;
  readonly patches = true;
  private readonly images: string[] = [];
  private readonly counts: IouCounts[] = [];

  constructor(
    private readonly name: string,
    private readonly options: FrameOptions & { readonly classes: number },
    private readonly classify: Classify,
  ) {}

  read(tokens: PassTokens, rows: readonly PassRow[]): void {
    const { size, patch, classes } = this.options;
    const patches = tokens.patches[0]!;
    const [, N, D] = patches.dims(3);
    const side = size / patch;
    const atOnce = Math.max(1, Math.floor(blockElements / (classes * size * size)));
    for (let begin = 0; begin < rows.length; begin += atOnce) {
      const some = rows.slice(begin, begin + atOnce);
      const predicted = tidy(() =>
        this.classify(patches.narrow(0, begin, some.length).reshape([some.length * N, D]))
          .reshape([some.length, side, side, classes])
          .permute([0, 3, 1, 2])
          .contiguous()
          .upsampleBilinear2d([size, size])
          .argmax(1)
          .to({ dtype: "int32" })
          .toArray(),
      ) as Int32Array;
      for (const [at, { image }] of some.entries()) {
        const mine = predicted.subarray(at * size * size, (at + 1) * size * size);
        this.counts.push(iouCounts(mine, labelMap(image, this.options), classes));
        this.images.push(image.sample.key);
      }
    }
  }

  measured(): Measured {
    const { classes } = this.options;
    const { images, counts } = this;
    const all = (of: (one: IouCounts) => Int32Array): Int32Array =>
      Int32Array.from(counts.flatMap((one) => Array.from(of(one))));
    const intersections = all((one) => one.intersections);
    const unions = all((one) => one.unions);
    return [`dense/${this.name}/miou`, { kind: "iou", images, classes, intersections, unions }];
  }
}
