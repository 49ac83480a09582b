import { tidy, type Tensor } from "@odis/torch";
import type { CarriedPicture } from "../views/index.js";
import { recolor } from "./colors.js";
import { resample, type ViewsOfSize } from "./resample.js";

/**
 * Draws views on a device, as `drawView` of `@odis/torch/images` does it on the host. Numbers are rounded to
 * bytes wherever Pillow rounds them, so that a view differs only where a sum of floats falls to the other side
 * of a half: by 1 in few of its values, unless a colour change makes more of it. Of a picture that was
 * reduced on its way (see `carryPicture`) a view is what a small enlargement of a mean can be.
 *
 * @param pictures [B]; each is sent to the device once
 * @param kinds views of one size each, of these pictures
 * @returns of each kind [V * B, 3, S, S] float32, whole numbers 0..255; view v of picture b is row v * B + b
 */
export function drawViews(
  pictures: readonly CarriedPicture[],
  kinds: readonly ViewsOfSize[],
  device: string,
): Tensor[] {
  return tidy(() => resample(pictures, kinds, device).map((x, at) => recolor(x, kinds[at]!.plans)));
}
