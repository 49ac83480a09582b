import type { Reporter, TestModule } from "vitest/node";

/** Ends a run with one line that tells a green run from one that tested nothing. */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    let failed = errors.length;
    for (const module of modules) {
      let broken = 0;
      for (const test of module.children.allTests()) {
        if (test.result().state === "passed") passed += 1;
        if (test.result().state === "failed") broken += 1;
      }
      // What comes before or after the tests of a group can fail, too: then they were skipped.
      for (const suite of module.children.allSuites()) broken += suite.errors().length;
      // A file that could not even be loaded has no tests that could fail.
      failed += broken === 0 && module.state() === "failed" ? 1 : broken;
    }
    console.log(`${passed} passed, ${failed} failed`);
  }
}
