/**
 * How k3s arrives at its flags: environment, then config.yaml and its drop-ins, then the command line, where the
 * later wins and lists add up. Unknown keys of config.yaml are skipped with a warning by `server` and
 * `etcd-snapshot`, and refused by `agent`; unknown flags of the command line are refused by all.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { type Command, flagNamed, flagsOfEnvironment } from './flags.ts'
import { Fatal, log } from './log.ts'

const DEFAULT_CONFIG = '/etc/rancher/k3s/config.yaml'

export class Flags {
  readonly #values = new Map<string, string[]>()
  /** What follows the flags. */
  readonly rest: string[] = []

  add(name: string, value: string, isList: boolean): void {
    this.#values.set(name, isList ? [...this.list(name), ...value.split(',')] : [value])
  }

  text(name: string): string {
    return this.#values.get(name)?.at(-1) ?? ''
  }

  list(name: string): string[] {
    return this.#values.get(name) ?? []
  }

  is(name: string, otherwise = false): boolean {
    const value = this.#values.get(name)?.at(-1)
    return value === undefined ? otherwise : value === 'true'
  }
}

export function readFlags(command: Command, args: readonly string[], env: NodeJS.ProcessEnv): Flags {
  const flags = new Flags()
  const path = configPath(args, env)
  const lenient = command === 'server' || command === 'etcd-snapshot'
  const configured =
    command === 'token' ? [] : flagsOfConfig(path).filter((flag) => !lenient || isKnown(command, flag))
  take(command, flags, [...flagsOfEnvironment(command, env), ...configured, ...args])
  return flags
}

function isKnown(command: Command, flag: string): boolean {
  const [shown = ''] = flag.split('=')
  if (flagNamed(command, shown.replace(/^-+/, '')) !== null) return true
  log('warning', `Unknown flag ${shown} found in config.yaml, skipping\n`)
  return false
}

function take(command: Command, flags: Flags, args: readonly string[]): void {
  const left = [...args]
  for (let argument = left.shift(); argument !== undefined; argument = left.shift()) {
    if (!argument.startsWith('-')) {
      flags.rest.push(argument, ...left)
      return
    }
    const [, given = '', , inline] = /^--?([^=]*)(=([\s\S]*))?$/.exec(argument) ?? []
    const flag = flagNamed(command, given)
    if (flag === null) throw new Fatal(`flag provided but not defined: -${given}`)
    const value = inline ?? (flag.kind === 'boolean' ? 'true' : left.shift())
    if (value === undefined) throw new Fatal(`flag needs an argument: -${given}`)
    if (flag.kind !== 'boolean') flags.add(flag.name, value, flag.kind === 'list')
    else flags.add(flag.name, String(truth(given, value)), false)
  }
}

function truth(name: string, value: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true
  if (/^(0|f|false)$/i.test(value)) return false
  throw new Fatal(`invalid boolean value "${value}" for -${name}: parse error`)
}

function configPath(args: readonly string[], env: NodeJS.ProcessEnv): string {
  if (env.K3S_CONFIG_FILE !== undefined && env.K3S_CONFIG_FILE !== '') return env.K3S_CONFIG_FILE
  for (const [i, argument] of args.entries()) {
    if (argument === '--config' || argument === '-c') return args[i + 1] ?? DEFAULT_CONFIG
    const inline = /^(--config|-c)=(.*)$/.exec(argument)?.[2]
    if (inline !== undefined) return inline
  }
  return DEFAULT_CONFIG
}

const Value = z.union([z.string(), z.number(), z.boolean(), z.null()])
const Config = z.record(z.string(), z.union([Value, z.array(Value)])).nullable()

/** As flags, in the order in which the keys first appear; `key+` adds to what earlier files said. */
function flagsOfConfig(path: string): string[] {
  const dropIns = existsSync(`${path}.d`)
    ? readdirSync(`${path}.d`)
        .filter((name) => /\.ya?ml$/i.test(name))
        .sort()
        .map((name) => join(`${path}.d`, name))
    : []
  const values = new Map<string, (string | number | boolean | null)[]>()
  for (const file of [path, ...dropIns]) {
    if (!existsSync(file)) continue
    for (const [key, value] of Object.entries(readConfig(file))) {
      const name = key.replace(/\+$/, '')
      const before = key.endsWith('+') ? (values.get(name) ?? []) : []
      values.set(name, [...before, ...(Array.isArray(value) ? value : [value])])
    }
  }
  return [...values].flatMap(([name, all]) =>
    all.map((value) => `${name.length === 1 ? '-' : '--'}${name}=${value ?? ''}`),
  )
}

function readConfig(file: string): NonNullable<z.infer<typeof Config>> {
  const parsed = Config.safeParse(parseYaml(file))
  if (!parsed.success) throw new Fatal(`yaml: unmarshal errors in ${file}: ${z.prettifyError(parsed.error)}`)
  return parsed.data ?? {}
}

function parseYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Fatal(`yaml: ${error instanceof Error ? error.message : String(error)}`)
  }
}
