import type { z } from "zod";
import type { DataSource } from "../data/index.js";
import type { Consumer, GatherOptions, InferenceMode, PassReader } from "../features/index.js";
import type { World } from "../train/index.js";
import type { Example } from "./examples.js";
import type { commonSettings, EvaluationOptions } from "./options.js";
import type { Outcome } from "./outcome.js";
import type { ChosenProbe } from "./probe.js";
import type { Representation, RepresentationName } from "./representations.js";
import type { Needs, OtherData, ReadData } from "./reading.js";

/** What every suite is told: all settings that are not another suite's own. */
export type CommonSettings = z.output<z.ZodObject<typeof commonSettings>> & {
  readonly feature: z.output<(typeof commonSettings)["feature"]> & string;
  readonly size: number;
};

/** The two data sets of an evaluation: `train` votes and teaches, `test` is answered. */
export type Split = "train" | "test";

/** What a suite works on. */
export interface Job<S> {
  readonly settings: CommonSettings & S;
  readonly representations: readonly Representation[];
  readonly classes: readonly string[];
  /** images of the bank at most */
  readonly images: number;
  readonly patch: number;
  readonly device: string;
  /** the processes that share the evaluation: all of them call the same, in the same order */
  readonly world: World;
  readonly signal: AbortSignal | undefined;
  /** Reads all of another data set by all representations, with its masks as they are. */
  readonly read: (
    name: string,
    source: DataSource,
    options: Needs & Partial<Pick<GatherOptions, "size" | "frame" | "elsewhere">>,
  ) => Promise<ReadData>;
}

/** What a suite works on when both data sets have been read. */
export interface ReadJob<S> extends Job<S> {
  readonly bank: ReadData;
  readonly queries: ReadData;
}

/** What looks on while the data sets are read, in each process its share of them, for suites that need more than features of objects. */
export interface Watch extends Partial<Disposable> {
  /** are shown every image */
  readonly consumers?: (split: Split) => readonly Consumer[];
  /** read the passes of whole images */
  readonly readers?: (split: Split, by: Representation) => readonly PassReader[];
  /** between the bank and the test images */
  readonly learn?: (bank: ReadData) => Promise<void>;
}

/**
 * Something that was found out. A measurement's name is `REPRESENTATION/…` and then what is in
 * {@link Figure.measure}.
 */
export type Finding =
  | { readonly name: string; readonly outcome: Outcome }
  | { readonly probe: ChosenProbe }
  | { readonly examples: readonly Example[] }
  | { readonly other: OtherData };

export type Findings = Iterable<Finding> | AsyncIterable<Finding>;

/** One figure of every representation: a line of a table, or a column of a comparison. */
export interface Figure {
  /** names the column of a comparison; unique among all suites */
  readonly key: string;
  readonly title: string;
  /** the measurement's name after that of the representation */
  readonly measure: string;
  /** compared with the figure of mode `none` in the same group: what do masks change? */
  readonly mode?: InferenceMode;
}

/** Figures that belong together. */
export interface FigureTable {
  /** with the unit */
  readonly title: string;
  /** where there is little room */
  readonly short: string;
  readonly figures: readonly Figure[];
  /** the answers are classes: it means something what always the same one would reach */
  readonly classes?: boolean;
  /** what the first figure is a share of, for strangers: "In 34.4 % of cases it recognises …" */
  readonly says?: string;
  /** what no figure can be below; default 0 */
  readonly lowest?: number;
}

/** Numbers for those who want to know more: a line for each representation and each of `rows`. */
export interface DetailTable {
  readonly title: string;
  readonly caption: string;
  readonly columns: readonly string[];
  /** a cell shows one or more measurements */
  readonly rows: readonly {
    readonly title: string;
    readonly cells: readonly (readonly string[])[];
  }[];
}

/** How figures are shown: tables, sections of reports and columns of comparisons follow from it. */
export interface Description {
  /** how they come about, for readers of a report */
  readonly meaning: string;
  readonly tables: readonly FigureTable[];
  /** columns of comparisons, where they are not the lines of the tables */
  readonly groups?: readonly FigureTable[];
  readonly details?: readonly DetailTable[];
}

/** What is told about an evaluation to describe it. */
export interface Described<S> {
  readonly settings: CommonSettings & S;
  /** objects that vote; unknown in a comparison, whose runs may differ */
  readonly bank?: number | undefined;
}

/** What can be done with a suite. `S` are its own settings. */
export interface SuiteOf<Name extends string, S> {
  readonly name: Name;
  /** what is measured, a few words for help */
  readonly summary: string;
  /** tells something of objects without classes, too */
  readonly unlabelled?: true;
  /** works on data sets of its own alone: bank and test images need not be read for it */
  readonly elsewhere?: true;
  /** the modes that it measures when these are asked for; default: those, unless modes mean nothing to it */
  readonly modes?: (asked: readonly InferenceMode[]) => readonly InferenceMode[];
  /** how people give its settings; what several suites share, each of them names */
  readonly options: EvaluationOptions;
  /**
   * The features of objects that it wants to be read.
   *
   * @throws ConfigError when the settings leave it nothing to measure
   */
  readonly needs: (settings: CommonSettings & S) => Needs;
  /**
   * Called by all processes before anything is read: it fails in all of them or in none.
   *
   * @throws DataError when something that it needs besides cannot be used
   */
  readonly begin: (job: Job<S>) => Promise<{
    readonly watch: Watch;
    /** called when everything has been read; of several processes the first one's findings count */
    readonly measure: (job: ReadJob<S>) => Findings;
  }>;
  readonly describe: (of: Described<S>) => Description;
}

/** A suite without settings adds none, where zod would allow none besides. */
type Output<Shape extends z.ZodRawShape> = keyof Shape extends never
  ? object
  : z.output<z.ZodObject<Shape>>;

/** A kind of evaluation, by frozen features. */
export interface Suite<Name extends string, Shape extends z.ZodRawShape>
  extends SuiteOf<Name, Output<Shape>> {
  /** its own settings, each with a default; shared ones as with options */
  readonly settings: Shape;
}

/** A suite as it is written down: who looks on is handed to its `measure`. */
interface SuiteEntry<Name extends string, Shape extends z.ZodRawShape, W extends object>
  extends Omit<Suite<Name, Shape>, "begin"> {
  /** as `begin` */
  readonly watch?: (job: Job<Output<Shape>>) => W | Promise<W>;
  readonly measure: (job: ReadJob<Output<Shape>>, watch: W) => Findings;
}

export function suite<
  const Name extends string,
  Shape extends z.ZodRawShape,
  W extends object = Watch,
>({ watch: begin, measure, ...entry }: SuiteEntry<Name, Shape, W>): Suite<Name, Shape> {
  return {
    ...entry,
    async begin(job) {
      const watch = (await begin?.(job)) ?? ({} as W); // who has no `watch` asks nothing of it
      return { watch, measure: (read) => measure(read, watch) };
    },
  };
}

/** A measurement's name. */
export function nameOf(of: Representation | RepresentationName, measure: string): string {
  return `${typeof of === "string" ? of : of.name}/${measure}`;
}
