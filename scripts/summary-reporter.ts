import type { Reporter, TestModule } from "vitest/node";

/** Ends a run with one line that tells a green run from one that tested nothing. */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    let failed = errors.length;
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        tests += 1;
        if (test.result().state === "passed") passed += 1;
        if (test.result().state === "failed") failed += 1;
      }
      // A file that could not even be loaded has no tests that could fail.
      if (tests === 0 && module.state() === "failed") failed += 1;
    }
    console.log(`${passed} passed, ${failed} failed`);
  }
}
