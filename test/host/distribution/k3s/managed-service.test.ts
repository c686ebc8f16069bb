import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type Manager,
  managedService,
  type Seen,
} from '../../../../src/host/distribution/k3s/managed-service.ts'
import type { Role } from '../../../../src/host/distribution/k3s/places.ts'
import type { Launch, Service } from '../../../../src/host/distribution/k3s/service.ts'
import {
  openrcScript,
  permitPath,
  startPath,
  systemdUnit,
} from '../../../../src/host/distribution/k3s/unit.ts'

const IDLE: Seen = { pid: null, isWanted: false, restarts: 0, how: '' }
const RUNS: Seen = { pid: 42, isWanted: true, restarts: 0, how: '' }
const LAUNCH: Launch = {
  role: 'server',
  binary: '/opt/k3s',
  args: ['server', '--config', '/etc/rancher/k3s/config.yaml'],
  extra: ['--cluster-init'],
  environment: { HTTP_PROXY: 'http://proxy' },
}

let root: string
let run: string
let service: Service
let asked: string[]
const seen = new Map<Role, Seen>()

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'muster-k3s-units-'))
  run = join(root, 'run')
  mkdirSync(run)
  asked = []
  seen.clear()
  const ask = (verb: string) => async (role: Role) => {
    asked.push(`${verb} ${role}`)
    if (verb === 'start') seen.set(role, RUNS)
    if (verb === 'stop') seen.set(role, IDLE)
  }
  const manager: Manager = {
    unitPath,
    environmentPath: (role) => `${unitPath(role)}.env`,
    unitMode: 0o644,
    unitText: ({ role, binary, args }) =>
      systemdUnit({
        role,
        binary,
        args,
        environmentFile: `${unitPath(role)}.env`,
        run,
        log: join(root, 'log'),
      }),
    reload: async () => void asked.push('reload'),
    look: async (role) => seen.get(role) ?? IDLE,
    start: ask('start'),
    stop: ask('stop'),
    enable: ask('enable'),
    disable: ask('disable'),
    lastWords: async () => ({ cause: 'other', text: 'something' }),
  }
  service = managedService(manager, run, {
    onExit: () => undefined,
    note: () => undefined,
    failureOf: (_words, how, failures) => ({
      code: 'k3s.keeps-failing',
      severity: 'error',
      message: `${how} ${failures}`,
      hint: 'none',
    }),
  })
})
afterEach(() => rmSync(root, { recursive: true }))

const unitPath = (role: Role): string => join(root, `${role}.service`)

describe('k3s as a service of the machine', () => {
  it('may run only while muster says so, and is told cluster-init for this start alone', async () => {
    await service.start(LAUNCH)
    expect(service.isRunning).toBe(true)
    expect(existsSync(permitPath(run))).toBe(true)
    expect(readFileSync(startPath(run), 'utf8')).toContain('MUSTER_K3S_START="--cluster-init"')
    expect(readFileSync(unitPath('server'), 'utf8')).not.toContain('cluster-init')
    await service.enable('server')
    expect(existsSync(startPath(run))).toBe(false)
    await service.end('the test ends')
    expect(existsSync(permitPath(run))).toBe(false)
    expect(asked.slice(-2)).toEqual(['stop server', 'disable server'])
    expect(service.isRunning).toBe(false)
  })

  it('is adopted with its unit, and a change of role ends the other', async () => {
    await service.start({ ...LAUNCH, role: 'agent', args: ['agent'] })
    expect(await service.adopt()).toBe(true)
    await service.start(LAUNCH)
    expect(asked).toContain('stop agent')
    expect(asked).toContain('disable agent')
  })

  it('of somebody else is neither taken over nor stopped', async () => {
    writeFileSync(unitPath('server'), '[Unit]\nDescription=Lightweight Kubernetes\n')
    seen.set('server', RUNS)
    seen.set('agent', RUNS)
    expect(await service.adopt()).toBe(false)
    await service.end('it is not to run here')
    await service.start({ ...LAUNCH, role: 'agent', args: ['agent'] })
    expect(asked.filter((each) => each.endsWith('server'))).toEqual([])
  })

  it('tells of ends that its keeper mended', async () => {
    await service.start(LAUNCH)
    expect(await service.notice(0)).toBe(false)
    seen.set('server', { ...RUNS, restarts: 2, how: 'exit-code, status 1' })
    expect(await service.notice(0)).toBe(true)
    expect(service.failure?.message).toBe('exit-code, status 1 2')
    service.forgive()
    expect(service.failure).toBeNull()
  })
})

describe('units', () => {
  const place = {
    role: 'server' as const,
    binary: '/opt/my k3s',
    args: ['server', '--kubelet-arg=a=%n$HOME', "it's"],
    environmentFile: '/etc/e',
    run: '/run/muster.run/k3s',
    log: '/var/log/k3s',
  }

  it('of systemd say words as they are, and wait for muster', () => {
    const text = systemdUnit(place)
    expect(text).toContain(
      'ExecStart="/opt/my k3s" server "--kubelet-arg=a=%%n$$HOME" "it\'s" $MUSTER_K3S_START',
    )
    expect(text).toContain('until [ -e /run/muster.run/k3s/may-run ]')
    expect(text).toContain('Conflicts=k3s-agent.service')
  })

  it('of OpenRC wait for muster, too', () => {
    const text = openrcScript(place)
    expect(text.startsWith('#!/sbin/openrc-run\n')).toBe(true)
    expect(text).toContain('until [ -e /run/muster.run/k3s/may-run ]')
  })
})
