import type { Sample } from "./dataset.js";
import { type Decoded, scaledTo } from "./decode.js";

/** Side of one picture on a contact sheet, and the room around it, pixels. */
const [SIDE, GAP] = [192, 4];

/** Colours of masks, far apart from one another; they repeat. */
const COLORS = [
  [255, 64, 64],
  [64, 160, 255],
  [255, 200, 0],
  [64, 220, 96],
  [220, 80, 255],
  [0, 220, 220],
  [255, 128, 0],
  [160, 160, 255],
] as const;

/** Pictures side by side with their objects' masks drawn on them. */
export class ContactSheet {
  private readonly pictures: Decoded[] = [];

  async add(sample: Sample): Promise<void> {
    const small = await scaledTo(sample, SIDE);
    for (const [at, object] of sample.objects.entries())
      tint(small, object.pixels(), sample.width, sample.height, COLORS[at % COLORS.length]!);
    this.pictures.push(small);
  }

  /** The sheet; as nearly square as the number of pictures allows. */
  draw(): Decoded {
    const columns = Math.max(1, Math.ceil(Math.sqrt(this.pictures.length)));
    const rows = Math.max(1, Math.ceil(this.pictures.length / columns));
    const cell = SIDE + GAP;
    const [width, height] = [columns * cell + GAP, rows * cell + GAP];
    const rgb = new Uint8Array(3 * width * height).fill(255);
    for (const [at, picture] of this.pictures.entries()) {
      const left = GAP + (at % columns) * cell + Math.floor((SIDE - picture.width) / 2);
      const top = GAP + Math.floor(at / columns) * cell + Math.floor((SIDE - picture.height) / 2);
      for (let y = 0; y < picture.height; y += 1) {
        const row = picture.rgb.subarray(3 * y * picture.width, 3 * (y + 1) * picture.width);
        rgb.set(row, 3 * ((top + y) * width + left));
      }
    }
    return { width, height, rgb };
  }
}

/** Half the colour inside of the mask, all of it at its edge. */
function tint(
  { rgb, width, height }: Decoded,
  mask: Uint8Array,
  fullWidth: number,
  fullHeight: number,
  color: readonly [number, number, number],
): void {
  const inside = (x: number, y: number): boolean => {
    if (x < 0 || y < 0 || x >= width || y >= height) return false;
    const column = Math.floor(((x + 0.5) * fullWidth) / width);
    const row = Math.floor(((y + 0.5) * fullHeight) / height);
    return mask[row * fullWidth + column] === 1;
  };
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!inside(x, y)) continue;
      const isEdge =
        !inside(x - 1, y) || !inside(x + 1, y) || !inside(x, y - 1) || !inside(x, y + 1);
      for (const [channel, value] of color.entries()) {
        const at = 3 * (y * width + x) + channel;
        rgb[at] = isEdge ? value : Math.round((rgb[at]! + value) / 2);
      }
    }
  }
}
