/** The one configuration of a lab's hosts, and the token in it. */
import { execa } from 'execa'
import { stringify } from 'yaml'
import type { Program } from './program.ts'

export interface ConfigurationOptions {
  readonly token: string
  readonly distribution: 'k3s' | 'etcd' | 'none'
  /** Any other keys under `muster.distribution:`. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly vpn?: { readonly mode?: 'wireguard' | 'none'; readonly cidr?: string }
  readonly discovery?: { readonly mdns?: boolean; readonly dht?: boolean; readonly peers?: readonly string[] }
  /** Any other keys under `muster:`. */
  readonly more?: Readonly<Record<string, unknown>>
}

export function configuration(options: ConfigurationOptions): string {
  const { token, distribution, settings, vpn, discovery, more } = options
  return stringify({
    muster: {
      token,
      distribution: { kind: distribution, ...settings },
      ...(vpn === undefined ? {} : { vpn }),
      ...(discovery === undefined ? {} : { discovery }),
      ...more,
    },
  })
}

/** A new token, by the command that a user has for it. */
export async function newToken(program: Program, expect: number, network = 'lab'): Promise<string> {
  const [file, ...args] = program.argv
  if (file === undefined) throw new Error('no program')
  const verb = ['token', 'new', '--expect', String(expect), '--network', network]
  const { stdout } = await execa(file, [...args, ...verb])
  return stdout.trim()
}
