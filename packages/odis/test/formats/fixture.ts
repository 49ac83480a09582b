/** Path of a file that `fixtures/weights/make.py` wrote. */
export function fixture(name: string): string {
  return new URL(`../fixtures/weights/${name}`, import.meta.url).pathname;
}
