/**
 * Which k3s the suite stands on: the double, or with K3S_BIN=/path/to/k3s the real one. Tests say what they need
 * beyond servers and their datastore; those whose needs are not met are not there, and are named in the report.
 */
import { accessSync, constants } from 'node:fs'
import { it } from 'vitest'
import { WITHOUT_KUBELET } from '../../sim/lab/k3s/without-kubelet.ts'

/** `node`: a kubelet, and so a Node object. `containerd`: containers really run. `double`: it can be told to fail. */
export type Need = 'node' | 'containerd' | 'double' | 'versions'

export interface Ground {
  /** Null for the double. */
  readonly binary: string | null
  readonly has: readonly Need[]
  /** Of a server without a kubelet, which a machine in namespaces cannot always hold. */
  readonly serverArguments: readonly string[]
}

/**
 * With K3S_BIN servers run without kubelet, unless K3S_NODES=1 says that this machine can hold containerd in a
 * network namespace. K3S_BIN_NEXT names the next version, for the tests of upgrades.
 */
export function groundOf(env: NodeJS.ProcessEnv): Ground {
  const binary = env.K3S_BIN ?? ''
  if (binary === '') return { binary: null, has: ['node', 'double', 'versions'], serverArguments: [] }
  accessSync(binary, constants.X_OK)
  const versions: Need[] = (env.K3S_BIN_NEXT ?? '') === '' ? [] : ['versions']
  if (env.K3S_NODES === '1') return { binary, has: ['node', 'containerd', ...versions], serverArguments: [] }
  return { binary, has: versions, serverArguments: WITHOUT_KUBELET }
}

export const ground = groundOf(process.env)

/** A test that is there only where its needs are met; where not, the report names it. */
export function needing(
  needs: readonly Need[],
  name: string,
  test: () => Promise<void>,
  timeoutMs = 120_000,
): void {
  const missing = needs.filter((need) => !ground.has.includes(need))
  if (missing.length === 0) it(name, { timeout: timeoutMs }, test)
  else process.stderr.write(`left out, for it needs ${missing.join(' and ')}: ${name}\n`)
}
