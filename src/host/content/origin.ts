/**
 * Reads an artefact where it comes from, from any byte on, over http or https. Redirects, proxies from the
 * environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), a private CA, and an end to every silence. What comes is
 * believed for its checksum, never for where it came from, so a redirect may lead anywhere.
 */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { getCACertificates } from 'node:tls'
import { ARTEFACT_BYTES_MAX } from '../../core/content.ts'
import { ContentError } from './errors.ts'

const REDIRECTS_MAX = 8
/** A server that says nothing for this long is dead, or might as well be. */
const SILENCE_MS = 30_000
/** Answers that no repetition changes. */
const FINAL_STATUS = new Set([400, 401, 403, 404, 405, 410, 451])

export interface OriginOptions {
  /** Certificates in PEM that are trusted beside the usual ones; read at each request, for it may be renewed. */
  readonly caFile: string | null
  /** Where the proxy's address is found. */
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Body {
  /** Of the whole; null where the origin does not say. */
  readonly size: number | null
  /** From the byte that was asked for. */
  readonly pieces: AsyncIterable<Uint8Array>
}

export class OriginFault extends Error {
  override readonly name = 'OriginFault'
  /** Nothing is gained by asking again soon. */
  readonly isFinal: boolean
  constructor(message: string, isFinal: boolean, options?: ErrorOptions) {
    super(message, options)
    this.isFinal = isFinal
  }
}

/** @throws OriginFault, also out of the pieces. */
export async function openOrigin(
  url: string,
  start: number,
  options: OriginOptions,
  signal: AbortSignal,
): Promise<Body> {
  let at = parseUrl(url)
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const response = await ask(at, start, options, signal)
    const { statusCode = 0, headers } = response
    if ([301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined) {
      response.destroy()
      at = parseUrl(headers.location, at)
      continue
    }
    if (statusCode === 200)
      return { size: sizeOf(headers['content-length'], 0), pieces: from(response, start) }
    if (statusCode === 206) {
      const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '')
      if (Number(range?.[1]) === start) return { size: sizeOf(range?.[2], 0), pieces: from(response, 0) }
    }
    response.destroy()
    const what = statusCode === 206 ? 'another part than was asked for' : `HTTP status ${statusCode}`
    throw new OriginFault(`it answers with ${what}`, FINAL_STATUS.has(statusCode))
  }
  throw new OriginFault(`it redirects more than ${REDIRECTS_MAX} times`, true)
}

/** For messages: credentials and what follows a question mark may be secret. */
export function shownUrl(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return 'an address that is none'
  }
}

export const originError = (name: string, url: string, fault: Error): ContentError =>
  new ContentError(
    'MUSTER_E_CONTENT_ORIGIN',
    `cannot get ${name} from ${shownUrl(url)}: ${fault.message}`,
    'check the address, the network and the proxy, or put the file on one of the machines; muster tries again by itself',
    { cause: fault },
  )

function parseUrl(text: string, base?: URL): URL {
  try {
    const url = new URL(text, base)
    if (['http:', 'https:'].includes(url.protocol)) return url
  } catch {
    // Said below.
  }
  throw new OriginFault('it is no address of the kinds http and https', true)
}

function ask(url: URL, start: number, options: OriginOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const isSecure = url.protocol === 'https:'
  const common = {
    signal,
    headers: {
      'accept-encoding': 'identity',
      'user-agent': 'muster',
      ...(start > 0 ? { range: `bytes=${start}-` } : {}),
    },
  }
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new OriginFault(reasonOf(error), false, { cause: error }))
    try {
      const request = isSecure
        ? requestHttps(url, { ...common, agent: secureAgent(options) })
        : requestHttp(url, { ...common, agent: new HttpAgent({ proxyEnv: { ...options.env } }) })
      request.setTimeout(SILENCE_MS, () => request.destroy(new Error('no answer')))
      request.on('response', resolve)
      request.on('error', fail)
      request.end()
    } catch (error) {
      fail(asError(error))
    }
  })
}

function secureAgent({ caFile, env }: OriginOptions): HttpsAgent {
  const ca = caFile === null ? {} : { ca: [...getCACertificates('default'), readFileSync(caFile, 'utf8')] }
  return new HttpsAgent({ proxyEnv: { ...env }, ...ca })
}

async function* from(response: IncomingMessage, skipped: number): AsyncGenerator<Uint8Array> {
  let skip = skipped
  try {
    for await (const piece of response) {
      const bytes = piece as Uint8Array
      if (bytes.length > skip) yield bytes.subarray(skip)
      skip = Math.max(0, skip - bytes.length)
    }
  } catch (error) {
    throw new OriginFault(reasonOf(asError(error)), false, { cause: error })
  }
  if (!response.complete) throw new OriginFault('the connection broke', false)
}

function sizeOf(text: string | undefined, least: number): number | null {
  const size = text === undefined || text === '*' ? null : Number(text)
  if (size === null || (Number.isSafeInteger(size) && size >= least && size <= ARTEFACT_BYTES_MAX))
    return size
  throw new OriginFault(`it offers ${text} bytes`, true)
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection broke',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'the name server does not answer',
  ETIMEDOUT: 'no answer',
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

function reasonOf(error: Error): string {
  const cause = error instanceof AggregateError ? asError(error.errors[0]) : error
  const code = 'code' in cause ? String(cause.code) : ''
  return WORDS[code] ?? cause.message.slice(0, 200)
}
