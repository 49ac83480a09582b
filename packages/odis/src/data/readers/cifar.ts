import { basename, dirname, join, resolve } from "node:path";
import {
  BadImageError,
  ConfigError,
  DataError,
  FileProblem,
  openRegular,
  plain,
  readRange,
} from "../../core/index.js";
import { objectFromBox } from "../../objects/index.js";
import type { DataSource, DataSpec, Sample } from "../dataset.js";
import type { Look } from "../look.js";
import { identityOf } from "../picture.js";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { readText } from "../text-file.js";
import { onePlace } from "./places.js";

const side = 32;
const plane = side * side;

/** How the binary version of a set is laid out (https://www.cs.toronto.edu/~kriz/cifar.html). */
interface Layout {
  readonly train: readonly string[];
  readonly test: readonly string[];
  /** names of the classes, a line each */
  readonly names: string;
  /** bytes before the pixels; the last one is the class */
  readonly labels: number;
}

const layouts: readonly Layout[] = [
  {
    train: [1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`),
    test: ["test_batch.bin"],
    names: "batches.meta.txt",
    labels: 1,
  },
  { train: ["train.bin"], test: ["test.bin"], names: "fine_label_names.txt", labels: 2 },
];

const layoutAt = (look: Pick<Look, "hasFile">): Layout | undefined =>
  layouts.find(({ names, test }) => [names, ...test].every((file) => look.hasFile(file)));

/** CIFAR-10 and CIFAR-100: every picture is one object as a whole. */
export const cifar: Reader = {
  ...onePlace("cifar"),
  places: "FOLDER/train or cifar:FOLDER/test",
  about: "CIFAR-10 or CIFAR-100 as binary files: every picture is one object as a whole",
  detect(look) {
    const layout = look.isFolder ? layoutAt(look) : undefined;
    return layout && { place: join(look.place, "train"), because: layout.names };
  },
  open: openCifar,
};

async function openCifar(spec: DataSpec): Promise<DataSource> {
  const place = textOf(spec, "place");
  const [folder, split] = [resolve(dirname(place)), basename(place)];
  if (split !== "train" && split !== "test")
    throw new ConfigError(
      `data cifar:${plain(place)}: wanted the part behind the folder, cifar:${plain(place)}/train or /test`,
    );
  const layout = await present(folder);
  const text = await readText(join(folder, layout.names), "list of classes");
  const classes = text.split(/\r?\n/).filter((name) => name !== "");
  const record = layout.labels + 3 * plane;
  const files = await Promise.all(
    layout[split].map(async (name) => ({ name, size: await sizeOf(join(folder, name), record) })),
  );
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const find = (index: number): { readonly name: string; readonly at: number } => {
    let at = index;
    for (const file of files) {
      if (at < file.size) return { name: file.name, at };
      at -= file.size;
    }
    throw new Error(`internal: sample ${index} of ${size}`);
  };
  const key = (index: number): string => {
    const { name, at } = find(index);
    return `${name}:${at}`;
  };
  const bytesOf = async (index: number): Promise<Buffer> => {
    const { name, at } = find(index);
    try {
      const { file } = await openRegular(join(folder, name));
      try {
        return await readRange(file, at * record, record);
      } finally {
        await file.close();
      }
    } catch (cause) {
      if (!(cause instanceof FileProblem)) throw cause;
      throw new BadImageError(key(index), `its file ${cause.message}`, { cause });
    }
  };
  return {
    size,
    classes,
    key,
    read: async (index) => sampleOf(await bytesOf(index), layout, classes.length, key(index)),
    picture: async (index) => identityOf((await bytesOf(index)).subarray(layout.labels)),
  };
}

async function present(folder: string): Promise<Layout> {
  const there = async (name: string): Promise<boolean> => {
    try {
      const { file } = await openRegular(join(folder, name));
      await file.close();
      return true;
    } catch (error) {
      if (error instanceof FileProblem) return false;
      throw error;
    }
  };
  for (const layout of layouts) if (await there(layout.names)) return layout;
  throw new DataError(
    `cifar ${plain(folder)}: it has neither ${layouts.map(({ names }) => names).join(" nor ")}; wanted a ` +
      `folder of the binary version, unpacked`,
  );
}

/** Records in a file. */
async function sizeOf(path: string, record: number): Promise<number> {
  try {
    const { file, size } = await openRegular(path);
    await file.close();
    if (size > 0 && size % record === 0) return size / record;
    throw new FileProblem(`has ${size} bytes; wanted a multiple of ${record}`);
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`cifar file ${plain(path)} ${cause.message}`, { cause });
  }
}

function sampleOf(bytes: Buffer, { labels }: Layout, classes: number, key: string): Sample {
  const label = bytes[labels - 1]!;
  if (label >= classes)
    throw new BadImageError(key, `its class is ${label}; wanted less than ${classes}`);
  const rgb = new Uint8Array(3 * plane);
  for (let at = 0; at < plane; at += 1)
    for (let c = 0; c < 3; c += 1) rgb[3 * at + c] = bytes[labels + c * plane + at]!;
  const frame = { width: side, height: side };
  const whole = objectFromBox([0, 0, side, side], frame, { id: 0, label });
  return { key, ...frame, rgb, objects: [whole] };
}
