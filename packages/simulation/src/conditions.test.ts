import { describe, expect, it } from "vitest";
import { flagsOf } from "./conditions.js";

describe("The flags that are published with figures", () => {
  it("name no file", () => {
    const given = [
      "--seeds",
      "9",
      "--json",
      "/home/me/a.json",
      "--json=/home/me/b.json",
      "--log-file",
      "x",
      "--silent",
    ];
    expect(flagsOf(given)).toEqual(["--seeds", "9", "--silent"]);
  });
});
