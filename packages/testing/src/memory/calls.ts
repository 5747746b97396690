import type {
  GrantRequest,
  KeepAliveRequest,
  LeaseId,
  RangeRequest,
  TxnRequest,
  WatchRequest,
} from "@sd/core";

/** What a client asked, by verb: five calls, the opening of two kinds of stream, and what is sent on them. */
export interface Requests {
  readonly range: RangeRequest;
  readonly txn: TxnRequest;
  readonly grant: GrantRequest;
  readonly revoke: { readonly id: LeaseId };
  /** A token is asked for. The password is not kept. */
  readonly authenticate: { readonly username: string };
  /** A stream of renewals is opened. */
  readonly keepAlive: undefined;
  /** A stream of watches is opened. */
  readonly watch: undefined;
  readonly renew: KeepAliveRequest;
  readonly watchRequest: WatchRequest;
  /** A client ends one of its streams. */
  readonly cancel: { readonly stream: "keepAlive" | "watch"; readonly suspect: boolean };
}

/** A name of what clients do. */
export type Verb = keyof Requests;

/** All that etcd answers. */
export const answerVerbs = ["range", "txn", "grant", "revoke", "authenticate", "renew"] as const;

/** All that can be dropped. */
export const requestVerbs = [...answerVerbs, "keepAlive", "watch"] as const;

/** What can be dropped on its way to etcd. */
export type RequestVerb = (typeof requestVerbs)[number];

/** What etcd answers, and what can be lost on its way back. */
export type AnswerVerb = (typeof answerVerbs)[number];

/** One entry of the log: what was asked, by which client, and when by the clock. */
export interface Call<V extends Verb = Verb> {
  readonly verb: V;
  readonly request: Requests[V];
  /** The number of the transport, from 1 in the order of `transport()`. */
  readonly client: number;
  readonly at: number;
}
