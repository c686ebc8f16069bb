/**
 * The `muster:` block of one file: checked by the schema, every fault at its line. What is wrong is left out of
 * the answer, so that the rest can still be checked and a person sees all faults at once.
 */
import type { z } from 'zod'
import type { ConfigDocument } from './document.ts'
import { type ConfigFault, keyText, type Place } from './faults.ts'
import { MUSTER_KEYS, type Muster, musterSchema } from './schema.ts'
import { suggestion } from './suggestion.ts'

export interface MusterBlock {
  readonly document: ConfigDocument
  readonly values: Muster
  /** Paths below `muster` that were given and left out; the empty path stands for the whole block. */
  readonly faulty: readonly string[]
  /** Where the key stands in this file. */
  place(key: string): Place
}

const HINTS: Readonly<Record<string, string>> = {
  admission:
    'open lets in whoever has the token; with approve a person says so for each, by `muster node approve`',
  'distribution.kind':
    'k3s is Kubernetes, etcd makes a quorum of the servers and nothing else, none stops at the mesh',
  'distribution.external_db': 'write it as k3s takes it for --datastore-endpoint',
  'vpn.cidr': 'take a private range that no network of yours uses, such as 10.86.0.0/16',
  'discovery.peers': 'write IP, IP:PORT, HOST:PORT, or a multiaddr such as /ip4/192.0.2.1/tcp/7946',
  listen: 'write IP or IP:PORT, such as 0.0.0.0',
  founders: 'leave it out to let every holder of the token found',
}
const HINT =
  '`muster config print` shows every key with the value in effect; config/reference.yaml explains each'

/** Null where the file has no such block. */
export function readMusterBlock(document: ConfigDocument, faults: ConfigFault[]): MusterBlock | null {
  if (!document.topKeys().includes('muster')) return null
  const before = faults.length
  const place = (key: string): Place => document.place(['muster', ...key.split('.')])
  let data = document.block('muster', faults)
  const faulty: string[] = faults.length > before ? [''] : []
  // Each round leaves out what was wrong, so that there are no more rounds than keys.
  for (;;) {
    const result = musterSchema.safeParse(data)
    if (result.success) return { document, values: result.data, faulty, place }
    for (const issue of result.error.issues) {
      faults.push(...faultsOf(issue, document))
      for (const path of pathsOf(issue)) {
        faulty.push(path.join('.'))
        data = without(data, path)
      }
    }
  }
}

/** Paths of keys, not of items of lists: a list that is wrong in part is wrong. */
function pathsOf(issue: z.core.$ZodIssue): string[][] {
  const item = issue.path.findIndex((part) => typeof part === 'number')
  const path = (item === -1 ? issue.path : issue.path.slice(0, item)).map(String)
  return issue.code === 'unrecognized_keys' && item === -1 ? issue.keys.map((key) => [...path, key]) : [path]
}

function without(data: unknown, path: readonly string[]): unknown {
  const [first, ...rest] = path
  if (first === undefined || typeof data !== 'object' || data === null) return {}
  return Object.fromEntries(
    Object.entries(data).flatMap(([key, value]) =>
      key !== first ? [[key, value]] : rest.length === 0 ? [] : [[key, without(value, rest)]],
    ),
  )
}

function faultsOf(issue: z.core.$ZodIssue, document: ConfigDocument): ConfigFault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path.map(String), key]
      return {
        ...document.place(['muster', ...path]),
        message: 'unknown key',
        hint: suggestion(path, MUSTER_KEYS, 'muster'),
      }
    })
  }
  const key = keyText(issue.path.filter((part) => typeof part !== 'number'))
  return [{ ...document.place(['muster', ...issue.path]), message: issue.message, hint: HINTS[key] ?? HINT }]
}
