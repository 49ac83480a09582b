import { noGrad, tidy } from "@odis/torch";
import type { Sample } from "../../data/sample.js";
import type { Network } from "../../model/network.js";
import { frameObject, type FrameOptions, framePixels } from "../frame.js";
import { inferenceLayout, inferenceOptions, inputImages, summaryRow } from "../passes.js";
import { type Html, html } from "./html.js";
import { fromPlanar, heatPicture, outline, type Picture, pngAddress } from "./pictures.js";

/**
 * Where [OBJ] looks in the last block, the mean over heads: [N], a share per patch. What it gives
 * to itself is left out.
 *
 * @param pixels [3, size, size]
 * @param visible [N], 1 = [OBJ] may look; without it, everywhere
 */
export function attentionMap(
  network: Network,
  size: number,
  pixels: Uint8Array,
  visible?: Uint8Array,
): Float32Array {
  return noGrad(() =>
    tidy(() => {
      const layout = inferenceLayout(network);
      const attention = network.backbone.lastAttention(
        inputImages(network, size, [pixels]),
        inferenceOptions(network, size, 1, visible && [visible]),
      );
      const [, , , T] = attention.dims(4);
      return attention
        .mean([1])
        .narrow(1, summaryRow(layout), 1)
        .narrow(2, layout.special, T - layout.special)
        .toFloat32();
    }),
  );
}

/** An object's image, and the teacher's attention with the object's mask and without. */
export async function attentionRow(
  network: Network,
  sample: Sample,
  index: number,
  className: string,
  options: FrameOptions,
): Promise<Html | undefined> {
  const { size, patch } = options;
  const object = sample.objects[index];
  const framed = object && frameObject(sample, object, options);
  if (!framed) return undefined;
  const { visible } = framed;
  const pixels = framePixels(sample, options);
  const side = size / patch;
  const picture = enlarged(fromPlanar(pixels, size));
  const heat = async (map: Float32Array): Promise<string> =>
    pngAddress(await heatPicture(picture, map, side));
  const edge = outline(visible, side, side, patch);
  const tile = (address: string, name: string): Html =>
    html`<figure><svg class="picture" viewBox="0 0 ${size} ${size}" role="img" aria-label="${name}">
<image href="${address}" width="${size}" height="${size}"/><path class="edge-back" d="${edge}"/><path class="edge" d="${edge}"/></svg>
<figcaption>${name}</figcaption></figure>`;
  return html`<div class="views">
${tile(await pngAddress(picture), className)}
${tile(await heat(attentionMap(network, size, pixels, visible)), "with mask")}
${tile(await heat(attentionMap(network, size, pixels)), "without mask")}
</div>`;
}

/** Small pictures by whole multiples, so that heat drawn over them is smooth. */
function enlarged({ width, height, rgb }: Picture): Picture {
  const times = Math.max(1, Math.floor(192 / Math.max(width, height)));
  const out = new Uint8Array(3 * width * height * times * times);
  for (let y = 0, to = 0; y < height * times; y += 1)
    for (let x = 0; x < width * times; x += 1, to += 3) {
      const from = 3 * (Math.floor(y / times) * width + Math.floor(x / times));
      for (let c = 0; c < 3; c += 1) out[to + c] = rgb[from + c]!;
    }
  return { width: width * times, height: height * times, rgb: out };
}
