import type { PhotoFacts } from "./library.js";

/** A visitor's photographs that are kept. */
const MOST = 8;

/** Photographs that a visitor gave, as files; only the last ones. */
export class OwnPhotos {
  private readonly kept = new Map<number, { readonly file: File; readonly facts: PhotoFacts }>();

  add(own: number, file: File, size: { readonly width: number; readonly height: number }): void {
    const { width, height } = size;
    const src = URL.createObjectURL(file);
    const facts = { key: file.name, width, height, src, objects: [] };
    this.kept.set(own, { file, facts });
    for (const [old, { facts: oldest }] of this.kept) {
      if (this.kept.size <= MOST) return;
      URL.revokeObjectURL(oldest.src);
      this.kept.delete(old);
    }
  }

  /** @throws Error when it is not kept any more: the page was loaded anew, or there were too many */
  get(own: number): { readonly file: File; readonly facts: PhotoFacts } {
    const found = this.kept.get(own);
    if (found) return found;
    throw new Error("this photograph of yours is not kept any more: give it again");
  }
}
