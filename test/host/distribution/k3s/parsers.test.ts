import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isSaid,
  parseFlags,
  reservedFlag,
  reservedKey,
  reservedVariable,
  valuesOf,
} from '../../../../src/host/distribution/k3s/arguments.ts'
import { ownArchitecture, programOf } from '../../../../src/host/distribution/k3s/elf.ts'
import { explain, flagIn } from '../../../../src/host/distribution/k3s/k3s-log.ts'
import { isForKubelet, marksOf } from '../../../../src/host/distribution/k3s/labels.ts'
import { markPatch, parseTaint } from '../../../../src/host/distribution/k3s/marks.ts'
import { rangeOverlap } from '../../../../src/host/distribution/k3s/ranges.ts'
import { parseShow } from '../../../../src/host/distribution/k3s/systemd.ts'
import { parseVersion } from '../../../../src/host/distribution/k3s/version.ts'
import { bytesField, numberAt, numberField, readFields } from '../../../../src/host/distribution/k3s/wire.ts'

describe('arguments of people', () => {
  it.each([
    [['--disable=traefik'], [{ name: 'disable', value: 'traefik' }]],
    [['--disable', 'traefik', 'x'], [{ name: 'disable', value: 'traefik' }]],
    [['-t', 'x'], [{ name: 'token', value: 'x' }]],
    [
      ['--debug', '--v=1'],
      [
        { name: 'debug', value: null },
        { name: 'v', value: '1' },
      ],
    ],
    [['--kubelet-arg=a=b=c'], [{ name: 'kubelet-arg', value: 'a=b=c' }]],
  ])('%j are read as k3s reads them', (args, flags) => {
    expect(parseFlags(args)).toEqual(flags)
  })

  it.each(['--cluster-init', '-cluster-init', '--server=https://x', '-s', '--token', '--node-name=x'])(
    '%s is muster’s alone to say',
    (word) => {
      expect(reservedFlag(['--disable=traefik', word])).not.toBeNull()
    },
  )

  it('what says nothing of the cluster is free', () => {
    expect(reservedFlag(['--disable=traefik', '--kubelet-arg=max-pods=200', '--debug'])).toBeNull()
    expect(reservedKey(['disable', 'tls-san+'])).toBeNull()
    expect(reservedVariable({ HTTP_PROXY: 'http://proxy' })).toBeNull()
  })

  it('files and variables cannot say it either, nor by adding', () => {
    expect(reservedKey(['disable', 'cluster-init'])).toBe('cluster-init')
    expect(reservedKey(['server+'])).toBe('server+')
    expect(reservedVariable({ K3S_URL: 'https://x' })).toBe('K3S_URL')
  })

  it('lists are all their values, and false is not said', () => {
    expect(
      valuesOf(['--cluster-cidr=10.1.0.0/16,fd00::/56', '--cluster-cidr', '10.2.0.0/16'], 'cluster-cidr'),
    ).toEqual(['10.1.0.0/16', 'fd00::/56', '10.2.0.0/16'])
    expect(isSaid(['--disable-agent=false'], 'disable-agent')).toBe(false)
    expect(isSaid(['--disable-agent'], 'disable-agent')).toBe(true)
  })

  it('a reserved flag is found wherever it stands and however it is written', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('--debug', '--disable=traefik', '--v=2')),
        fc.array(fc.string()),
        fc.constantFrom('--cluster-init', '--cluster-init=true', '-cluster-init'),
        (before, after, word) => reservedFlag([...before, word, ...after]) !== null,
      ),
    )
  })
})

describe('the version that a program says', () => {
  it.each([
    ['k3s version v1.33.4+k3s1 (148243c4)\ngo version go1.24.5\n', 'v1.33.4+k3s1'],
    ['k3s version v1.34.0-rc1+k3s1 (1)', 'v1.34.0-rc1+k3s1'],
    ['warning: x\nk3s version v1.33.4+k3s1', 'v1.33.4+k3s1'],
    ['kubectl version v1.33.4', null],
    ['k3s version 1.33', null],
    ['', null],
  ])('%j is %s', (output, version) => {
    expect(parseVersion(output)).toBe(version)
  })
})

