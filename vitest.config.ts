import { defineConfig } from "vitest/config";

const conditions = ["@sd/source", "module", "import", "node", "default"];

/** Siblings are read from their sources: tests need no build (apps excepted, which run as processes). */
const source = { resolve: { conditions }, ssr: { resolve: { conditions } } };

export default defineConfig({
  test: {
    projects: [
      {
        ...source,
        test: {
          name: "unit",
          include: ["{packages,apps,tools}/**/*.test.{ts,mjs}"],
          exclude: ["**/node_modules/**", "**/*.integration.test.*"],
          // Nothing waits here; a thousand registrations on a busy machine take their time.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...source,
        test: {
          name: "integration",
          include: ["{packages,apps}/*/test/**/*.integration.test.ts", "tools/*.integration.test.mjs"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Real processes and real time, most of which is waiting: three files at once is what two cores bear.
          maxWorkers: 3,
          // Of one file: tests of faults that wait for seconds, each on an etcd of its own.
          maxConcurrency: 10,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
