export { besideStore } from "./beside.js";
export { runStore } from "./run-store.js";
export { checkLibrary, writeLibrary } from "./write-library.js";
export { type ExploreServer, serveStore } from "./server.js";
