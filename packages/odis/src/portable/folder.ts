/** Where the files of a library are that is written as files, from the folder's root. */
export const folderFiles = {
  library: "library.json",
  map: "map.json",
  network: "network.onnx",
  runtime: { script: "onnxruntime/ort.js", wasm: "onnxruntime/ort.wasm" },
  /** a part of the objects, in their order */
  objects: (list: number): string => `objects/${list}.json`,
  /** a part of the vectors of objects, in their order */
  vectors: (part: number): string => `vectors/${part}.f32`,
  image: (row: number): string => `images/${spread(row)}.json`,
  crop: (object: number): string => `crops/${spread(object)}.jpg`,
  photo: (image: number): string => `photos/${spread(image)}.jpg`,
  small: (image: number): string => `small/${spread(image)}.jpg`,
} as const;

/** A folder of a hundred thousand files is slow to list and to copy. */
function spread(row: number): string {
  return `${Math.floor(row / 1000)}/${row}`;
}
