import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pack, type Pack } from "tar-stream";
import { ClassList, put, segmentation, type Writer } from "./writer.js";
import { indexShards } from "../shard-index.js";

/**
 * WebDataset: picture and objects side by side in tar files, in the order of the data set, with the
 * index that opens a million of them at once.
 */
export const shards: Writer = {
  kind: "shards",
  about: "everything, in tar files",
  async begin(out, classes, { shardBytes }) {
    const names: string[] = [];
    const list = new ClassList(classes);
    let samples = 0;
    let open: Shard | undefined;
    return {
      async add(image) {
        const { name, file, width, height, objects } = image;
        if (open && open.bytes > 0 && open.bytes + file.length > shardBytes) {
          await open.close();
          open = undefined;
        }
        if (!open) {
          names.push(`${String(names.length).padStart(6, "0")}.tar`);
          open = new Shard(join(out, names.at(-1)!));
        }
        const listed = objects.map((object) => ({
          id: object.id,
          label: list.nameOf(object),
          ...(object.score === undefined ? {} : { score: object.score }),
          segmentation: segmentation(object, image),
        }));
        const key = String(samples).padStart(9, "0");
        await open.entry(`${key}${name.slice(name.lastIndexOf("."))}`, file);
        await open.entry(
          `${key}.json`,
          Buffer.from(JSON.stringify({ file_name: name, width, height, objects: listed })),
        );
        samples += 1;
      },
      async finish() {
        await open?.close();
        await put(
          join(out, "classes.txt"),
          list.names.map((name) => `${name.replaceAll("\n", " ")}\n`).join(""),
        );
        await indexShards(out, names);
        return [];
      },
    };
  },
};

/** A tar file that grows. */
class Shard {
  bytes = 0;
  private readonly pack: Pack = pack();
  private readonly written: Promise<void>;

  constructor(path: string) {
    this.written = pipeline(this.pack, createWriteStream(path));
    this.written.catch(() => undefined); // told by close
  }

  async entry(name: string, contents: Buffer): Promise<void> {
    this.bytes += contents.length + 1024;
    const entry = { name, size: contents.length, mtime: new Date(0), mode: 0o644 };
    const accepted = new Promise<void>((done, failed) => {
      this.pack.entry(entry, contents, (error) => (error ? failed(error) : done()));
    });
    await Promise.race([accepted, this.written]);
  }

  async close(): Promise<void> {
    this.pack.finalize();
    await this.written;
  }
}
