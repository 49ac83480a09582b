import { join } from "node:path";
import { greyPng } from "./maps.js";
import { ClassList, Covered, put, putPicture, type Writer, type WrittenImage } from "./writer.js";

/** Objects that a label map of 8 bits can number; 0 and 255 mean nothing. */
const MOST = 254;

/** Pascal VOC: boxes, and masks that do not overlap. */
export const voc: Writer = {
  kind: "voc",
  about: "boxes, and masks that do not overlap (of up to 254 objects a picture)",
  async begin(out, classes) {
    const covered = new Covered();
    const list = new ClassList(classes);
    let many = 0;
    const stems: string[] = [];
    return {
      async add(image) {
        const { objects, stem } = image;
        stems.push(stem);
        await putPicture(out, "JPEGImages", image);
        const boxesOnly = objects.length === 0 || objects.length > MOST;
        if (objects.length > MOST) many += 1;
        const { map, seen } = boxesOnly ? { map: undefined, seen: objects } : mapOf(image, covered);
        await put(
          join(out, "Annotations", `${stem}.xml`),
          xmlOf({ ...image, objects: seen }, list),
        );
        if (map) await put(join(out, "SegmentationObject", `${stem}.png`), greyPng(image, map));
      },
      async finish() {
        await put(join(out, "ImageSets", "Main", "all.txt"), `${stems.join("\n")}\n`);
        return [
          ...covered.notes,
          ...(many > 0 ? [`${many} pictures have more than ${MOST} objects: boxes only`] : []),
        ];
      },
    };
  },
};

/** A label map, and the objects that have pixels in it: it numbers those of the XML file. */
function mapOf({ width, height, objects }: WrittenImage, covered: Covered) {
  const values = covered.paint(new Uint8Array(width * height), objects);
  const there = new Set(values);
  const seen = objects.filter((_, at) => there.has(at + 1));
  const numbers = Uint8Array.from([0, ...objects.keys()], (_, value) =>
    value === 0 ? 0 : seen.indexOf(objects[value - 1]!) + 1,
  );
  return { map: values.map((value) => numbers[value]!), seen };
}

/** VOC counts pixels from 1, and the last one belongs to the box. */
function xmlOf({ name, width, height, objects }: WrittenImage, list: ClassList): string {
  const things = objects.map((object) => {
    const { x, y, width: w, height: h } = object.box;
    return (
      `  <object>\n    <name>${escaped(list.nameOf(object))}</name>\n    <bndbox>` +
      `<xmin>${x + 1}</xmin><ymin>${y + 1}</ymin><xmax>${x + w}</xmax><ymax>${y + h}</ymax></bndbox>\n  </object>\n`
    );
  });
  return (
    `<annotation>\n  <filename>${escaped(name)}</filename>\n  <size><width>${width}</width>` +
    `<height>${height}</height><depth>3</depth></size>\n${things.join("")}</annotation>\n`
  );
}

/** A text between tags or in quotes. */
export function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (letter) => entities[letter]!);
}