describe('a program’s first bytes', () => {
  const elf = (machine: number, isLittle: boolean): Uint8Array => {
    const bytes = Buffer.alloc(64)
    bytes.write('\x7fELF', 'latin1')
    bytes[5] = isLittle ? 1 : 2
    if (isLittle) bytes.writeUInt16LE(machine, 18)
    else bytes.writeUInt16BE(machine, 18)
    return bytes
  }

  it.each([
    [62, 'amd64'],
    [183, 'arm64'],
    [40, 'arm'],
    [243, 'other'],
  ])('of machine %d are %s, in both byte orders', (machine, architecture) => {
    expect(programOf(elf(machine, true))).toEqual({ kind: 'elf', architecture })
    expect(programOf(elf(machine, false))).toEqual({ kind: 'elf', architecture })
  })

  it('may be those of a script, and else are of no program', () => {
    expect(programOf(Buffer.from('#!/bin/sh\n'))).toEqual({ kind: 'script' })
    expect(programOf(elf(62, true).subarray(0, 19))).toEqual({ kind: 'none' })
    expect(programOf(Buffer.from('<html>404 not found, no binary</html>'))).toEqual({ kind: 'none' })
    expect(programOf(new Uint8Array())).toEqual({ kind: 'none' })
  })

  it('whatever they are, they are one of the three', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => programOf(bytes).kind.length > 0))
  })

  it('machines are called as releases call them', () => {
    expect([ownArchitecture('x64'), ownArchitecture('arm64'), ownArchitecture('ppc64')]).toEqual([
      'amd64',
      'arm64',
      null,
    ])
  })
})

describe('what k3s says at its end', () => {
  const fatal = (message: string): string =>
    `time="2026-01-02T03:04:05Z" level=info msg="Starting k3s v1.33.4+k3s1"\ntime="2026-01-02T03:04:05Z" level=fatal msg=${JSON.stringify(message)}\n`

  it.each([
    [
      'starting kubernetes: preparing server: failed to validate token: token CA hash does not match',
      'ca-mismatch',
    ],
    [
      'starting kubernetes: preparing server: bootstrap data already found and encrypted with different token',
      'token-mismatch',
    ],
    ['Node password rejected, duplicate hostname or contents of /etc/rancher/node/password', 'node-password'],
    ['ETCD join failed: duplicate node name found, please use a unique name for this node', 'duplicate-name'],
    ['etcdserver: too many learner members in cluster', 'learner-waits'],
    ['listen tcp 0.0.0.0:6443: bind: address already in use', 'port-taken'],
    ['write /var/lib/rancher: no space left on device', 'no-space'],
    ['x509: certificate has expired or is not yet valid: current time', 'clock'],
    ['failed to find memory cgroup (v2)', 'no-cgroups'],
    ['failed to get CA certs: Get "https://10.86.0.1:6443/cacerts": connection refused', 'unreachable'],
    ['something that nobody foresaw', 'other'],
  ])('%s', (message, cause) => {
    expect(explain(fatal(message))).toEqual({ cause, text: message })
  })

  it('a wrong flag is named, above the list of all that there are', () => {
    const usage = 'NAME:\n   k3s server - Run management server\n\nOPTIONS:\n   --config value  (config)\n'
    const { cause, text } = explain(`Incorrect Usage: flag provided but not defined: -nonsense\n\n${usage}`)
    expect([cause, flagIn(text)]).toEqual(['unknown-flag', '-nonsense'])
  })

  it('causes that only notes and warnings mention count where nothing else does', () => {
    const note = 'time="x" level=info msg="listen tcp :6443: bind: address already in use"'
    expect(explain(note).cause).toBe('port-taken')
    expect(explain(`${note}\n${fatal('no space left on device')}`).cause).toBe('no-space')
  })

  it('is one short line, whatever it was', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 2_000 }),
        (output) => explain(output).text.length <= 300,
      ),
    )
  })
})

describe('ranges of pods and services', () => {
  it('are k3s’ own unless others are said', () => {
    expect(rangeOverlap([], [{ interface: 'eth0', cidr: '10.42.3.1/24' }], [])).toEqual({
      flag: 'cluster-cidr',
      range: '10.42.0.0/16',
      with: 'eth0 (10.42.3.1/24)',
    })
    const args = ['--cluster-cidr=10.60.0.0/16']
    expect(rangeOverlap(args, [{ interface: 'eth0', cidr: '10.42.3.1/24' }], [])).toBeNull()
  })

  it('must not hold a server either, and what is no range is k3s’ to say', () => {
    const servers = [{ name: 'ada', address: '10.86.0.1' }]
    expect(rangeOverlap(['--service-cidr', '10.0.0.0/8'], [], servers)?.flag).toBe('service-cidr')
    expect(rangeOverlap(['--service-cidr=nonsense'], [], servers)).toBeNull()
  })
})

