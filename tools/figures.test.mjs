import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { section, sectionName } from "./figures/section.mjs";
import { documentPath, keptRuns, runIn, withFigures } from "./figures.mjs";

const run = {
  command: "npm run bug-zoo -- --seeds 300",
  date: "2026-11-22T20:00:00.000Z",
  versions: { node: "v20.20.2" },
  cores: 2,
  load: 1.5,
  found: 1,
  results: [
    { name: "forgets", breaks: ["D3"], caughtBy: "D3", seed: 7, seeds: 1234 },
    { name: "hides", breaks: ["D9"] },
  ],
};

describe("a section of figures", () => {
  it("tells the command, the day, the versions and the load, and what was measured", () => {
    const lines = section(run).split("\n");
    expect(lines).toContain(
      "`npm run bug-zoo -- --seeds 300`, 2026-11-22; node v20.20.2; 2 cores, load 1.5 at its end.",
    );
    expect(lines).toContain("1 of 2 planted mistakes are found.");
    expect(lines).toContain("| hides | not found | - |");
  });

  it("is filed under its command, a secure soak by itself", () => {
    expect(sectionName(run)).toBe("bug-zoo");
    expect(sectionName({ ...run, command: "npm run soak -- --secure", isSecure: true })).toBe("soak-secure");
    expect(() => sectionName({ ...run, command: "npm run toString" })).toThrow(
      "command must be of simulate, bug-zoo, compare, soak, got npm run toString",
    );
  });

  it("replaces what stood between the marks, and nothing else", () => {
    const marks = ["<!-- figures: written by tools/figures.mjs -->", "<!-- end of figures -->"];
    const document = `a\n${marks[0]}\n\nold\n\n${marks[1]}\nb\n`;
    const written = withFigures(document, [run]);
    expect(written).toMatch(/^a\n<!-- figures/);
    expect(written).toMatch(/end of figures -->\nb\n$/);
    expect(written).not.toContain("old");
    expect(withFigures(written, [run])).toBe(written);
    expect(() => withFigures("no marks", [run])).toThrow("has no section between");
  });
});

describe("a file of figures", () => {
  it("is what a command has written, and nothing else", () => {
    const kept = fileURLToPath(new URL("../docs/figures/bug-zoo.json", import.meta.url));
    expect(runIn(kept).command).toMatch(/^npm run bug-zoo/);
    for (const [file, why] of [
      ["--typo", "ENOENT"],
      [fileURLToPath(new URL("../README.md", import.meta.url)), "is not valid JSON"],
      [fileURLToPath(new URL("../package.json", import.meta.url)), "command must be of"],
    ]) {
      expect(() => runIn(file ?? "")).toThrow(`--json, got ${JSON.stringify(file)} (`);
      expect(() => runIn(file ?? "")).toThrow(why);
    }
  });
});

describe("docs/reliability.md", () => {
  it("has the figures of docs/figures, and no others (else: node tools/figures.mjs)", () => {
    const document = readFileSync(documentPath, "utf8");
    expect(withFigures(document, keptRuns())).toBe(document);
  });
});
