import { describe, expect, it } from "vitest";
import { asModule, codeBlocks, consumerTest, readmes } from "./readme.mjs";

describe("asModule", () => {
  const exported = { a: ["Clock", "start", "stop"], b: ["record"] };

  it("imports what is used and not imported, declared or only spoken of", () => {
    const code =
      'import { start } from "a";\nconst stop = 1; // record\nnew Clock(start, stop, it.record);\n';
    expect(asModule(code, exported)).toBe(`import { Clock } from "a";\n${code}\nexport {};\n`);
  });

  it("imports nothing twice, and from each package what is its own", () => {
    expect(asModule("start(record);\n", exported)).toBe(
      'import { start } from "a";\nimport { record } from "b";\nstart(record);\n\nexport {};\n',
    );
  });
});

describe("the READMEs", () => {
  it("show code, each at its line", () => {
    const blocks = readmes().flatMap(codeBlocks);
    expect(new Set(blocks.map(({ readme }) => readme)).size).toBeGreaterThanOrEqual(5);
    expect(blocks.every(({ line, code }) => line > 1 && code.endsWith("\n"))).toBe(true);
  });

  it("show users of @sd/testing a test file of at most 20 lines", () => {
    const lines = consumerTest().trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(20);
    expect(lines.at(-1)).toBe("});");
  });
});
