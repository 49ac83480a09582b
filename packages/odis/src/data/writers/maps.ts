import { join } from "node:path";
import { encode } from "fast-png";
import {
  cocoBox,
  Covered,
  put,
  putJson,
  putPicture,
  type Writer,
  type WrittenImage,
  ClassList,
} from "./writer.js";

/** A PNG of one number a pixel, 8 or 16 bits. */
export function greyPng({ width, height }: WrittenImage, data: Uint8Array | Uint16Array): Buffer {
  const depth = data instanceof Uint8Array ? 8 : 16;
  return Buffer.from(encode({ width, height, data, channels: 1, depth }));
}

/** Label maps of objects, 16 bits. */
export const maps: Writer = {
  kind: "maps",
  about: "masks that do not overlap, without classes",
  readWith: "values=objects",
  async begin(out) {
    const covered = new Covered();
    return {
      async add(image) {
        const empty = new Uint16Array(image.width * image.height);
        const values = covered.paint(empty, image.objects);
        await put(join(out, "masks", `${image.stem}.png`), greyPng(image, values));
        await putPicture(out, "images", image);
      },
      finish: async () => covered.notes,
    };
  },
};

/** COCO panoptic: the number of a segment is its colour. */
export const panoptic: Writer = {
  kind: "panoptic",
  about: "masks that do not overlap",
  async begin(out, classes) {
    const list = new ClassList(classes);
    const images: object[] = [];
    const annotations: object[] = [];
    const covered = new Covered();
    return {
      async add(image) {
        const { width, height, objects, stem, name } = image;
        const id = images.length + 1;
        const empty = new Uint32Array(width * height);
        const values = covered.paint(empty, objects);
        const colours = new Uint8Array(3 * values.length);
        for (const [pixel, value] of values.entries())
          colours.set([value % 256, (value >> 8) % 256, value >> 16], 3 * pixel);
        const file = encode({ width, height, data: colours, channels: 3, depth: 8 });
        await put(join(out, "panoptic", `${stem}.png`), Buffer.from(file));
        const there = new Set(values);
        const segments = objects.flatMap((object, at) =>
          there.has(at + 1)
            ? {
                id: at + 1,
                category_id: list.of(object) + 1,
                iscrowd: 0,
                bbox: cocoBox(object.box),
                area: object.area,
              }
            : [],
        );
        images.push({ id, width, height, file_name: name });
        annotations.push({ image_id: id, file_name: `${stem}.png`, segments_info: segments });
        await putPicture(out, "images", image);
      },
      async finish() {
        const categories = list.names.map((name, label) => ({ id: label + 1, name, isthing: 1 }));
        await putJson(join(out, "panoptic.json"), { images, annotations, categories });
        return covered.notes;
      },
    };
  },
};
