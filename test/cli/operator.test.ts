import { verify } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bytesOf } from '../../src/core/codec.ts'
import { type Command, commandStatement } from '../../src/core/commands.ts'
import { digest, nodeId } from '../../src/core/ids.ts'
import { publicKeyOf } from '../../src/host/crypto.ts'
import { formingStatus, readyStatus } from '../host/api/fixtures.ts'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()
const file = (name: string): string => join(lab().directory, name)

async function newKey(name = 'operator.pem'): Promise<{ readonly path: string; readonly operator: string }> {
  const path = file(name)
  const { code, stdout } = await run(['operator', 'new', path])
  expect(code).toBe(0)
  return { path, operator: stdout.trim() }
}

/** As the core checks it, over the command that arrived. */
function isSigned(operator: string, command: Command, index: number, signature: Uint8Array): boolean {
  const key = publicKeyOf(nodeId(operator))
  const era = digest(readyStatus().cluster.era ?? '')
  return key !== null && verify(null, bytesOf(commandStatement(era, command, index)), key, signature)
}

describe('an operator key', () => {
  it('is for its owner’s eyes, and its public half is a peer ID', async () => {
    const { path, operator } = await newKey()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/)
    expect(operator).toMatch(/^12D3KooW/)
    expect(publicKeyOf(nodeId(operator))).not.toBeNull()
    expect(await run(['operator', 'public', path])).toEqual({ code: 0, stdout: `${operator}\n`, stderr: '' })
    expect(documentOf(await run(['operator', 'public', path, '--json']))).toEqual({ operator })
  })

  it('is never overwritten', async () => {
    const { path } = await newKey()
    const before = readFileSync(path, 'utf8')
    const { code, stderr } = await run(['operator', 'new', path])
    expect(code).toBe(1)
    expect(stderr).toContain('is there already')
    expect(readFileSync(path, 'utf8')).toBe(before)
  })

  it('that others can read is refused, and so is what is none, without quoting it', async () => {
    const { path } = await newKey()
    chmodSync(path, 0o640)
    const ran = await run(['operator', 'public', path])
    expect(ran.code).toBe(1)
    expect(ran.stderr).toContain(`chmod 600 ${path}`)
    writeFileSync(file('other'), 'hidden words', { mode: 0o600 })
    const other = await run(['operator', 'public', file('other'), '--json'])
    expect(documentOf(other)).toMatchObject({ error: { code: 'MUSTER_E_OPERATOR_KEY' } })
    expect(other.stdout + other.stderr).not.toContain('hidden words')
    expect((await run(['operator', 'public', file('missing')])).code).toBe(1)
  })
})

describe('--key', () => {
  it.each<readonly [string[], Command]>([
    [['node', 'revoke', 'rack-3', '--yes'], { verb: 'revoke', node: 'rack-3' }],
    [['node', 'approve', 'rack-3', '--server'], { verb: 'approve', node: 'rack-3', as: 'server' }],
    [['act', 'break', '7', '--yes'], { verb: 'act-break', attempt: 7 }],
  ])('signs %j in this cluster, at this index of the plan', async (words, command) => {
    await lab().start()
    const act = { kind: 'join', node: 'rack-3', attempt: 7, ageMs: 65_000 }
    lab().daemon.become({ ...readyStatus(), act })
    const { path, operator } = await newKey()
    const { code } = await run([...words, '--key', path, '--socket', lab().socket])
    expect(code).toBe(0)
    const [order] = lab().daemon.orders
    expect(order).toMatchObject({ command, by: { operator: { operator, index: 14 } } })
    const signature = order?.by.operator?.signature ?? new Uint8Array()
    expect(isSigned(operator, order?.command ?? command, 14, signature)).toBe(true)
    expect(isSigned(operator, order?.command ?? command, 15, signature)).toBe(false)
    expect(isSigned(operator, { verb: 'remove', node: 'rack-3' }, 14, signature)).toBe(false)
  })

  it('means nothing before there is a cluster', async () => {
    await lab().start()
    lab().daemon.become(formingStatus())
    const { path } = await newKey()
    const ran = await run(['node', 'promote', 'rack-2', '--key', path, '--socket', lab().socket, '--json'])
    expect(documentOf(ran)).toMatchObject({ error: { code: 'MUSTER_E_NOT_FOUNDED' } })
    expect(lab().daemon.orders).toEqual([])
  })

  it('that cannot be read gives no command', async () => {
    await lab().start()
    const { code } = await run(['node', 'promote', 'rack-2', '--key', file('none'), '--socket', lab().socket])
    expect([code, lab().daemon.orders]).toEqual([1, []])
  })
})
