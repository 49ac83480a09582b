export { besideStore } from "./beside.js";
export { runStore } from "./run-store.js";
export { type LibraryOptions, writeLibrary, type WrittenLibrary } from "./write-library.js";
export { type ExploreServer, serveStore } from "./server.js";
