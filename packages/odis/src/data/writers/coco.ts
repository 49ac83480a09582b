import { join } from "node:path";
import {
  cocoBox,
  putJson,
  putPicture,
  runLengths,
  segmentation,
  TextStream,
  type Writer,
  type WrittenImage,
  ClassList,
} from "./writer.js";

/** COCO instances: everything. */
export const coco: Writer = {
  kind: "coco",
  about: "polygons or run lengths, boxes, scores",
  begin: (out, classes) =>
    cocoFile(out, "instances.json", classes, (image) => ({ file_name: image.name })),
};

/** LVIS names images by an address. */
export const lvis: Writer = {
  kind: "lvis",
  about: "polygons or run lengths, boxes",
  begin: (out, classes) =>
    cocoFile(out, "lvis.json", classes, (image) => ({
      coco_url: `http://localhost/images/${image.name}`,
      neg_category_ids: [],
      not_exhaustive_category_ids: [],
    })),
};

async function cocoFile(
  out: string,
  file: string,
  classes: readonly string[],
  namedBy: (image: WrittenImage) => object,
) {
  const list = new ClassList(classes);
  const images: string[] = [];
  // Annotations are many: they go into the file as they come, the other lists after them.
  const stream = new TextStream(join(out, file));
  let annotations = 0;
  await stream.write('{"annotations":[');
  return {
    async add(image: WrittenImage) {
      const { width, height, objects } = image;
      const id = images.length + 1;
      images.push(JSON.stringify({ id, width, height, ...namedBy(image) }));
      for (const object of objects) {
        annotations += 1;
        const annotation = {
          id: annotations,
          image_id: id,
          category_id: list.of(object) + 1,
          segmentation: segmentation(object, image),
          bbox: cocoBox(object.box),
          area: object.area,
          iscrowd: 0,
          ...(object.score === undefined ? {} : { score: object.score }),
        };
        await stream.write(`${annotations > 1 ? "," : ""}\n${JSON.stringify(annotation)}`);
      }
      await putPicture(out, "images", image);
    },
    async finish() {
      const categories = list.names.map((name, label) => ({ id: label + 1, name }));
      await stream.write(
        `],\n"images":[${images.join(",\n")}],\n"categories":${JSON.stringify(categories)}}\n`,
      );
      await stream.close();
      return [];
    },
  };
}

/** A detector's results; objects of people are sure. */
export const results: Writer = {
  kind: "results",
  about:
    "run lengths, boxes, scores; classes as numbers, images by the numbers at the end of their names",
  async begin(out, classes) {
    const list = new ClassList(classes);
    const found: object[] = [];
    return {
      async add(image) {
        const digits = /(\d+)$/.exec(image.stem)?.[1];
        const id = digits === undefined ? image.stem : Number(digits);
        for (const object of image.objects) {
          const mask = runLengths(object, image);
          const category = list.of(object) + 1;
          found.push({
            image_id: id,
            category_id: category,
            score: object.score ?? 1,
            bbox: cocoBox(object.box),
            segmentation: mask,
          });
        }
        await putPicture(out, "images", image);
      },
      async finish() {
        await putJson(join(out, "results.json"), found);
        return [];
      },
    };
  },
};
