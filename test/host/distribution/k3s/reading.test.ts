import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isSaid,
  parseFlags,
  reservedFlag,
  reservedKey,
  reservedVariable,
  valuesOf,
} from '../../../../src/host/distribution/k3s/arguments.ts'
import { programOf } from '../../../../src/host/distribution/k3s/elf.ts'
import { explain, flagIn } from '../../../../src/host/distribution/k3s/k3s-log.ts'
import { parseVersion } from '../../../../src/host/distribution/k3s/version.ts'
import {
  bytesField,
  numberAt,
  numberField,
  readFields,
  WireError,
} from '../../../../src/host/distribution/k3s/wire.ts'

const name = fc.stringMatching(/^[a-z][a-z0-9-]{1,20}$/)
const value = fc.stringMatching(/^[a-z0-9.:/][a-z0-9.,:/=-]{0,20}$/)

describe('what k3s says of its version', () => {
  it('is the first line’s third word', () => {
    expect(parseVersion('k3s version v1.33.4+k3s1 (148243c4)\ngo version go1.24.5\n')).toBe('v1.33.4+k3s1')
    expect(parseVersion('k3s version v1.34.0-rc2+k3s1 (abc)\n')).toBe('v1.34.0-rc2+k3s1')
  })

  it('is nothing where something else is said, whatever that is', () => {
    expect(parseVersion('rke2 version v1.33.4+rke2r1')).toBeNull()
    expect(parseVersion('k3s version v1.33')).toBeNull()
    fc.assert(
      fc.property(fc.string(), (text) => text.includes('k3s version v') || parseVersion(text) === null),
    )
  })

  it('comes back for every release', () => {
    const number = fc.nat({ max: 999 })
    fc.assert(
      fc.property(number, number, number, number, (a, b, c, d) => {
        expect(parseVersion(`k3s version v${a}.${b}.${c}+k3s${d} (0)\n`)).toBe(`v${a}.${b}.${c}+k3s${d}`)
      }),
    )
  })
})

describe('arguments that people give', () => {
  it('are read alike with = and with a space', () => {
    fc.assert(
      fc.property(name, value, (flag, text) => {
        const read = [{ name: flag, value: text }]
        expect(parseFlags([`--${flag}=${text}`])).toEqual(read)
        expect(parseFlags([`--${flag}`, text])).toEqual(read)
      }),
    )
  })

  it('may be lists, in one or in several', () => {
    expect(valuesOf(['--tls-san=a,b', '--disable', 'traefik', '--tls-san', 'c'], 'tls-san')).toEqual([
      'a',
      'b',
      'c',
    ])
  })

  it('are not said where they are false', () => {
    expect(isSaid(['--disable-agent'], 'disable-agent')).toBe(true)
    expect(isSaid(['--disable-agent=false'], 'disable-agent')).toBe(false)
  })

  it.each([
    [['--cluster-init']],
    [['--disable=traefik', '--cluster-reset=true']],
    [['-s', 'https://10.0.0.1:6443']],
    [['-t=abc']],
    [['--token', 'abc']],
    [['--node-ip=10.0.0.1']],
    [['-d', '/elsewhere']],
  ])('%j decide about the cluster, and are found', (args) => {
    expect(reservedFlag(args)).not.toBeNull()
  })

  it('are free where they decide about nothing but the machine', () => {
    expect(
      reservedFlag(['--disable=traefik', '--kubelet-arg=max-pods=200', '--node-label', 'a=b']),
    ).toBeNull()
    expect(reservedVariable({ HTTPS_PROXY: 'http://proxy' })).toBeNull()
    expect(reservedVariable({ K3S_CLUSTER_INIT: 'true' })).toBe('K3S_CLUSTER_INIT')
  })

  it('are found as keys too, also where they add to a list', () => {
    expect(reservedKey(['disable', 'node-ip+'])).toBe('node-ip+')
    expect(reservedKey(['disable+', 'kubelet-arg'])).toBeNull()
  })
})

