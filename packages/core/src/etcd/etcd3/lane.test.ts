import { describe, expect, it } from "vitest";
import { laneNames, optionsOf } from "./lane.js";

describe("optionsOf", () => {
  const pings = (grpcOptions = {}) =>
    laneNames.map((name) => optionsOf(name, grpcOptions)["grpc.keepalive_time_ms"]);

  it("has pings sent where calls wait: streams ask for signs of life by themselves (T3)", () => {
    expect(pings()).toEqual([10_000, undefined, undefined]);
  });

  it("lets the user's options win, on every lane", () => {
    expect(pings({ "grpc.keepalive_time_ms": 20_000 })).toEqual([20_000, 20_000, 20_000]);
    const window = { "grpc-node.flow_control_window": 65_535 };
    expect(optionsOf("calls", window)).toMatchObject(window);
  });
});
