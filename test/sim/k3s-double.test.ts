/** The double as a program, as far as it can be asked without a machine of its own. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installK3s } from '../../sim/lab/k3s/install.ts'

const root = mkdtempSync(join(tmpdir(), 'muster-k3s-double-'))
const k3s = join(root, 'k3s')
const env = { PATH: process.env.PATH ?? '' }

beforeAll(async () => {
  await installK3s(k3s, { version: 'v1.33.4+k3s1' })
})
afterAll(() => rmSync(root, { recursive: true }))

const run = (...args: string[]) => execa(k3s, args, { reject: false, env, extendEnv: false })

describe('the double of k3s', () => {
  it('says its version as k3s does, and is another file in another version', async () => {
    const before = createHash('sha256').update(readFileSync(k3s)).digest('hex')
    expect((await run('--version')).stdout).toMatch(
      /^k3s version v1\.33\.4\+k3s1 \([0-9a-f]{8}\)\ngo version go/,
    )
    const next = await installK3s(join(root, 'next'), { version: 'v1.34.1+k3s1' })
    expect((await execa(next, ['--version'], { env })).stdout).toContain('v1.34.1+k3s1')
    expect(createHash('sha256').update(readFileSync(next)).digest('hex')).not.toBe(before)
  })

  it.each(['server', 'agent'])('refuses a flag that k3s has not, as %s', async (command) => {
    const { exitCode, stderr } = await run(command, '--config', join(root, 'none.yaml'), '--no-such-flag')
    expect(exitCode).toBe(1)
    expect(stderr).toContain('level=fatal msg="flag provided but not defined: -no-such-flag"')
  })

  it('skips an unknown key of config.yaml with a warning as server, and refuses it as agent', async () => {
    const config = join(root, 'config.yaml')
    writeFileSync(config, 'no-such-key: 1\n')
    mkdirSync(`${config}.d`)
    writeFileSync(join(`${config}.d`, '50.yaml'), 'cluster-cidr: [nonsense]\n')
    const server = await run('server', '--config', config)
    expect(server.stderr).toContain('Unknown flag --no-such-key found in config.yaml, skipping')
    // That it went on to the drop-in is seen by what it says of it.
    expect(server.stderr).toContain('level=fatal msg="invalid cluster-cidr nonsense')
    const agent = await run('agent', '--config', config)
    expect(agent.stderr).toContain('level=fatal msg="flag provided but not defined: -no-such-key"')
  })

  it('knows no kubectl but get --raw, and says when there is no kubeconfig', async () => {
    expect((await run('kubectl', 'apply')).exitCode).toBe(1)
    const { stderr } = await run('kubectl', '--kubeconfig', join(root, 'none'), 'get', '--raw', '/readyz')
    expect(stderr).toBe(`error: stat ${join(root, 'none')}: no such file or directory`)
  })
})
