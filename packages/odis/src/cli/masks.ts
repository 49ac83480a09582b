import { counted, exitCodes, grouped } from "../core/index.js";
import { command } from "./command.js";
import { choice, flag, integer, list, number, path, positional, text } from "./options.js";
import { countProgress, imageProgress } from "./progress.js";

const shared = {
  duplicates: number({
    help: "of two masks that overlap more (intersection over union) the less sure one is dropped",
    default: 0.8,
    min: 0,
    max: 1,
  }),
  minArea: number({
    help: "smaller masks are dropped: share of the picture",
    default: 0.001,
    min: 0,
    max: 1,
  }),
  maxArea: number({
    help: "larger masks are dropped: share of the picture",
    default: 0.95,
    min: 0,
    max: 1,
  }),
  exclusive: flag({ help: "give pixels that several masks claim to the surest of them" }),
};

const mergeCommand = command({
  name: "merge",
  summary: "Put what several makers found into one file of masks.",
  examples: [
    [
      "odis masks merge objects.json small.json --out both.json --duplicates 0.5",
      "two phrases of MAVL",
    ],
  ],
  options: {
    files: positional(list({ help: "files of masks of the same pictures", placeholder: "FILE" })),
    out: path({ help: "file to write", placeholder: "FILE", required: true }),
    ...shared,
  },
  async run({ files, out, ...clean }, io) {
    const [{ mergeMasks }, { ConfigError }] = await Promise.all([
      import("../segment/index.js"),
      import("../core/index.js"),
    ]);
    if (files.length < 2)
      throw new ConfigError(`got ${counted(files.length, "file")} of masks; wanted two or more`);
    const { images, objects, before } = await mergeMasks({ files, out, clean });
    io.print(
      `${out}: ${grouped(objects)} of ${counted(before, "object")} in ${counted(images, "image")}`,
    );
    return undefined;
  },
});

const evaluateCommand = command({
  name: "evaluate",
  summary: "Compare a file of masks with the objects that people annotated.",
  examples: [["odis masks evaluate masks.json coco:photos", "overlap, recall, precision, CorLoc"]],
  options: {
    masks: positional(path({ help: "file of masks", exists: "file", required: true })),
    data: positional(text({ help: "annotated data set", placeholder: "PLACE", required: true })),
  },
  async run({ masks, data }, io) {
    const [{ openSource, parseDataSpec }, { evaluateMasks, figures }, { percent }] =
      await Promise.all([
        import("../data/index.js"),
        import("../segment/index.js"),
        import("../report/index.js"),
      ]);
    const source = await openSource(parseDataSpec(data));
    const quality = await evaluateMasks(masks, source, countProgress(io, "images compared"));
    const { images, annotated, found } = quality;
    io.print(
      `${counted(found, "mask")} beside ${counted(annotated, "annotated object")} in ${counted(images, "image")}; per cent [95 %]`,
    );
    for (const [name, meaning] of Object.entries(figures)) {
      const { value, low, high } = quality.figures[name as keyof typeof figures];
      io.print(`${`${percent(value)} [${percent(low)}, ${percent(high)}]`.padEnd(20)} ${meaning}`);
    }
    return undefined;
  },
});

const sheetCommand = command({
  name: "sheet",
  summary: "Draw masks over their pictures, many on one sheet (PNG).",
  examples: [["odis masks sheet masks.json coco:photos --out sheet.png", "the first 30 pictures"]],
  options: {
    masks: positional(path({ help: "file of masks", exists: "file", required: true })),
    data: positional(text({ help: "the pictures", placeholder: "PLACE", required: true })),
    out: path({ help: "PNG to write", placeholder: "FILE.png", required: true }),
    count: integer({ help: "pictures on the sheet", default: 30, min: 1, max: 500 }),
  },
  async run({ masks, data, out, count }, io) {
    io.print(await writeSheet(data, masks, out, count));
    return undefined;
  },
});

