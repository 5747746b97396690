import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, it, vi } from "vitest";
import { publish } from "./channels.js";

describe("publish", () => {
  it("builds nothing for a channel that nobody hears", () => {
    const payload = vi.fn(() => ({ leaseId: 1n, reason: "expired" }));
    expect(publish("sd:lease:lost", payload)).toBe(false);
    expect(payload).not.toHaveBeenCalled();
  });

  it("tells who listens, and says so", () => {
    const heard = vi.fn();
    subscribe("sd:lease:lost", heard);
    expect(publish("sd:lease:lost", () => ({ leaseId: 1n, reason: "expired" }))).toBe(true);
    unsubscribe("sd:lease:lost", heard);
    expect(heard).toHaveBeenCalledWith({ leaseId: 1n, reason: "expired" }, "sd:lease:lost");
  });
});
