import { describe, expect, it } from "vitest";
import { complaints } from "./tarball.mjs";

const good = [
  "package.json",
  "README.md",
  "dist/index.js",
  "dist/index.cjs",
  "dist/index.d.ts",
  "dist/index.d.cts",
].map((file) => `package/${file}`);

describe("complaints", () => {
  it("has none about a tarball with the built files only", () => {
    expect(complaints([...good, "package/dist/index.js.map", "package/LICENSE"], "{}")).toEqual([]);
  });

  it.each(["src/index.ts", "test/a.ts", "dist/a.test.js", "dist/test/a.js", "tsup.config.ts", ".env"])(
    "complains about %s",
    (file) => {
      expect(complaints([...good, `package/${file}`], "{}")).toEqual([
        `package/${file} does not belong in it`,
      ]);
    },
  );

  it("complains about what is missing, and about what only the workspace understands", () => {
    expect(complaints(good.slice(0, -1), '{"@sd/core":"workspace:*"}')).toEqual([
      "dist/index.d.cts is missing",
      "package.json says workspace:",
    ]);
  });
});