export const masksCommand = command({
  name: "masks",
  summary: "Find objects in pictures: by networks in ONNX files, or by none.",
  examples: [
    [
      "odis masks coco:photos --with yolo11n-seg.onnx --out masks.json",
      "as a detector sees them; odis pretrain --masks masks.json trains on that",
    ],
    [
      "odis masks coco:photos --with sam-encoder.onnx,sam-decoder.onnx --boxes masks.json --out finer.json",
      "Segment Anything in the boxes that somebody else found",
    ],
    ["odis masks evaluate masks.json coco:photos", "how well they agree with annotations"],
  ],
  about: async () => (await import("../segment/index.js")).makersHelp(),
  inner: [mergeCommand, evaluateCommand, sheetCommand],
  options: {
    data: positional(
      text({
        help: "the pictures: a data set as odis pretrain --data takes it",
        placeholder: "PLACE",
        required: true,
      }),
    ),
    with: text({
      help: "what finds the objects; see below",
      placeholder: "MAKER",
      required: true,
    }),
    out: path({
      help: "file of masks to write, in COCO's format; run again to go on after an interruption",
      placeholder: "FILE",
      required: true,
    }),
    score: number({ help: "least score of an object (default: the maker's)", min: 0, max: 1 }),
    overlap: number({
      help: "objects that overlap more with a better one are dropped (default: the maker's)",
      min: 0,
      max: 1,
    }),
    most: integer({ help: "most objects in a picture (default: the maker's)", min: 1, max: 1000 }),
    size: integer({
      help: "side of the input in pixels, where it is free (default: the maker's)",
      min: 16,
      max: 8192,
    }),
    points: integer({
      help: "points on a side of Segment Anything's grid (default: the maker's)",
      min: 1,
      max: 128,
    }),
    alike: number({
      help: "cosine above which two patches are alike, for cuts (default: the maker's)",
      min: -1,
      max: 1,
    }),
    stability: number({
      help: "least stability of Segment Anything's masks (default: the maker's)",
      min: 0,
      max: 1,
    }),
    adapter: text({
      help: "kind of the network, where its file does not tell",
      placeholder: "NAME",
    }),
    boxes: path({ help: "file of masks: draw the objects in its boxes", exists: "file" }),
    ...shared,
    shape: choice(["mask", "box"], { help: "what is written of an object", default: "mask" }),
    iou: number({
      help: "with --shape box: displace boxes until they overlap with the found ones that much",
      default: 1,
      min: 0.1,
      max: 1,
    }),
    missing: number({
      help: "chance that an object is left out on purpose",
      default: 0,
      min: 0,
      max: 1,
    }),
    false: number({
      help: "false boxes that are added on purpose, expected number in an image",
      default: 0,
      min: 0,
      max: 100,
    }),
    seed: integer({ help: "draws what --iou, --missing and --false do", default: 0, min: 0 }),
    device: text({ help: "cpu, cuda or cuda:1 (default: cpu)" }),
    threads: integer({ help: "threads of a network (default: all cores)", min: 1 }),
    jobs: integer({ help: "pictures that are looked at at a time", default: 1, min: 1, max: 256 }),
    patience: number({ help: "seconds that a picture may take", default: 600, min: 1 }),
    maxBad: number({
      help: "share of the images that may turn out unusable",
      default: 0.05,
      min: 0,
      max: 1,
    }),
    sheet: path({ help: "PNG: the first pictures with their masks", placeholder: "FILE.png" }),
  },
  async run(values, io) {
    const [{ dataText, openSource, parseDataSpec }, { boxesIn, makeMasks }, { duration, Stop }] =
      await Promise.all([
        import("../data/index.js"),
        import("../segment/index.js"),
        import("../run/index.js"),
      ]);
    const { data, out, boxes, sheet, shape, iou, missing, false: spurious, seed } = values;
    const { score, overlap, most, size, points, stability, alike } = values;
    const { adapter, device, threads } = values;
    const { minArea, maxArea, duplicates, exclusive, jobs, patience, maxBad } = values;
    const spec = parseDataSpec(data);
    const source = await openSource(spec);
    io.stderr.write(`${source.summary}\n`);
    using stop = new Stop((signal) =>
      io.stderr.write(`\n${signal}: ends after this picture; what was found is kept.\n`),
    );
    using _held = stop.hold();
    const result = await makeMasks({
      source,
      data: dataText(spec),
      spec: {
        text: values.with,
        options: { score, overlap, most, size, points, stability, alike, adapter, device, threads },
      },
      out,
      clean: { minArea, maxArea, duplicates, exclusive },
      degrade: {
        kind: shape === "box" ? "box" : "truth",
        iou,
        missing,
        minScore: 0,
        false: spurious,
        seed,
      },
      prompts: boxes === undefined ? undefined : await boxesIn(boxes),
      promptsFrom: boxes,
      jobs,
      patience,
      maxBad,
      stop,
      onProgress: imageProgress(io, duration),
    });
    if (!result.fresh) io.print(`${out}: was made before with the same settings`);
    else if (result.finished)
      io.print(
        `${out}: ${counted(result.objects, "object")} in ${counted(result.done - result.skipped, "image")}`,
      );
    else {
      const how =
        result.done > 0 ? ` after ${grouped(result.done)} of ${counted(result.of, "image")}` : "";
      io.print(`stopped${how}; go on with: ${io.commandLine}`);
    }
    if (result.skipped > 0)
      io.print(
        `${counted(result.skipped, "image")} could not be used: ${result.reasons.join("; ")}`,
      );
    io.tell({ finished: result.finished });
    if (!result.finished) return stop.exitCode;
    if (sheet !== undefined) io.print(await writeSheet(data, out, sheet, 30));
    return exitCodes.ok;
  },
});

/** @returns what was written */
async function writeSheet(
  data: string,
  masks: string,
  out: string,
  count: number,
): Promise<string> {
  const [
    { ContactSheet, encodePng, openSource, parseDataSpec },
    { replaceFile },
    { writeFileSync },
  ] = await Promise.all([
    import("../data/index.js"),
    import("../core/index.js"),
    import("node:fs"),
  ]);
  const source = await openSource({ ...parseDataSpec(data), masks });
  const drawn = new ContactSheet();
  const pictures = Math.min(count, source.size);
  for (let image = 0; image < pictures; image += 1) await drawn.add(await source.read(image));
  const { rgb, width, height } = drawn.draw();
  const png = await encodePng(rgb, width, height);
  replaceFile(out, (descriptor) => writeFileSync(descriptor, png));
  return `${out}: ${counted(pictures, "picture")} with their masks`;
}
