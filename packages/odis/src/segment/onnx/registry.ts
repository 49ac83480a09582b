import { BadImageError, ConfigError, nearest, plain, shellWord } from "../../core/index.js";
import type { Finder } from "../found.js";
import type { Adapter, AdapterSettings } from "./adapter.js";
import { detr, mavl, rfDetr, rtDetr } from "./adapters/detr.js";
import { maskRcnn } from "./adapters/mask-rcnn.js";
import { panoptic } from "./adapters/panoptic.js";
import { isnet, u2net } from "./adapters/saliency.js";
import { sam } from "./adapters/sam.js";
import { yolov5, yolox } from "./adapters/yolo-older.js";
import { yolo } from "./adapters/yolo.js";
import type { Network } from "./network.js";
import { InputTooLarge } from "./prepare.js";

/** In the order of help. A new kind of network is a file and its line here. */
export const adapters: readonly Adapter[] = [
  yolo,
  yolov5,
  yolox,
  detr,
  rtDetr,
  rfDetr,
  mavl,
  panoptic,
  maskRcnn,
  sam,
  u2net,
  isnet,
];

/**
 * The adapter of some networks: the named one, or the one that knows their inputs and outputs.
 *
 * @throws ConfigError when no adapter fits, or several could
 */
export function chooseAdapter(networks: readonly Network[], name: string | undefined): Adapter {
  if (name !== undefined) {
    const named = adapters.find((adapter) => adapter.name === name);
    if (named) return named;
    const known = adapters.map((adapter) => adapter.name);
    const close = nearest(name, known);
    throw new ConfigError(
      `--adapter: got ${plain(JSON.stringify(name))}; wanted one of ${known.join(", ")}` +
        (close === undefined ? "" : `. Did you mean ${close}?`),
    );
  }
  const signatures = networks.map(({ signature }) => signature);
  const answers = adapters.map((adapter) => ({ adapter, is: adapter.recognise(signatures) }));
  const sure = answers.filter(({ is }) => is === "yes");
  const candidates = sure.length > 0 ? sure : answers.filter(({ is }) => is === "perhaps");
  if (candidates.length === 1) return candidates[0]!.adapter;
  const files = signatures.map(({ path }) => plain(path)).join(", ");
  if (candidates.length > 1)
    throw new ConfigError(
      `${files}: its inputs and outputs fit ${candidates.length} kinds of network. Say which is meant:` +
        candidates
          .map(({ adapter }) => `\n  --adapter ${adapter.name}    ${adapter.about}`)
          .join(""),
    );
  throw new ConfigError(
    `${files}: no adapter knows a network with ${ports(networks)}. If it is one of these kinds all the ` +
      `same, name it: --adapter ${shellWord(adapters.map((adapter) => adapter.name).join("|"))}`,
  );
}

function ports(networks: readonly Network[]): string {
  const text = (list: Network["signature"]["inputs"]) =>
    list
      .slice(0, 6)
      .map(
        ({ name, shape }) =>
          `${plain(name)} [${shape.map((size) => plain(String(size))).join(", ")}]`,
      )
      .join(", ") + (list.length > 6 ? ", …" : "");
  return networks
    .map(
      ({ signature }) =>
        `the inputs ${text(signature.inputs)} and the outputs ${text(signature.outputs)}`,
    )
    .join("; ");
}

/** What an adapter's defaults leave open. */
const unread: AdapterSettings = {
  score: 0,
  overlap: 1,
  most: 100,
  size: undefined,
  points: 0,
  stability: 0,
};

/** An adapter on its networks. @param given settings that are not its defaults */
export function openAdapter(
  adapter: Adapter,
  networks: readonly Network[],
  given: Partial<AdapterSettings>,
): { readonly finder: Finder; readonly settings: AdapterSettings } {
  const settings = { ...unread, ...adapter.defaults, ...given };
  const finder = adapter.open(networks, settings);
  return { finder: ofUsablePictures(finder), settings };
}

/** A picture that no input can hold is the picture's fault: it is named, the others go on. */
function ofUsablePictures(finder: Finder): Finder {
  return {
    get classes() {
      return finder.classes;
    },
    async find(picture, query) {
      try {
        return await finder.find(picture, query);
      } catch (error) {
        if (!(error instanceof InputTooLarge)) throw error;
        throw new BadImageError(query.key, error.message, { cause: error });
      }
    },
  };
}
