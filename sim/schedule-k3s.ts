/**
 * The seeds that play k3s: a third of those with a datastore, with numbers of their own, so that machines and
 * faults are what they were. A person changes its settings at bad moments, to versions that may and may not
 * follow, and to settings that do not work; one that does is the last.
 */
import { type K3sSettings, plainK3s } from '../src/core/k3s.ts'
import { type Random, randomFrom } from './random.ts'
import type { Fault, Schedule } from './schedule.ts'

const BASE = 'v1.30.0+k3s1'
const NEXT = ['v1.30.4+k3s1', 'v1.31.2+k3s1', 'v1.31.2+k3s1', 'v1.32.0+k3s2', 'v1.29.9+k3s1', BASE] as const
const QUIET_MS = 40_000

export function withK3s(schedule: Schedule): Schedule {
  const random = randomFrom(schedule.seed, 'k3s')
  const isCrowd = schedule.machines.length > 9
  if (schedule.cluster.distribution !== 'etcd' || isCrowd || !random.perMille(330)) return schedule
  const k3s: K3sSettings = { ...plainK3s(), version: random.perMille(800) ? BASE : null }
  // Where machines expect different numbers, no time makes them one cluster.
  const isOne = schedule.machines.every(({ expect }) => expect === schedule.machines[0]?.expect)
  const isLong = random.perMille(700)
  const calmAt =
    isLong && isOne ? Math.max(schedule.calmAt, random.pick([120_000, 200_000])) : schedule.calmAt
  const faults = [...schedule.faults, ...drawRollouts(random, schedule.machines.length, calmAt)]
  return {
    ...schedule,
    calmAt,
    cluster: { ...schedule.cluster, distribution: 'k3s', k3s },
    faults: faults.sort((a, b) => a.at - b.at),
  }
}

function drawRollouts(random: Random, count: number, calmAt: number): Fault[] {
  if (random.perMille(250)) return []
  const faults: Fault[] = []
  const from = Math.min(calmAt, QUIET_MS)
  const when = (): number => (random.perMille(700) ? random.between(from, calmAt) : random.below(calmAt))
  for (let i = random.pick([1, 1, 1, 2, 3]); i > 0; i--) {
    const at = when()
    faults.push({
      kind: 'configure',
      at,
      machine: random.below(count),
      k3s: drawChange(random),
      acceptDowntime: random.perMille(500),
    })
    if (random.perMille(300)) {
      const ms = Math.min(calmAt - at, random.pick([5_000, 30_000, 100_000]))
      faults.push({ kind: 'k3s-spoilt', at, machine: random.below(count), ms })
    }
    // Whoever leads or holds the act is struck while it goes on.
    if (random.perMille(400)) {
      faults.push({
        kind: 'hunt',
        at,
        machine: 0,
        ms: Math.max(0, calmAt - at),
        everyMs: random.pick([700, 2_500, 6_000]),
        how: random.pick(['crash', 'cut', 'pause', 'hang'] as const),
        offMs: Math.min(calmAt - at, random.pick([1_500, 6_000, 20_000])),
        perMille: 300,
        holder: random.perMille(500),
      })
    }
  }
  for (const to of ['pause', 'resume', 'resume'] as const) {
    if (random.perMille(200)) faults.push({ kind: 'steer', at: when(), machine: random.below(count), to })
  }
  const mended = { server: plainK3s().server, agent: plainK3s().agent, artefacts: [] }
  if (random.perMille(700)) {
    faults.push({ kind: 'configure', at: calmAt, machine: 0, k3s: mended, acceptDowntime: true })
  }
  return faults
}

function drawChange(random: Random): Partial<K3sSettings> {
  const works = { args: [`--${random.below(9)}`], env: {}, replaceArgs: false, replaceEnv: false }
  const crashes = { ...works, args: ['crash'] }
  switch (random.pick(['version', 'version', 'version', 'server', 'agent', 'broken'] as const)) {
    case 'version':
      return { version: random.pick(NEXT) }
    case 'server':
      return { server: works, version: random.pick(NEXT) }
    case 'agent':
      return { agent: works }
    case 'broken':
      return random.pick<Partial<K3sSettings>>([
        { server: crashes },
        { agent: crashes },
        { artefacts: [{ arch: 'amd64', url: null, sha256: '9'.repeat(64) }] },
      ])
    default:
      return {}
  }
}
