import { classify, EtcdFailure, type EtcdTransport, failureError } from "@sd/core";

/** A fault that a test switches on and off. */
export class Fault {
  /** What the calls fail with; `undefined`: nothing. */
  error: Error | undefined;
  /** How many calls have failed. */
  failed = 0;

  /** Has the writing calls of `transport` fail before they are sent. */
  readonly wrap = (transport: EtcdTransport): Partial<EtcdTransport> => {
    const guard = <Answer>(call: () => Promise<Answer>): Promise<Answer> => {
      if (!this.error) return call();
      this.failed += 1;
      return Promise.reject(this.error);
    };
    return {
      txn: (request, options) => guard(() => transport.txn(request, options)),
      grant: (request, options) => guard(() => transport.grant(request, options)),
    };
  };
}

/** The error for a status and message of etcd. */
export function etcdError(status: number, message: string): Error {
  return failureError(new EtcdFailure(classify(status, message), message, { status }));
}
