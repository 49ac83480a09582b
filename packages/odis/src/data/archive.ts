/** Where the pictures of a data set lie inside of tar files, eight bytes an image. */
export interface Archives {
  readonly size: number;
  readonly paths: readonly string[];
}
