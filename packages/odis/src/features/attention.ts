import { noGrad, tidy } from "@odis/torch";
import type { Network } from "../model/index.js";
import { inferenceLayout, inferenceOptions, inputImages, summaryRow } from "./passes.js";

/**
 * Where the summary token ([OBJ], or [CLS] in a network without one) looks, head by head: a share per
 * patch. What it gives to special tokens is left out.
 *
 * @param pixels [3, size, size]
 * @param visible [N], 1 = it may look; without it, everywhere
 * @param block from 0; default: the last one
 * @returns [heads][N]
 */
export function headAttention(
  network: Network,
  size: number,
  pixels: Uint8Array,
  visible?: Uint8Array,
  block?: number,
): readonly Float32Array[] {
  return noGrad(() =>
    tidy(() => {
      const layout = inferenceLayout(network);
      const attention = network.backbone.attention(
        inputImages(network, size, [pixels]),
        inferenceOptions(network, size, 1, visible && [visible]),
        { block },
      );
      const [, heads, , T] = attention.dims(4);
      const N = T - layout.special;
      const all = attention
        .narrow(2, summaryRow(layout), 1)
        .narrow(3, layout.special, N)
        .toFloat32();
      return Array.from({ length: heads }, (_, head) => all.slice(head * N, (head + 1) * N));
    }),
  );
}

/** The mean over heads: [N] */
export function meanAttention(heads: readonly Float32Array[]): Float32Array {
  return heads[0]!.map(
    (_, patch) => heads.reduce((sum, head) => sum + head[patch]!, 0) / heads.length,
  );
}
