import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { betterKernels, blasKind, blasToPreload, findLibTorch, runtimeInfo } from "@odis/torch";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { run, runModule } from "./node.js";

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-build-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const oldHeader = "torch/csrc/api/include/torch/version.h";
const newHeader = "torch/headeronly/version.h";

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A folder that looks like an unpacked LibTorch of this version. */
function pretendLibTorch(
  name: string,
  version: readonly [number, number, number],
  abi: string,
  header = oldHeader,
): string {
  const place = join(folder, name);
  mkdirSync(join(place, "include/ATen"), { recursive: true });
  const [major, minor, patch] = version;
  write(
    join(place, "include", header),
    `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`,
  );
  write(join(place, "lib/libtorch_cpu.so"), "");
  write(join(place, "lib/libc10.so"), `_ZN3c1014DeviceTypeName${abi}`);
  return place;
}

describe("finding LibTorch", () => {
  it("takes the system's", () => {
    const found = findLibTorch({});
    expect(found.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(found.cxx11Abi).toBe(true);
  });

  it("takes LIBTORCH, and sees which std::string it was built with", () => {
    const recent = findLibTorch({ LIBTORCH: pretendLibTorch("recent", [2, 4, 1], "B5cxx11Ev") });
    expect(recent).toMatchObject({ version: "2.4.1", cxx11Abi: true, systemBlas: false });
    const older = findLibTorch({ LIBTORCH: pretendLibTorch("older", [2, 0, 0], "Ev") });
    expect(older).toMatchObject({ version: "2.0.0", cxx11Abi: false });
  });

  it.each([
    [
      "/nowhere",
      'LIBTORCH=/nowhere: there is no such folder; wanted the folder of an unpacked libtorch, or the "torch" folder of a Python installation.',
    ],
    ["/etc", "LIBTORCH=/etc: lib/libtorch_cpu.so and include/ATen missing; wanted the folder"],
  ])("LIBTORCH=%s is refused", (place, text) => {
    expect(() => findLibTorch({ LIBTORCH: place })).toThrow(text);
  });

  it("reads the version where newer releases keep it", () => {
    const place = pretendLibTorch("newest", [2, 15, 0], "B5cxx11Ev", newHeader);
    // What the old header has become: it includes the new one.
    write(join(place, "include", oldHeader), "#include <torch/headeronly/version.h>\n");
    expect(findLibTorch({ LIBTORCH: place }).version).toBe("2.15.0");
  });

  it("says of headers it does not know where it looked", () => {
    const place = pretendLibTorch("unknown", [3, 0, 0], "B5cxx11Ev", "torch/somewhere/else.h");
    expect(() => findLibTorch({ LIBTORCH: place })).toThrow(
      `LibTorch at ${place}: its version cannot be read; wanted TORCH_VERSION_MAJOR, _MINOR and _PATCH ` +
        `defined in ${join(place, "include", newHeader)} or ${join(place, "include", oldHeader)}.`,
    );
  });

  it("refuses one that is too old", () => {
    const place = pretendLibTorch("old", [1, 12, 1], "B5cxx11Ev");
    expect(() => findLibTorch({ LIBTORCH: place })).toThrow(
      `LibTorch at ${place}: got version 1.12.1, wanted 1.13 or later.`,
    );
  });
});

describe("CUDA around LibTorch", () => {
  /** A site-packages folder with a `torch` for CUDA and these headers of NVIDIA's packages. */
  function pretendPackages(name: string, headers: readonly string[], version = 13): string {
    const place = pretendLibTorch(`${name}/torch`, [2, 11, 0], "B5cxx11Ev", newHeader);
    write(join(place, "lib/libc10_cuda.so"), `\0libcudart.so.${version}\0`);
    for (const header of headers) {
      const text = header.endsWith("cuda_runtime_api.h")
        ? `#define CUDART_VERSION  ${version}000\n`
        : "";
      write(join(folder, name, "nvidia", header), text);
    }
    return place;
  }
  const cudaOf = (place: string, env = {}): unknown =>
    findLibTorch({ LIBTORCH: place, ...env }).cuda;

  it("is nothing for a build without CUDA", () => {
    expect(cudaOf(pretendLibTorch("plain", [2, 11, 0], "B5cxx11Ev", newHeader))).toBeUndefined();
  });

  it("lies beside it in one folder, with NCCL in another", () => {
    const headers = ["cuda_runtime_api.h", "cublas_v2.h", "cusparse.h"];
    const place = pretendPackages("cu13", [
      ...headers.map((header) => `cu13/include/${header}`),
      "nccl/include/nccl.h",
    ]);
    expect(cudaOf(place)).toEqual({
      version: 13,
      include: ["cu13", "nccl"].map((name) => join(folder, "cu13/nvidia", name, "include")),
      ncclProblem: undefined,
    });
  });

  it("lies beside it in a folder for each library", () => {
    const parts = ["cublas", "cuda_runtime", "cusparse", "nccl"];
    const place = pretendPackages(
      "cu12",
      [
        "cublas/include/cublas_v2.h",
        "cuda_runtime/include/cuda_runtime_api.h",
        "cusparse/include/cusparse.h",
        "nccl/include/nccl.h",
      ],
      12,
    );
    expect(cudaOf(place)).toEqual({
      version: 12,
      include: parts.map((name) => join(folder, "cu12/nvidia", name, "include")),
      ncclProblem: undefined,
    });
  });

  it("lies in CUDA_HOME, unless that is another CUDA; a missing header is named with the places", () => {
    const place = pretendPackages("bare", []);
    const home = join(folder, "toolkit");
    for (const header of ["cublas_v2.h", "cusparse.h", "nccl.h"])
      write(join(home, "include", header), "");
    write(join(home, "include/cuda_runtime_api.h"), "#define CUDART_VERSION 13010\n");
    expect(cudaOf(place, { CUDA_HOME: home })).toMatchObject({
      include: expect.arrayContaining([join(home, "include")]),
      ncclProblem: undefined,
    });
    write(join(home, "include/cuda_runtime_api.h"), "#define CUDART_VERSION 11080\n");
    const found = cudaOf(place, { CUDA_HOME: home }) as { include: unknown; ncclProblem: string };
    expect(found.include).not.toContain(join(home, "include"));
    expect(found.ncclProblem).toMatch(
      /^cuda_runtime_api\.h and .*nccl\.h of CUDA 13 not found in .*toolkit\/include, .*\/usr\/include; install /,
    );
  });
});

describe("without a usable LibTorch", () => {
  it("the package can be imported; its first use says what is wrong", async () => {
    const ended = await runModule(
      `import { EngineError, ones } from "@odis/torch";` +
        `try { ones([1]); } catch (error) { console.log(error instanceof EngineError, error.message); }`,
      { LIBTORCH: "/nowhere" },
    );
    expect(ended.stdout).toBe(
      'true LIBTORCH=/nowhere: there is no such folder; wanted the folder of an unpacked libtorch, or the "torch" folder of a Python installation.\n',
    );
  });

  it("a LibTorch without a bridge names the command that builds one", async () => {
    const place = pretendLibTorch("unbuilt", [2, 3, 0], "B5cxx11Ev");
    const ended = await runModule(
      `import { ones } from "@odis/torch"; try { ones([1]); } catch (error) { console.log(error.message); }`,
      { LIBTORCH: place },
    );
    expect(ended.stdout).toBe(
      `The bridge to LibTorch 2.3.0 at ${place} is not built, or its sources have changed since. ` +
        `Build it (under two minutes) with: node ${join(dist, "build.js")}\n`,
    );
  });

  it("the build command says so in one line and ends with 5", async () => {
    const ended = await run([join(dist, "build.js")], { LIBTORCH: "/nowhere" });
    expect(ended.code).toBe(5);
    expect(ended.stderr).toBe(
      'LIBTORCH=/nowhere: there is no such folder; wanted the folder of an unpacked libtorch, or the "torch" folder of a Python installation.\n',
    );
  });

  it("a compiler that is missing is named", async () => {
    const place = pretendLibTorch("compiler", [2, 3, 1], "B5cxx11Ev");
    const ended = await run([join(dist, "build.js")], {
      LIBTORCH: place,
      CXX: "no-such-g++",
      CC: "no-such-gcc",
    });
    expect(ended.code).toBe(5);
    expect(ended.stderr).toMatch(
      /does not compile: the compiler is missing; install it with: sudo apt-get install g\+\+\n$/,
    );
  });
});

describe("building", () => {
  it("has nothing to do when the bridge is there", async () => {
    const ended = await run([join(dist, "build.js")]);
    expect(ended.stdout).toMatch(
      /^the bridge to LibTorch [\d.]+ at \S+ is up to date\nthe image arithmetic is up to date\n(the JPEG decoder is up to date\n)?$/,
    );
  });

  it("two processes that build at once both end with a working bridge, and a change rebuilds", async () => {
    // A copy of the package whose bridge is one small file, so that it builds in a second.
    const copy = join(folder, "package");
    cpSync(dist, join(copy, "dist"), { recursive: true });
    writeFileSync(join(copy, "package.json"), '{ "type": "module" }');
    symlinkSync(join(dist, "../../../node_modules"), join(copy, "node_modules"));
    for (const other of ["images", "jpeg"])
      mkdirSync(join(copy, "native", other), { recursive: true });
    cpSync(join(dist, "../native/preload.c"), join(copy, "native/preload.c"));
    const source = join(copy, "native/answer.cc");
    const addon = (answer: number): string => `
      #include <node_api.h>
      NAPI_MODULE_INIT() {
        napi_value value;
        napi_create_int32(env, ${answer}, &value);
        return value;
      }`;
    const planned = `
      import { planAll } from "${join(copy, "dist/build-plan.js")}";
      import { createRequire } from "node:module";
      const require = createRequire(import.meta.url);
      console.log(planAll().map(({ addon }) => require(addon)).join());`;
    for (const answer of [41, 42]) {
      writeFileSync(source, addon(answer));
      for (const other of ["images", "jpeg"])
        writeFileSync(join(copy, "native", other, "answer.cc"), addon(-answer));
      const builds = [0, 1].map(() => run([join(copy, "dist/build.js")]));
      for (const { code, stdout } of await Promise.all(builds)) {
        expect(code).toBe(0);
        expect(stdout).toMatch(/^(built the|the) bridge to LibTorch/);
      }
      expect((await runModule(planned)).stdout).toMatch(
        new RegExp(`^${answer},-${answer}(,-${answer})?\n$`), // the last where libjpeg's headers are
      );
    }
  });

  it("a source that does not compile is named with the compiler's first complaint", async () => {
    const copy = join(folder, "package");
    writeFileSync(join(copy, "native/answer.cc"), "int answer() { return nothing; }");
    const ended = await run([join(copy, "dist/build.js")]);
    expect(ended.code).toBe(5);
    expect(ended.stderr).toMatch(
      /^answer\.cc does not compile: .*answer\.cc:1:.*error: .*nothing.*\n$/,
    );
  });
});

describe("the BLAS", () => {
  it("is BLIS where it is installed, and the process really runs on it", () => {
    const { blas } = runtimeInfo();
    const { lib, systemBlas } = findLibTorch();
    const wanted = systemBlas ? blasToPreload(lib, {}) : [];
    if (wanted.length === 0) return; // not installed here, or LibTorch has a BLAS inside
    expect(blas.kind).toMatch(/^BLIS \d/);
    expect(wanted).toContain(blas.path);
    expect(readFileSync("/proc/self/maps", "utf8")).toContain(blas.path);
    const kernels = betterKernels();
    if (kernels) expect(blas.kind).toMatch(new RegExp(` \\(${kernels}\\)$`));
  });

  const cpuinfo = (vendor: string, model: string, flags: string): string =>
    `processor\t: 0\nvendor_id\t: ${vendor}\nmodel name\t: ${model}\nflags\t\t: fpu ${flags} avx512_vnni\n\n` +
    `processor\t: 1\nvendor_id\t: ${vendor}\n`;
  const wide = "avx2 avx512f avx512dq avx512cd avx512bw avx512vl";
  test.each([
    ["a name that tells nothing, as clouds give", "Intel(R) Xeon(R) Processor", wide, "skx"],
    ["a name newer than BLIS", "Intel(R) Xeon(R) Gold 6430", wide, "skx"],
    ["half a unit", "Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz", wide, undefined],
    ["half a unit, too", "Intel(R) Xeon(R) Gold 5218 CPU @ 2.30GHz", wide, undefined],
    ["half a unit of a desktop's", "Intel(R) Xeon(R) E-2336 CPU @ 2.90GHz", wide, undefined],
    ["half a unit of a laptop's", "Intel(R) Xeon(R) W-11955M CPU @ 2.60GHz", wide, undefined],
    ["a desktop", "11th Gen Intel(R) Core(TM) i7-11700K @ 3.60GHz", wide, undefined],
    ["no AVX-512", "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", "avx2", undefined],
    ["a part of AVX-512", "Intel(R) Xeon Phi(TM) CPU 7250", "avx2 avx512f avx512cd", undefined],
  ])("knows better than BLIS which kernels suit: %s", (_, model, flags, kernels) => {
    expect(betterKernels(cpuinfo("GenuineIntel", model, flags))).toBe(kernels);
    expect(betterKernels(cpuinfo("AuthenticAMD", model, flags))).toBeUndefined();
  });

  it("is left to choose its kernels where nothing is known of the processor", () => {
    expect(betterKernels("")).toBeUndefined();
  });

  it("computes with the kernels that the user wants", async () => {
    if (!runtimeInfo().blas.kind.startsWith("BLIS")) return; // another library has no such choice
    const { stdout } = await runModule(
      `import { runtimeInfo } from "@odis/torch"; console.log(runtimeInfo().blas.kind, process.env.BLIS_ARCH_TYPE);`,
      { BLIS_ARCH_TYPE: "3" },
    );
    expect(stdout).toMatch(/^BLIS [\d.]+ \(haswell\) 3\n$/);
  });

  it("can be chosen by ODIS_BLAS", () => {
    expect(blasToPreload("/usr/lib", { ODIS_BLAS: "system" })).toEqual([]);
    expect(blasToPreload("/usr/lib", { ODIS_BLAS: process.execPath })).toEqual([process.execPath]);
    expect(() => blasToPreload("/usr/lib", { ODIS_BLAS: "/no/blas.so" })).toThrow(
      "ODIS_BLAS=/no/blas.so: there is no such file; wanted the path of a BLAS library",
    );
  });

  test.each([
    ["/usr/lib/x86_64-linux-gnu/blis-openmp/libblas.so.3", "BLIS"],
    ["/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3", "OpenBLAS"],
    ["/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0", "reference BLAS"],
    ["/opt/intel/libmkl_rt.so.2", "MKL"],
  ])("%s is %s", (path, kind) => expect(blasKind(path, false)).toBe(kind));
});

test("runtimeInfo says what is loaded", () => {
  const info = runtimeInfo();
  expect(info.place).toMatch(/libtorch_cpu\.so/);
  expect(info.devices[0]).toBe("cpu");
  expect(info.cuda).toBe(info.devices.length > 1);
  expect(info.collectives).toContain("gloo");
});
