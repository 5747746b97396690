import { escapeControl } from "@sd/core";

/** Prints a line in the documented form, on stdout. What could forge lines or drive a terminal is escaped. */
export function log(text: string): void {
  process.stdout.write(
    `${formatTime(performance.timeOrigin + performance.now())} I | ${escapeControl(text)}\n`,
  );
}

/** As `log()`, for what needs attention: on stderr. */
export function warn(text: string): void {
  process.stderr.write(
    `${formatTime(performance.timeOrigin + performance.now())} W | ${escapeControl(text)}\n`,
  );
}

/** What stands in etcd, as a line shows it: a longer one would fill terminals and disks, again and again. */
export function excerpt(value: string): string {
  return value.length <= MAX_VALUE ? value : `${value.slice(0, MAX_VALUE)}... (${value.length} characters)`;
}

const MAX_VALUE = 300;

/** `YYYY-MM-DD HH:MM:SS.ffffff` in local time, from milliseconds with a fraction. */
export function formatTime(epochMs: number): string {
  const micros = Math.floor(epochMs * 1_000);
  const date = new Date(Math.floor(micros / 1_000));
  const pad = (value: number, width = 2): string => String(value).padStart(width, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${day} ${time}.${pad(micros % 1_000_000, 6)}`;
}
