import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeToken, makeToken } from '../../src/core/token.ts'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()
const TOKEN = encodeToken(makeToken(new Uint8Array(32).fill(7), 3, 'shop-12', null))
let good: string
let bad: string

beforeEach(() => {
  good = write('good.yaml', `muster:\n  token: ${TOKEN}\n  distribution: {kind: etcd}\n`)
  bad = write('bad.yaml', `muster:\n  token: ${TOKEN}\n  servrs: 3\n  distribution: {kind: etdc}\n`)
})

function write(name: string, text: string, mode = 0o600): string {
  const path = join(lab().directory, name)
  writeFileSync(path, text, { mode })
  return path
}

describe('muster config check', () => {
  it('says ok and what was read', async () => {
    const ran = await run(['config', 'check', good])
    expect(ran).toEqual({ code: 0, stdout: `ok: ${good}\n`, stderr: '' })
    expect((await run(['config', 'check'], { env: { MUSTER_CONFIG: good } })).stdout).toBe(`ok: ${good}\n`)
  })

  it('names what is unwise', async () => {
    chmodSync(lab().directory, 0o755)
    const open = write('open.yaml', `muster: {token: ${TOKEN}, distribution: {kind: etcd}}\n`, 0o644)
    const { code, stdout } = await run(['config', 'check', open])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ok: .*open\.yaml\nwarning: .*\n {2}hint: chmod 600 .*\n$/)
    const ran = await run(['config', 'check', open, '--json'])
    expect(documentOf(ran)).toMatchObject({ ok: true, sources: [open], warnings: [{ severity: 'warning' }] })
  })

  it('names every fault with file, line and key, and ends with 2', async () => {
    const { code, stdout, stderr } = await run(['config', 'check', bad])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(`muster: ${bad}:3: muster.servrs: `)
    expect(stderr).toContain('  hint: did you mean muster.servers?\n')
    expect(stderr).toContain(`muster: ${bad}:4: muster.distribution.kind: `)
  })

  it('lists the faults with --json', async () => {
    const ran = await run(['config', 'check', bad, '--json'])
    expect(ran.code).toBe(2)
    const faults = [
      { file: bad, line: 3, key: 'muster.servrs' },
      { file: bad, line: 4, key: 'muster.distribution.kind' },
    ]
    expect(documentOf(ran)).toMatchObject({ error: { code: 'MUSTER_E_CONFIG' }, faults })
  })

  it('ends with 2 for a file that does not exist', async () => {
    const { code, stderr } = await run(['config', 'check', '/nonexistent.yaml'])
    expect(code).toBe(2)
    expect(stderr).toContain('/nonexistent.yaml')
  })
})

describe('muster config print', () => {
  it('shows the settings in effect, and no secret', async () => {
    const { code, stdout, stderr } = await run(['config', 'print', '--config', good])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('kind: etcd')
    expect(stdout).toContain('cidr: 10.86.0.0/16')
    expect(stdout).toContain('[secret]')
    expect(stdout).not.toContain(TOKEN.slice(7, 30))
  })

  it('merges the files in their order', async () => {
    const more = write('more.yaml', 'muster: {vpn: {cidr: 10.99.0.0/16}}\n')
    const { stdout } = await run(['config', 'print', '--config', good, '--config', more])
    expect(stdout).toContain('cidr: 10.99.0.0/16')
  })

  it('ends with 2 where the configuration is wrong', async () => {
    const { code, stdout, stderr } = await run(['config', 'print', '--config', bad])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('muster.servrs')
  })
})
