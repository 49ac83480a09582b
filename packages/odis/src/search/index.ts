export { makeIndex } from "./approximate.js";
export { embed, type Embedded, type EmbedOptions, type EmbedProgress } from "./embed.js";
export { type IndexEntry, readManifest, type StoreModel } from "./manifest.js";
export { loadModel, type ModelOptions, type StoreTeacher } from "./model.js";
export {
  createStore,
  type Hit,
  type ItemKind,
  itemKinds,
  openStore,
  type OpenStoreOptions,
  type PictureQuery,
  type SearchOptions,
  Store,
  type StoredImage,
  type StoredObject,
} from "./store.js";
export { grow } from "./grow.js";
export { boxIn, photoQuery, type Pointing } from "./query.js";
export { type Plane, planeOf } from "./plane.js";
export { StorePictures } from "./pictures.js";
export { formatHits, hitSheet } from "./shown.js";
