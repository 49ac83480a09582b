import { tidy, type Tensor } from "@odis/torch";
import type { UndrawnViews } from "../views/index.js";
import { recolor } from "./colors.js";
import { resample } from "./resample.js";

/**
 * Draws views on a device, as `drawView` of `@odis/torch/images` does it on the host. Numbers are rounded to
 * bytes wherever Pillow rounds them, so that a view differs only where a sum of floats falls to the other side
 * of a half: by 1 in few of its values, unless a colour change makes more of it. Of a picture that was
 * reduced on its way (see `carryPicture`) a view is what a small enlargement of a mean can be.
 *
 * @param size S, side of the views in pixels
 * @returns [V * B, 3, S, S] float32, whole numbers 0..255
 */
export function drawViews(views: UndrawnViews, size: number, device: string): Tensor {
  return tidy(() => recolor(resample(views, size, device), views.plans, device));
}
