/** A picture in memory. */
export interface Decoded {
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major */
  readonly rgb: Uint8Array;
}
