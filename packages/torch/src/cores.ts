import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Nanoseconds that a thread has run, and that it was ready to run and had no core. */
interface ThreadTimes {
  readonly ran: number;
  readonly waited: number;
}

const threadsFolder = "/proc/self/task";

/** Linux's times of every thread of this process, by its number; empty where there are none. */
function threadTimes(): Map<string, ThreadTimes> {
  const times = new Map<string, ThreadTimes>();
  if (!existsSync(threadsFolder)) return times;
  for (const thread of readdirSync(threadsFolder)) {
    try {
      const text = readFileSync(`${threadsFolder}/${thread}/schedstat`, "utf8");
      const [ran, waited] = text.split(" ").map(Number);
      if (Number.isFinite(ran) && Number.isFinite(waited))
        times.set(thread, { ran: ran!, waited: waited! });
    } catch {
      // The thread has ended since, or this kernel keeps no such times.
    }
  }
  return times;
}

/** Time of all of the machine's cores, and of what other programs have of it; in seconds. */
interface MachineTimes {
  readonly all: number;
  readonly others: number;
}

/** Undefined where the kernel does not tell. */
function machineTimes(): MachineTimes | undefined {
  if (!existsSync("/proc/stat")) return undefined;
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  // cpu user nice system idle iowait irq softirq steal, in hundredths of a second
  const times = line.split(/\s+/).slice(1, 9).map(Number);
  if (times.length < 8 || !times.every(Number.isFinite)) return undefined;
  const all = times.reduce((sum, time) => sum + time, 0) / 100;
  const idle = (times[3]! + times[4]!) / 100;
  const { user, system } = process.cpuUsage();
  return { all, others: all - idle - (user + system) / 1e6 };
}

/**
 * Tells whether other programs take the cores that this process wants.
 *
 * @example
 * const watch = new CoreWatch();
 * // … some seconds of work …
 * if ((watch.share() ?? 0) > 0.1) console.log("other programs take part of the cores");
 */
export class CoreWatch {
  private before = threadTimes();
  private machineBefore = machineTimes();

  /**
   * Of the time since the last call (or since the watch was made) in which threads of this process
   * wanted to run: the share in which they had no core, 0 to 1, but at most the share of the
   * machine's cores that other programs had: threads of its own that wait for each other are no
   * news. Undefined where the kernel does not tell, or nothing has run.
   */
  share(): number | undefined {
    const now = threadTimes();
    let [ran, waited] = [0, 0];
    for (const [thread, times] of now) {
      const before = this.before.get(thread);
      ran += times.ran - (before?.ran ?? 0);
      waited += times.waited - (before?.waited ?? 0);
    }
    const [machine, machineBefore] = [machineTimes(), this.machineBefore];
    [this.before, this.machineBefore] = [now, machine];
    if (!(ran + waited > 0) || !machine || !machineBefore) return undefined;
    const others = (machine.others - machineBefore.others) / (machine.all - machineBefore.all);
    return Math.max(0, Math.min(waited / (ran + waited), Number.isFinite(others) ? others : 0));
  }
}
