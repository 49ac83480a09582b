import { join } from "node:path";
import type { SceneObject } from "../../objects/index.js";
import { greyPng } from "./maps.js";
import { tracedOutline } from "./trace.js";
import { put, putJson, putPicture, type Writer, type WrittenImage, ClassList } from "./writer.js";
import { escaped } from "./voc.js";

/** YOLO: a line has one outline, or a box. */
export const yolo: Writer = {
  kind: "yolo",
  about: "masks of one part without holes, boxes of others",
  async begin(out, classes) {
    const list = new ClassList(classes);
    let boxed = 0;
    return {
      async add(image) {
        const { width, height, objects, stem } = image;
        const lines = objects.map((object) => {
          const outline = outlineOf(object, image);
          boxed += Number(outline === undefined && !isFilled(object));
          const { x, y, width: w, height: h } = object.box;
          const numbers = outline ?? [x + w / 2, y + h / 2, w, h];
          const shares = numbers.map((value, at) => value / (at % 2 === 0 ? width : height));
          return [
            list.of(object),
            ...shares,
            ...(object.score === undefined ? [] : [object.score]),
          ].join(" ");
        });
        await put(join(out, "labels", `${stem}.txt`), lines.map((line) => `${line}\n`).join(""));
        await putPicture(out, "images", image);
      },
      async finish() {
        const listed = list.names
          .map((name, label) => `  ${label}: ${JSON.stringify(name)}\n`)
          .join("");
        await put(join(out, "data.yaml"), `path: .\ntrain: images\nval: images\nnames:\n${listed}`);
        return boxed > 0
          ? [`${boxed} masks have several parts or holes: their boxes were written`]
          : [];
      },
    };
  },
};

/** As it was drawn, or along its pixels; undefined where that is no single line, or a box. */
function outlineOf(object: SceneObject, image: WrittenImage): readonly number[] | undefined {
  const { outline, box } = object;
  if (outline?.length === 1) return outline[0];
  if (isFilled(object)) return undefined;
  return tracedOutline(boxedMask(object, image))?.map(
    (value, at) => value + (at % 2 === 0 ? box.x : box.y),
  );
}

const isFilled = ({ area, box }: SceneObject): boolean => area === box.width * box.height;

/** The mask of an object within its box. */
function boxedMask(object: SceneObject, { width }: WrittenImage) {
  const { x, y, width: w, height: h } = object.box;
  const pixels = object.pixels();
  const values = new Uint8Array(w * h);
  for (let row = 0; row < h; row += 1)
    values.set(pixels.subarray((y + row) * width + x, (y + row) * width + x + w), row * w);
  return { values, width: w, height: h };
}

/** labelme: polygons, parts of one object in a group; masks as PNGs within. */
export const labelme: Writer = {
  kind: "labelme",
  about: "polygons, masks",
  async begin(out, classes) {
    const list = new ClassList(classes);
    return {
      async add(image) {
        const { name, stem, width, height, objects } = image;
        const shapes = objects.flatMap((object, at) => {
          const common = { label: list.nameOf(object), flags: {}, description: "" };
          if (object.outline)
            return object.outline.map((part) => ({
              ...common,
              group_id: object.outline!.length > 1 ? at + 1 : null,
              shape_type: "polygon",
              points: pointsOf(part),
            }));
          const { x, y, width: w, height: h } = object.box;
          const boxed = boxedMask(object, image);
          const mask = greyPng({ ...image, ...boxed }, boxed.values).toString("base64");
          const points = [
            [x, y],
            [x + w - 1, y + h - 1],
          ];
          return [{ ...common, group_id: null, shape_type: "mask", points, mask }];
        });
        const facts = { imagePath: name, imageData: null, imageHeight: height, imageWidth: width };
        await putJson(join(out, `${stem}.json`), { version: "5.5.0", flags: {}, shapes, ...facts });
        await putPicture(out, ".", image);
      },
      finish: async () => [],
    };
  },
};

const pointsOf = (part: readonly number[]): number[][] =>
  Array.from({ length: part.length / 2 }, (_, at) => [part[2 * at]!, part[2 * at + 1]!]);

/** CVAT for images 1.1. */
export const cvat: Writer = {
  kind: "cvat",
  about: "polygons, masks",
  async begin(out, classes) {
    const images: string[] = [];
    const list = new ClassList(classes);
    return {
      async add(image) {
        const { name, width, height, objects } = image;
        const shapes = objects.map((object, at) =>
          shapeOf(object, at + 1, image, list.nameOf(object)),
        );
        images.push(
          `  <image id="${images.length}" name="${escaped(name)}" width="${width}" height="${height}">\n${shapes.join("")}  </image>\n`,
        );
        await putPicture(out, "images", image);
      },
      async finish() {
        const file = `<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n${images.join("")}</annotations>\n`;
        await put(join(out, "annotations.xml"), file);
        return [];
      },
    };
  },
};

function shapeOf(object: SceneObject, group: number, image: WrittenImage, name: string): string {
  const label = `label="${escaped(name)}" source="manual" occluded="0" z_order="0"`;
  if (object.outline) {
    const grouped = object.outline.length > 1 ? ` group_id="${group}"` : "";
    return object.outline
      .map((part) => {
        const points = pointsOf(part)
          .map((point) => point.join(","))
          .join(";");
        return `    <polygon ${label}${grouped} points="${points}"/>\n`;
      })
      .join("");
  }
  const { x, y } = object.box;
  const { values, width, height } = boxedMask(object, image);
  const runs = [0];
  let inside = 0;
  for (const value of values) {
    if (value !== inside) runs.push(0);
    inside = value;
    runs[runs.length - 1]! += 1;
  }
  return `    <mask ${label} rle="${runs.join(", ")}" left="${x}" top="${y}" width="${width}" height="${height}"/>\n`;
}
