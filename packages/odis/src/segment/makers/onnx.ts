import { basename } from "node:path";
import { ConfigError } from "../../core/index.js";
import { type Maker, sha256Of } from "../maker.js";
import type { AdapterSettings } from "../onnx/adapter.js";
import { filesOf, Network } from "../onnx/network.js";
import { chooseAdapter, openAdapter } from "../onnx/registry.js";

/** Settings of adapters that are the user's, where they were given. */
const adapted = ["score", "overlap", "most", "size", "points", "stability"] as const;

/** Detectors and segmenters of others, as ONNX files. */
export const onnx: Maker = {
  name: "onnx",
  places: "NETWORK.onnx",
  about:
    "a detector or segmenter in an ONNX file, or in two with a comma between; its kind is recognised, or named by --adapter",
  reads: [...adapted, "adapter", "device", "threads"],
  parse: (text) => (/\.onnx(,|$)/i.test(text) ? text : undefined),
  async open(place, { adapter: name, device = "cpu", threads, ...options }) {
    const paths = place.split(",");
    if (paths.length > 2 || paths.includes(""))
      throw new ConfigError(`--with ${place}: wanted one ONNX file, or two with a comma between`);
    const networks: Network[] = [];
    try {
      for (const path of paths)
        networks.push(await Network.open(path, { provider: device.replace(/:.*/, ""), threads }));
      const adapter = chooseAdapter(networks, name);
      const given: Partial<AdapterSettings> = Object.fromEntries(
        adapted.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])),
      );
      checkRead(adapter.name, adapter.defaults, given);
      const { finder, settings } = openAdapter(adapter, networks, given);
      const files = (await Promise.all(paths.map(filesOf))).flat();
      const read = Object.entries(settings).filter(
        ([key]) => key in adapter.defaults || key in given,
      );
      return {
        finder,
        provenance: {
          maker: `onnx ${adapter.name}`,
          files: await Promise.all(
            files.map(async (file) => ({ name: basename(file), sha256: await sha256Of(file) })),
          ),
          settings: Object.fromEntries(read),
        },
        close: () => closeAll(networks),
      };
    } catch (error) {
      await closeAll(networks);
      throw error;
    }
  },
};

/** @throws ConfigError for a setting that this kind of network does not know */
function checkRead(
  name: string,
  defaults: Partial<AdapterSettings>,
  given: Partial<AdapterSettings>,
): void {
  const known = [...Object.keys(defaults), "size"];
  const foreign = Object.keys(given).find((key) => !known.includes(key));
  if (foreign === undefined) return;
  throw new ConfigError(
    `--${foreign}: networks of the kind ${name} have no such setting; wanted some of ` +
      known.map((key) => `--${key}`).join(", "),
  );
}

async function closeAll(networks: readonly Network[]): Promise<void> {
  for (const network of networks) await network.close();
}
