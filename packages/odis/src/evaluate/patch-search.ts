import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { blockElements, unit } from "./knn.js";
import type { Samples } from "./probe.js";

/** Labelled patches that other patches are compared with. */
export class PatchSearch implements Disposable {
  /** [D, M], columns of unit length */
  private readonly keys: Tensor;
  /** [M, classes] */
  private readonly labels: Tensor;

  constructor(
    { features, width, targets, classes }: Samples,
    private readonly settings: { readonly k: number; readonly temperature: number },
    device: string,
  ) {
    const n = features.length / width;
    this.keys = noGrad(() =>
      tidy(() =>
        unit(fromBuffer(features, [n, width], { device }))
          .transpose(0, 1)
          .contiguous(),
      ),
    );
    this.labels = fromBuffer(targets, [n, classes], { device });
  }

  /**
   * The nearest patches' shares of classes, mixed by the softmax of their cosine similarities.
   *
   * @param patches [P, D]
   * @returns [P, classes]; rows sum to 1
   */
  classify(patches: Tensor): Tensor {
    const [M, classes] = this.labels.dims(2);
    const k = Math.min(this.settings.k, M);
    const atOnce = Math.max(1, Math.floor(blockElements / Math.max(M, k * classes)));
    const mixed = patches.split(atOnce).map((block) =>
      tidy(() => {
        const [similar, rows] = unit(block).matmul(this.keys).topk(k, 1);
        const shares = this.labels.indexSelect(0, rows.flatten()).reshape([-1, k, classes]);
        const weights = similar.div(this.settings.temperature).softmax(1);
        return weights.unsqueeze(1).bmm(shares).squeeze(1);
      }),
    );
    return cat(mixed, 0);
  }

  [Symbol.dispose](): void {
    this.keys.free();
    this.labels.free();
  }
}
