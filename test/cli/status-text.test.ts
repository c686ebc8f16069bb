import { describe, expect, it } from 'vitest'
import { statusText } from '../../src/cli/status-text.ts'
import { terminalOf } from '../../src/cli/terminal.ts'
import type { StatusDocument } from '../../src/core/status.ts'
import { formingStatus, node, readyStatus } from '../host/api/fixtures.ts'
import { NOW, Screen } from './run.ts'

const shown = (status: StatusDocument, screen = new Screen(), env: Record<string, string> = {}): string =>
  `\n${statusText(status, NOW, terminalOf(screen, env))}\n`

const ago = (seconds: number): string => new Date(NOW.getTime() - seconds * 1_000).toISOString()

const degradedStatus = (): StatusDocument => {
  const ready = readyStatus()
  return {
    ...ready,
    cluster: { ...ready.cluster, state: 'degraded', leader: null },
    nodes: [
      node(0),
      node(1, { alive: false, lastSeenMs: 200_000, path: 'direct' }),
      node(2, { alive: false, lastSeenMs: null, stage: null, path: 'none' }),
      node(3, { role: 'agent', path: 'relayed', lastSeenMs: 1_900 }),
      node(4, { role: 'pending', address: null, stage: null, path: 'none' }),
    ],
    distribution: {
      ...ready.distribution,
      healthy: false,
      members: [
        { name: 'rack-1', voter: true, healthy: true },
        { name: 'rack-2', voter: true, healthy: false },
        { name: 'rack-3', voter: false, healthy: false },
      ],
    },
    act: { kind: 'join', node: 'rack-3', attempt: 2, ageMs: 185_000 },
    waitingFor: [`rack-3 to join the datastore (since ${ago(185)})`, 'something without a date'],
    problems: [
      {
        code: 'state.no-fingerprint',
        severity: 'info',
        since: ago(3 * 86_400),
        message: 'this machine has no ID of its own: a copied disk cannot be told from the original',
        hint: 'give it a DMI product UUID or /etc/machine-id',
      },
      {
        code: 'config.differs',
        severity: 'warning',
        since: ago(7_500),
        message: 'the configuration differs from the plan: servers is 1 here, 3 in the plan',
        hint: 'the plan wins; make the file agree with it',
      },
      {
        code: 'leader.none',
        severity: 'error',
        since: ago(195),
        message: 'no leader: 2 of 3 servers are needed, rack-2, rack-3 are silent',
        hint: 'everything that runs keeps running; power on or reconnect the silent servers',
      },
    ],
  }
}

