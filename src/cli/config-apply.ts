/** `muster config apply`: the plan takes over what a file says about the cluster as a whole. */
import { isDeepStrictEqual } from 'node:util'
import type { Command as Verb } from 'commander'
import { readConfig } from '../config.ts'
import type { ClusterSettings } from '../core/settings.ts'
import type { Context } from './context.ts'
import { giveOrder, ORDER_HELP, type OrderOptions, withConfirmation, withOrder } from './order.ts'
import { plain } from './plain.ts'

interface Options extends OrderOptions {
  readonly dryRun?: true
  readonly acceptDowntime?: true
}

const HELP = `${ORDER_HELP}
With --dry-run --json {"changes": [{"key", "from", "to"}]}.

Examples:
  muster config apply --dry-run /etc/muster/muster.yaml
  muster config apply /etc/muster/muster.yaml --why "k3s v1.34"`

/** One setting that differs. */
interface Change {
  readonly key: string
  readonly from: unknown
  readonly to: unknown
}

export function addConfigApply(config: Verb, context: Context): void {
  withConfirmation(withOrder(config.command('apply')))
    .summary('make the plan follow a file')
    .description(
      'What the file says about the cluster as a whole becomes the plan, for all machines; what belongs to one machine alone is left out. Other settings or another version of k3s reach one machine after the other.',
    )
    .argument('<file...>', 'configuration files, as `muster up` reads them')
    .option('--dry-run', 'show what would change, and change nothing')
    .option('--accept-downtime', 'also where too few servers are left while one restarts')
    .addHelpText('after', HELP)
    .action((files: string[], options: Options) => apply(files, options, context))
}

async function apply(files: readonly string[], options: Options, context: Context): Promise<void> {
  const { settings } = readConfig({ files, env: context.io.env, flags: {} })
  const current = await context.connect(options).settings()
  const wanted = differing(current.settings, settings.cluster)
  const changes = changesBetween(current.settings, wanted)
  if (options.dryRun === true && options.json === true) return context.printJson({ changes })
  if (changes.length === 0) {
    const message = 'the plan says the same as the file: nothing to change'
    return options.json === true ? context.printJson({ ok: true, message }) : context.print(message)
  }
  const lines = changes.map(({ key, from, to }) => `  ${plain(`${key}: ${text(from)} → ${text(to)}`)}`)
  if (options.dryRun === true) return context.print(lines.join('\n'))
  await giveOrder(
    { verb: 'config', settings: wanted, acceptDowntime: options.acceptDowntime === true },
    `For all machines:\n${lines.join('\n')}`,
    options,
    context,
  )
}

function differing(from: ClusterSettings, to: ClusterSettings): Partial<ClusterSettings> {
  const differs = Object.entries(to).filter(
    ([key, value]) => !isDeepStrictEqual(value, from[key as keyof ClusterSettings]),
  )
  return Object.fromEntries(differs)
}

/** Settings of k3s are named one by one: all of them together say nothing. */
function changesBetween(from: ClusterSettings, wanted: Partial<ClusterSettings>): Change[] {
  return Object.entries(wanted).flatMap(([key, to]) => {
    const before: unknown = from[key as keyof ClusterSettings]
    const now: unknown = to
    if (!isRecord(before) || !isRecord(now)) return [{ key, from: before, to }]
    return Object.keys(now)
      .filter((inner) => !isDeepStrictEqual(before[inner], now[inner]))
      .map((inner) => ({ key: `${key}.${inner}`, from: before[inner], to: now[inner] }))
  })
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
