export { makeIndex } from "./approximate.js";
export { checkOwn, embed, type Embedded, type EmbedOptions, type EmbedProgress } from "./embed.js";
export {
  type IndexEntry,
  readManifest,
  shardName,
  storeStands,
  type StoreModel,
  writeManifest,
} from "./manifest.js";
export { loadModel, type ModelOptions, type StoreTeacher } from "./model.js";
export {
  createStore,
  type Hit,
  type ObjectHit,
  openStore,
  type OpenStoreOptions,
  type PictureQuery,
  type SearchOptions,
  Store,
} from "./store.js";
export { type ItemKind, itemKinds, type StoredImage, type StoredObject } from "./rows.js";
export { grow } from "./grow.js";
export { boxIn, photoQuery, type Pointing } from "./query.js";
export { type Plane, planeOf } from "./plane.js";
export { StorePictures } from "./pictures.js";
export { writeShard } from "./shard.js";
export { formatHits, hitSheet } from "./shown.js";
