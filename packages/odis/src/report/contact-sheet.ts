import sharp from "sharp";
import type { Sample } from "../data/index.js";
import { type Picture, shrunk } from "./pictures.js";

/** Longer side of a picture on the sheet, and the white between them, pixels. */
const CELL = 240;
const GAP = 8;
/** Share of a mask's colour over the picture. */
const TINT = 0.45;
/** Hues that differ as much as they can, however many there are: steps of the golden angle. */
const STEP = 137.508;

/**
 * Pictures side by side with their objects' masks drawn over them, each object in a colour of its
 * own with a light outline.
 *
 * @returns a PNG
 */
export async function contactSheet(samples: readonly Sample[], columns = 5): Promise<Buffer> {
  const cells: { readonly input: Buffer; readonly left: number; readonly top: number }[] = [];
  const across = Math.max(1, Math.min(columns, samples.length));
  const pitch = CELL + GAP;
  for (const [index, sample] of samples.entries()) {
    const { width, height, rgb } = await shrunk(drawn(sample), CELL);
    const left = GAP + (index % across) * pitch + Math.floor((CELL - width) / 2);
    const top = GAP + Math.floor(index / across) * pitch + Math.floor((CELL - height) / 2);
    const input = await sharp(rgb, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    cells.push({ input, left, top });
  }
  const rows = Math.max(1, Math.ceil(samples.length / across));
  return sharp({
    create: {
      width: GAP + across * pitch,
      height: GAP + rows * pitch,
      channels: 3,
      background: "white",
    },
  })
    .composite(cells)
    .png()
    .toBuffer();
}

/** The picture with its objects' masks, the largest first, so that small ones stay in sight. */
function drawn({ width, height, rgb, objects }: Sample): Picture {
  const out = Uint8Array.from(rgb);
  // A line that is still one pixel wide when the picture is shrunk.
  const line = Math.max(1, Math.round(Math.max(width, height) / CELL));
  for (const [index, object] of objects.toSorted((a, b) => b.area - a.area).entries()) {
    const inside = object.pixels();
    const color = colorOf(index);
    const { box } = object;
    for (let y = box.y; y < box.y + box.height; y += 1) {
      for (let x = box.x; x < box.x + box.width; x += 1) {
        const at = y * width + x;
        if (inside[at] === 0) continue;
        const isEdge =
          x < box.x + line ||
          x + line >= box.x + box.width ||
          y < box.y + line ||
          y + line >= box.y + box.height ||
          !inside[at - line] ||
          !inside[at + line] ||
          !inside[at - line * width] ||
          !inside[at + line * width];
        for (let c = 0; c < 3; c += 1) {
          const tinted = out[3 * at + c]! * (1 - TINT) + color[c]! * TINT;
          out[3 * at + c] = isEdge ? (color[c]! + 255) / 2 : tinted;
        }
      }
    }
  }
  return { width, height, rgb: out };
}

function colorOf(index: number): readonly [number, number, number] {
  const hue = ((index * STEP) % 360) / 60;
  const channel = (offset: number) => {
    const k = (offset + hue) % 6;
    return Math.round(255 * (1 - Math.max(0, Math.min(k, 4 - k, 1)) * 0.9));
  };
  return [channel(5), channel(3), channel(1)];
}