describe('a program', () => {
  const elf = (machine: number, isLittle = true): Uint8Array => {
    const bytes = Buffer.alloc(64)
    bytes.write('\x7fELF', 0, 'latin1')
    bytes[5] = isLittle ? 1 : 2
    if (isLittle) bytes.writeUInt16LE(machine, 18)
    else bytes.writeUInt16BE(machine, 18)
    return bytes
  }

  it.each([
    [62, 'amd64'],
    [183, 'arm64'],
    [40, 'arm'],
    [8, 'other'],
  ] as const)('of machine %i is for %s', (machine, architecture) => {
    expect(programOf(elf(machine))).toEqual({ kind: 'elf', architecture })
    expect(programOf(elf(machine, false))).toEqual({ kind: 'elf', architecture })
  })

  it('may be a script, and is none where it is cut off, or a page that says 404', () => {
    expect(programOf(Buffer.from('#!/bin/sh\n'))).toEqual({ kind: 'script' })
    expect(programOf(elf(62).subarray(0, 10))).toEqual({ kind: 'none' })
    expect(programOf(Buffer.from('<html>not found, and a little more</html>'))).toEqual({ kind: 'none' })
  })
})

describe('messages of etcd', () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

  it('give back every number and every text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), number, fc.uint8Array(), (field, each, bytes) => {
        const fields = readFields(Buffer.concat([numberField(field, each), bytesField(field + 1, bytes)]))
        expect(numberAt(fields, field)).toBe(each)
        expect(Buffer.from(fields[1]?.bytes ?? [])).toEqual(Buffer.from(bytes))
      }),
    )
  })

  it('that are none end in an error of ours, and never in another', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          readFields(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
      }),
    )
  })
})

describe('why k3s ended', () => {
  const logrus = (level: string, msg: string): string =>
    `time="2026-11-25T12:00:00Z" level=${level} msg=${JSON.stringify(msg)}\n`

  it.each([
    ['unknown-flag', logrus('fatal', 'flag provided but not defined: -no-such')],
    ['unknown-flag', 'Incorrect Usage: flag provided but not defined: -no-such\n\nNAME:\n   k3s server\n'],
    [
      'ca-mismatch',
      logrus(
        'fatal',
        'starting kubernetes: token CA hash does not match the Cluster CA certificate hash: a != b',
      ),
    ],
    ['token-mismatch', logrus('fatal', 'bootstrap data already found and encrypted with different token')],
    [
      'node-password',
      logrus('error', 'Node password rejected, duplicate hostname or contents of … may not match'),
    ],
    [
      'duplicate-name',
      logrus('fatal', 'ETCD join failed: duplicate node name found, please use a unique name'),
    ],
    ['clock', logrus('error', 'x509: certificate has expired or is not yet valid: current time 1970')],
    ['port-taken', logrus('fatal', 'listen tcp :6443: bind: address already in use')],
    ['learner-waits', logrus('fatal', 'ETCD join failed: etcdserver: too many learner members in cluster')],
    ['interface-missing', logrus('fatal', 'unable to find interface muster0: no such network interface')],
    ['no-cgroups', logrus('fatal', 'failed to find memory cgroup (v2)')],
    [
      'removed',
      '{"level":"error","msg":"server error","error":"the member has been permanently removed from the cluster"}\n',
    ],
  ])('is %s where it says so', (cause, output) => {
    const before = logrus('info', 'Starting k3s v1.33.4+k3s1')
    expect(explain(before + output + logrus('info', 'Shutting down')).cause).toBe(cause)
  })

  it('is its gravest word where nothing is known, and one bounded line whatever was said', () => {
    const output = logrus('fatal', 'the moon is full') + logrus('info', 'bye')
    expect(explain(output)).toEqual({ cause: 'other', text: 'the moon is full' })
    fc.assert(
      fc.property(fc.string({ maxLength: 2_000 }), (text) => {
        expect(explain(text).text.length).toBeLessThanOrEqual(300)
      }),
    )
  })

  it('names the flag that is not known', () => {
    expect(flagIn('flag provided but not defined: -no-such')).toBe('-no-such')
  })
})
