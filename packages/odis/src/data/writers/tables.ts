import { join } from "node:path";
import { grouped } from "../../core/index.js";
import { greyPng } from "./maps.js";
import { ClassList, cocoBox, put, putPicture, TextStream, type Writer } from "./writer.js";

const BOXES =
  "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside";
const MASKS =
  "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks";

/** Open Images: a table of boxes, a table of masks, a PNG for each mask. */
export const openImages: Writer = {
  kind: "open-images",
  about: "masks, boxes",
  async begin(out, classes) {
    const boxes = new TextStream(join(out, "train-annotations-bbox.csv"));
    const masks = new TextStream(join(out, "train-annotations-object-segmentation.csv"));
    await boxes.write(`${BOXES}\n`);
    await masks.write(`${MASKS}\n`);
    const words = new Map<string, string>();
    const list = new ClassList(classes);
    return {
      async add(image) {
        const { stem, width, height, objects } = image;
        for (const [at, object] of objects.entries()) {
          const name = list.nameOf(object);
          const word = words.get(name) ?? `/x/${words.size}`;
          words.set(name, word);
          const { x, y, width: w, height: h } = object.box;
          const sides = [x / width, (x + w) / width, y / height, (y + h) / height].join(",");
          await boxes.write(`${stem},odis,${word},${object.score ?? 1},${sides},0,0,0,0,0\n`);
          const path = `${stem}_${at}.png`;
          await put(join(out, "train-masks", path), greyPng(image, object.pixels()));
          await masks.write(`${path},${stem},${word},${at},${sides},,\n`);
        }
        await putPicture(out, "train", image);
      },
      async finish() {
        await boxes.close();
        await masks.close();
        const lines = [...words].map(([name, word]) => `${word},"${name.replaceAll('"', '""')}"\n`);
        await put(join(out, "class-descriptions-boxable.csv"), lines.join(""));
        return [];
      },
    };
  },
};

/** Hugging Face's folders: boxes. */
export const metadata: Writer = {
  kind: "metadata",
  about: "boxes",
  async begin(out, classes) {
    const stream = new TextStream(join(out, "metadata.jsonl"));
    let masks = 0;
    const list = new ClassList(classes);
    return {
      async add(image) {
        const { name, objects } = image;
        const row = {
          file_name: name,
          objects: {
            bbox: objects.map(({ box }) => cocoBox(box)),
            category: objects.map((object) => list.nameOf(object)),
          },
        };
        masks += objects.filter(({ area, box }) => area < box.width * box.height).length;
        await stream.write(`${JSON.stringify(row)}\n`);
        await putPicture(out, ".", image);
      },
      async finish() {
        await stream.close();
        return masks > 0 ? [`${grouped(masks)} masks became boxes`] : [];
      },
    };
  },
};