describe('status in words', () => {
  it('says before the founding who is in sight and what is missing since when', () => {
    const status = {
      ...formingStatus(),
      waitingFor: [`1 more machine: 2 of 3 are here (since ${ago(40)})`],
    }
    expect(shown(status)).toBe(`
shop-12: founding, 2 of 3 machines in sight; this machine rack-1 takes part in the founding

node    stage     seen
rack-1  founding  alive  this machine
rack-2            alive

datastore    etcd, not formed yet
waiting for  1 more machine: 2 of 3 are here, for 40 s
`)
  })

  it('says of a formed cluster who leads, who is in, and what runs on it', () => {
    expect(shown(readyStatus())).toBe(`
shop-12: formed, 4 of 4 machines, leader rack-2; this machine rack-1 (server, 10.86.0.1) is ready

node    address    role    stage  seen   path
rack-1  10.86.0.1  server  ready  alive           this machine
rack-2  10.86.0.2  server  ready  alive  direct   leader
rack-3  10.86.0.3  server  ready  alive  direct
rack-4  10.86.0.4  agent   ready  alive  relayed

datastore  etcd 3.4.23, healthy: rack-1, rack-2, rack-3
plan       14 of term 2, cluster 4f1d9a0c4f1d
`)
  })

  it('says how far a rollout is, and why it does not go on; of one that is done, nothing', () => {
    const rollout = {
      kind: 'distribution',
      number: 2,
      state: 'halted',
      reason: 'rack-2 is not healthy',
      target: 'v1.33.4+k3s1',
      nodes: [
        { name: 'rack-1', role: 'server', state: 'done' },
        { name: 'rack-2', role: 'server', state: 'changing' },
        { name: 'rack-3', role: 'server', state: 'waiting' },
      ],
    } as const
    expect(shown({ ...readyStatus(), rollout })).toContain(
      'rollout    to v1.33.4+k3s1, halted (rack-2 is not healthy): 1 of 3 done\n',
    )
    const settings = { ...rollout, state: 'running', reason: null, target: null } as const
    expect(shown({ ...readyStatus(), rollout: settings })).toContain(
      'to new settings, running: 1 of 3 done\n',
    )
    expect(shown({ ...readyStatus(), rollout: { ...rollout, state: 'done' } })).not.toContain('rollout')
  })

  it('says of a degraded cluster who is silent since when, what is under way, and what to do, worst first', () => {
    expect(shown(degradedStatus())).toBe(`
shop-12: degraded, 2 of 4 machines, 1 more not admitted yet, no leader; this machine rack-1 (server, 10.86.0.1) is ready

node    address    role     stage  seen       path
rack-1  10.86.0.1  server   ready  alive               this machine
rack-2  10.86.0.2  server   ready  3 min ago
rack-3  10.86.0.3  server          not yet
rack-4  10.86.0.4  agent    ready  alive      relayed
rack-5             pending         alive

datastore    etcd 3.4.23, not healthy: rack-1, rack-2 (not healthy), rack-3 (learner, not healthy)
plan         14 of term 2, cluster 4f1d9a0c4f1d
under way    rack-3: join, attempt 2, for 3 min
waiting for  rack-3 to join the datastore, for 3 min
             something without a date

error: no leader: 2 of 3 servers are needed, rack-2, rack-3 are silent, for 3 min [leader.none]
  hint: everything that runs keeps running; power on or reconnect the silent servers
warning: the configuration differs from the plan: servers is 1 here, 3 in the plan, for 2 h 5 min [config.differs]
  hint: the plan wins; make the file agree with it
info: this machine has no ID of its own: a copied disk cannot be told from the original, for 3 days [state.no-fingerprint]
  hint: give it a DMI product UUID or /etc/machine-id
`)
  })

  it('says of a cluster with one expected machine and of too many that they are that many', () => {
    const forming = formingStatus()
    const firstLine = (expectedMachines: number, state: 'discovering' | 'conflict'): string =>
      shown({ ...forming, cluster: { ...forming.cluster, expect: expectedMachines, state } }).split(';')[0] ??
      ''
    expect(firstLine(1, 'discovering')).toBe('\nshop-12: no cluster yet, 2 machines in sight, 1 expected')
    expect(firstLine(512, 'conflict')).toBe(
      '\nshop-12: in conflict with another cluster, 2 of 512 machines in sight',
    )
  })

  it('speaks of machines in sight where the cluster is known and its plan is not yet', () => {
    const forming = formingStatus()
    const status: StatusDocument = {
      ...forming,
      self: { ...forming.self, stage: 'joining' },
      cluster: { ...forming.cluster, id: '4f1d9a0c'.repeat(8), state: 'discovering' },
    }
    expect(shown(status)).toContain(
      '\nshop-12: joining, 2 of 3 machines in sight; this machine rack-1 waits to be admitted\n',
    )
    expect(shown(status)).toContain('\nplan         none yet, cluster 4f1d9a0c4f1d\n')
  })

  it('tells machines of one name apart', () => {
    const nodes = formingStatus().nodes.map((item) => ({ ...item, name: 'rack' }))
    const status = { ...formingStatus(), nodes }
    expect(shown(status)).toContain(`
node  id         stage     seen
rack  …ooWAlpha  founding  alive  this machine
rack  …ooWBravo            alive
`)
  })

  it('names a leader that it does not know by its ID', () => {
    const ready = readyStatus()
    const status = { ...ready, cluster: { ...ready.cluster, leader: '12D3KooWSomebodyElse' } }
    expect(shown(status)).toContain('leader …bodyElse;')
  })

  it.each([
    ['discovering', 'looks for the others'],
    ['founding', 'takes part in the founding'],
    ['joining', 'waits to be admitted'],
    ['meshing', 'builds its mesh'],
    ['distributing', 'brings up etcd'],
    ['ready', 'is ready'],
    ['blocked', 'is blocked until a person decides'],
    ['leaving', 'is leaving'],
  ] as const)('has words for the stage %s', (stage, words) => {
    const ready = readyStatus()
    expect(shown({ ...ready, self: { ...ready.self, stage } }).split('\n')[1]).toMatch(
      new RegExp(`; this machine rack-1 \\(server, 10\\.86\\.0\\.1\\) ${words}$`),
    )
  })

  it('is coloured for people only, and not for those who do not want it', () => {
    const plainText = shown(degradedStatus())
    const wide = new Screen(true, 500)
    expect(shown(degradedStatus(), new Screen(false), { FORCE_COLOR: '1' })).toBe(plainText)
    expect(shown(degradedStatus(), wide, { NO_COLOR: '1' })).toBe(plainText)
    expect(shown(degradedStatus(), wide, { TERM: 'dumb' })).toBe(plainText)
    const coloured = shown(degradedStatus(), wide)
    expect(coloured).toContain('\x1b[31mdegraded\x1b[39m')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
    expect(coloured.replace(/\x1b\[\d+m/g, '')).toBe(plainText)
  })

  it('breaks sentences, not tables, where the terminal ends', () => {
    const text = shown(degradedStatus(), new Screen(true, 70), { NO_COLOR: '1' })
    expect(text.split('\n').every((line) => line.length <= 70)).toBe(true)
    expect(text).toContain(`
error: no leader: 2 of 3 servers are needed, rack-2, rack-3 are
       silent, for 3 min [leader.none]
`)
  })
})
