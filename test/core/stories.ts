/** The stories that the golden transcripts tell. */
import { machines, type Story } from '../../sim/scenario.ts'

export interface Told {
  readonly name: string
  readonly about: string
  readonly story: Story
}

export const stories: readonly Told[] = [
  {
    name: 'three-nodes-form',
    about:
      'Three machines are switched on together and become one cluster with a datastore of three members.',
    story: { expect: 3, machines: machines(3) },
  },
  {
    name: 'the-candidate-dies',
    about:
      'Four machines. The candidate dies when its genesis is certified and nobody knows it yet. Another stands,' +
      '\nhears from its promises what was accepted, and adopts it: the same genesis, in a higher term.',
    story: {
      seed: 77,
      expect: 4,
      machines: machines(4),
      distribution: 'none',
      faults: [
        { at: 50, machine: 1, kind: 'crash', point: 'after-write', skip: 2, power: false, offMs: 20_000 },
      ],
      calmAt: 30_000,
    },
  },
  {
    name: 'the-leader-dies',
    about:
      'Three servers and an agent. The leader loses power; the two that are left elect another of them, and the' +
      '\nold leader comes back as itself and follows.',
    story: {
      expect: 4,
      machines: machines(4),
      distribution: 'none',
      faults: [{ at: 10_000, machine: 1, kind: 'crash', point: null, skip: 0, power: true, offMs: 10_000 }],
      network: { noticeMs: [8_000] },
      calmAt: 21_000,
    },
  },
  {
    name: 'a-fourth-joins',
    about:
      'Three machines have founded. A fourth comes later and is admitted as an agent, whatever it claims to be.',
    story: {
      expect: 3,
      machines: [...machines(3), { startAt: 8_000, preference: 'prefer', cpus: 64, memoryMiB: 262_144 }],
      distribution: 'none',
      calmAt: 9_000,
    },
  },
  {
    name: 'another-expect',
    about:
      'Three machines have founded. A fourth is told to expect four: it refuses their genesis and says why.',
    story: {
      expect: 3,
      machines: [...machines(3), { startAt: 8_000, expect: 4 }],
      distribution: 'none',
      endAt: 12_000,
    },
  },
  {
    name: 'a-dead-server-is-replaced',
    about:
      'Three servers and an agent that may serve. One server dies for good; after its grace it is taken out of the' +
      '\nvoters and of the plan, and the agent takes its place.',
    story: {
      expect: 4,
      machines: machines(4),
      distribution: 'none',
      membership: { replaceAfterMs: 6_000 },
      faults: [{ at: 20_000, machine: 2, kind: 'dies' }],
      calmAt: 21_000,
    },
  },
  {
    name: 'a-revoked-node-stays-out',
    about:
      'Three servers and an agent. A person revokes one server on another: it is out at once, then votes no more, and' +
      '\nthe agent takes its place. With a new disk and a new key it comes back, and waits for approval.',
    story: {
      expect: 4,
      machines: machines(4),
      distribution: 'none',
      membership: { replaceAfterMs: 0 },
      faults: [
        { at: 20_000, machine: 1, other: 0, kind: 'command', verb: 'revoke', as: 'agent', lawful: true },
        { at: 25_000, machine: 0, kind: 'wipe', offMs: 1_000 },
      ],
      calmAt: 27_000,
    },
  },
]
