/** What the demo tells of what it sees, and what it keeps to itself. */
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { Narrator } from '../../sim/lab/demo/narrator.ts'
import type { Host } from '../../sim/lab/host.ts'
import type { StatusDocument, StatusNode, StatusProblem } from '../../src/core/status.ts'

const node = (id: string, path: StatusNode['path'], address: string | null): StatusNode => ({
  id,
  name: 'vm',
  address,
  role: 'server',
  stage: null,
  alive: true,
  lastSeenMs: 0,
  path,
  os: { slot: null, version: null, digest: null },
})

const silent: StatusProblem = {
  code: 'node.silent.vm',
  severity: 'warning',
  since: '2026-01-01T00:00:00Z',
  message: 'vm is silent',
  hint: 'look at it',
}

const status = (id: string, more: Partial<StatusDocument> = {}): StatusDocument => ({
  apiVersion: 'muster/v1',
  self: { id, name: 'vm', stage: 'ready', address: '10.0.0.1', role: 'server' },
  cluster: {
    id: 'c'.repeat(64),
    network: 'lab',
    state: 'formed',
    expect: 2,
    era: null,
    term: 1,
    leader: null,
    planIndex: 0,
  },
  nodes: [node('id-one', 'self', '10.0.0.1'), node('id-two', 'direct', '10.0.0.2')],
  distribution: { kind: 'none', version: null, healthy: true, members: [] },
  act: null,
  rollout: null,
  waitingFor: [],
  problems: [],
  ...more,
})

const one = { name: 'node-1', index: 1 } as Host
const two = { name: 'node-2', index: 2 } as Host

/** Everything that is told of these looks, taken one second after the other. */
function told(...looks: readonly (readonly [Host, StatusDocument | null])[]): string[] {
  const stream = new PassThrough()
  const narrator = new Narrator(stream)
  const last = new Map<Host, StatusDocument | null>()
  for (const [i, [host, after]] of looks.entries()) {
    narrator.tell({ host, before: last.get(host) ?? null, after, atMs: i * 1_000 })
    last.set(host, after)
  }
  return String(stream.read() ?? '')
    .split('\n')
    .filter((line) => line !== '')
}

const quiet = [
  [two, status('id-two')],
  [one, status('id-one')],
] as const

it('says once what a host has to say, with the hosts’ names for nodes that share one', () => {
  const lines = told(...quiet, [one, status('id-one')])
  expect(lines).toHaveLength(2)
  expect(lines[1]).toBe(
    '   1.00 s  node-1    is up as …id-one, finds node-2, holds genesis cccccccccccc, is server 10.0.0.1,' +
      ' has a path to the other → ready',
  )
})

it('keeps a problem that is over at once to itself, and tells of one that lasts, and of its end', () => {
  const ill = status('id-one', { problems: [silent] })
  expect(told(...quiet, [one, ill], [one, status('id-one')]).slice(2)).toEqual([])
  expect(
    told(...quiet, [one, ill], [one, ill], [one, ill], [one, ill], [one, status('id-one')]).slice(2),
  ).toEqual([
    '   5.00 s  node-1    node.silent.vm: vm is silent',
    '   6.00 s  cluster   node.silent.vm is over',
  ])
})

it('tells one time what several hosts wait for', () => {
  const waits = (id: string) => status(id, { waitingFor: ['a third machine (since yesterday)'] })
  const looks = Array.from(
    { length: 5 },
    () =>
      [
        [two, waits('id-two')],
        [one, waits('id-one')],
      ] as const,
  ).flat()
  expect(told(...looks).filter((line) => line.includes('waits'))).toEqual([
    '   4.00 s  cluster   waits for a third machine',
  ])
})

it('says that a host answers again, and then only what is new', () => {
  const moved = status('id-one', { self: { ...status('id-one').self, stage: 'meshing' } })
  expect(told(...quiet, [one, null], [one, moved]).slice(2)).toEqual([
    '   2.00 s  node-1    does not answer',
    '   3.00 s  node-1    answers again → meshing',
  ])
})
