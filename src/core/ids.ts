/** The branded types that carry proof inside the core: a plain string or number has not been parsed yet. */

declare const brand: unique symbol
type Brand<T, B extends string> = T & { readonly [brand]: B }

/** A libp2p peer ID (base58btc of an Ed25519 identity key). In the simulator any short unique word. */
export type NodeId = Brand<string, 'NodeId'>
/** Lower-case hexadecimal SHA-256. */
export type Digest = Brand<string, 'Digest'>
/** Milliseconds on this process's monotonic clock; comparable only within one run of one node. */
export type Millis = Brand<number, 'Millis'>
/** Election number, of a founding round or of a plan leader: 0 is "none yet", at most {@link MAX_TERM}. */
export type Term = Brand<number, 'Term'>

/** Largest term or index that a message may carry (2^48): far beyond use, far below loss of integer precision. */
export const MAX_TERM = 2 ** 48

export const nodeId = (text: string): NodeId => text as NodeId
export const digest = (text: string): Digest => text as Digest
export const millis = (value: number): Millis => value as Millis
export const term = (value: number): Term => value as Term

/** The one order of identifiers everywhere: by code unit, never by locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** For the end of a switch over a union: a new member that nobody handled becomes a type error. */
export function assertNever(value: never): never {
  throw new Error(`unhandled case: ${JSON.stringify(value)}`)
}