describe('labels and taints', () => {
  const rules = [
    { match: { names: null, role: null }, labels: { 'example.org/a': '1' }, taints: [] },
    {
      match: { names: ['edge-*'], role: null },
      labels: { 'example.org/a': '2' },
      taints: ['edge:NoSchedule'],
    },
    {
      match: { names: null, role: 'server' as const },
      labels: {},
      taints: ['edge:NoSchedule', 'a=b:NoExecute'],
    },
  ]

  it('come from every rule that matches, the later wins, and each taint is there once', () => {
    expect(marksOf(rules, 'edge-1', 'server')).toEqual({
      labels: { 'example.org/a': '2' },
      taints: ['a=b:NoExecute', 'edge:NoSchedule'],
    })
    expect(marksOf(rules, 'core-1', 'agent')).toEqual({ labels: { 'example.org/a': '1' }, taints: [] })
  })

  it.each([
    ['example.org/a', true],
    ['plain', true],
    ['node.kubernetes.io/instance-type', true],
    ['topology.kubernetes.io/zone', true],
    ['node-role.kubernetes.io/worker', false],
    ['kubernetes.io/anything', false],
  ])('a kubelet may give itself %s: %s', (label, may) => {
    expect(isForKubelet(label)).toBe(may)
  })

  it.each([
    ['a=b:NoSchedule', { key: 'a', value: 'b', effect: 'NoSchedule' }],
    ['a:NoExecute', { key: 'a', effect: 'NoExecute' }],
    ['a=b', null],
    ['a:Sometimes', null],
  ])('%s as a taint', (text, taint) => {
    expect(parseTaint(text)).toEqual(taint)
  })

  it('of a Node follow the rules, and people’s own stay', () => {
    const node = {
      name: 'edge-1',
      ready: true,
      isVoter: false,
      isServer: false,
      version: null,
      labels: { 'people/own': 'x', 'example.org/old': '1' },
      annotations: { 'muster.dev/given': '{"labels":["example.org/old"],"taints":["old:NoSchedule"]}' },
      taints: [
        { key: 'old', effect: 'NoSchedule' },
        { key: 'people', effect: 'NoExecute' },
      ],
    }
    const wanted = { labels: { 'example.org/a': '2' }, taints: ['edge:NoSchedule'] }
    expect(markPatch(node, wanted)).toEqual({
      metadata: {
        labels: { 'example.org/old': null, 'example.org/a': '2' },
        annotations: { 'muster.dev/given': '{"labels":["example.org/a"],"taints":["edge:NoSchedule"]}' },
      },
      spec: {
        taints: [
          { key: 'people', effect: 'NoExecute' },
          { key: 'edge', effect: 'NoSchedule' },
        ],
      },
    })
    const after = {
      ...node,
      labels: { 'people/own': 'x', 'example.org/a': '2' },
      annotations: { 'muster.dev/given': '{"labels":["example.org/a"],"taints":["edge:NoSchedule"]}' },
      taints: [{ key: 'edge', effect: 'NoSchedule' }],
    }
    expect(markPatch(after, wanted)).toBeNull()
  })
})

describe('what systemd says of a unit', () => {
  it.each([
    ['ActiveState=active\nMainPID=42\nNRestarts=3\nResult=success\nExecMainStatus=0', 42, true, 3],
    ['ActiveState=activating\nMainPID=0\nNRestarts=1\nResult=exit-code\nExecMainStatus=1', null, true, 1],
    ['LoadState=not-found\nActiveState=inactive\nMainPID=0\nNRestarts=0', null, false, 0],
    ['', null, false, 0],
  ])('%j', (text, pid, isWanted, restarts) => {
    expect(parseShow(text)).toMatchObject({ pid, isWanted, restarts })
  })
})

describe('messages of etcd', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.uint8Array({ maxLength: 300 }),
        (number, value, bytes) => {
          const message = Buffer.concat([numberField(number, value), bytesField(number + 1, bytes)])
          const fields = readFields(message)
          expect(numberAt(fields, number)).toBe(value)
          expect(Buffer.from(fields[1]?.bytes ?? [])).toEqual(Buffer.from(bytes))
        },
      ),
    )
  })

  it('that are cut or nonsense are an error of their own', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          readFields(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'MUSTER_E_WIRE' })
        }
      }),
    )
    expect(() => readFields(Uint8Array.of(0x0a, 5, 1))).toThrow('within a field')
  })
})
