import process from "node:process";
import { runEtcd } from "./run-etcd.js";

/** How long a second signal may take. */
const ECHO_MS = 200;

const controller = new AbortController();
// npm passes on the Ctrl-C that the terminal has sent already: that must not end us before, nor while we end.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => controller.abort());

void runEtcd(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  signal: controller.signal,
}).then((code) => {
  process.exitCode = code;
  if (controller.signal.aborted) setTimeout(() => {}, ECHO_MS);
});
