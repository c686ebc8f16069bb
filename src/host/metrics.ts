/**
 * Figures for Prometheus. Counters come to be when something is first counted, by the dotted names of the log's
 * events (`message.refused` is muster_message_refused_total); gauges are read off the status when asked for.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { StatusDocument } from '../core/status.ts'

export type Labels = Readonly<Record<string, string>>

export interface Metrics {
  /** Adds one. Labels are small sets of words, never something that a peer chose. */
  count(name: string, labels?: Labels): void
  /** The counter's value with exactly these labels. */
  value(name: string, labels?: Labels): number
  /** Prometheus' text format; null while there is no status yet. */
  text(status: StatusDocument | null): Promise<string>
}

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Sets of labels per counter, and counters; whatever comes beyond is counted as `other`. */
const SERIES_MAX = 64
const COUNTERS_MAX = 512

interface Series {
  readonly labels: Labels
  count: number
}

export function createMetrics(): Metrics {
  const counters = new Map<string, Map<string, Series>>()

  const seriesOf = (name: string, labels: Labels): Series => {
    const counter = counters.has(name) || counters.size < COUNTERS_MAX ? name : 'other'
    const all = counters.get(counter) ?? new Map<string, Series>()
    counters.set(counter, all)
    const kept = all.has(keyOf(labels)) || all.size < SERIES_MAX ? labels : otherwise(labels)
    const series = all.get(keyOf(kept)) ?? { labels: kept, count: 0 }
    all.set(keyOf(kept), series)
    return series
  }

  return {
    count(name, labels = {}) {
      seriesOf(name, labels).count += 1
    },
    value: (name, labels = {}) => counters.get(name)?.get(keyOf(labels))?.count ?? 0,
    text(status) {
      const registry = new Registry()
      for (const [name, all] of counters) exposeCounter(registry, name, [...all.values()])
      exposeProcess(registry)
      if (status !== null) exposeStatus(registry, status)
      return registry.metrics()
    },
  }
}

const keyOf = (labels: Labels): string => JSON.stringify(Object.entries(labels).sort())

const otherwise = (labels: Labels): Labels =>
  Object.fromEntries(Object.keys(labels).map((name) => [name, 'other']))

const metricName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9]+/g, '_').toLowerCase()

function exposeCounter(registry: Registry, name: string, all: readonly Series[]): void {
  const labelNames = [...new Set(all.flatMap((series) => Object.keys(series.labels)))].sort()
  const full = `muster_${metricName(name)}_total`
  if (registry.getSingleMetric(full) !== undefined) return
  const counter = new Counter({ name: full, help: `How often: ${name}`, labelNames, registers: [registry] })
  for (const series of all) counter.inc(series.labels, series.count)
}

function exposeProcess(registry: Registry): void {
  const { user, system } = process.cpuUsage()
  const cpu = 'process_cpu_seconds_total'
  new Counter({ name: cpu, help: 'Processor time of this daemon', registers: [registry] }).inc(
    (user + system) / 1e6,
  )
  gauge(
    registry,
    'process_resident_memory_bytes',
    'Resident memory of this daemon',
    process.memoryUsage.rss(),
  )
  gauge(registry, 'process_uptime_seconds', 'Since this daemon started', process.uptime())
}

function exposeStatus(registry: Registry, status: StatusDocument): void {
  const { cluster, self, nodes, distribution } = status
  gauge(registry, 'muster_ready', 'Whether this node is ready', Number(self.stage === 'ready'))
  gauge(registry, 'muster_leader', 'Whether this node leads', Number(cluster.leader === self.id))
  gauge(registry, 'muster_has_leader', 'Whether a leader is in sight', Number(cluster.leader !== null))
  gauge(registry, 'muster_expect', 'Machines of the first day', cluster.expect)
  gauge(registry, 'muster_term', 'Term of the leader', cluster.term)
  if (cluster.planIndex !== null) gauge(registry, 'muster_plan_index', 'Index of the plan', cluster.planIndex)
  gauge(registry, 'muster_distribution_healthy', 'Whether the datastore is', Number(distribution.healthy))
  gauge(registry, 'muster_act', 'Whether an act is held', Number(status.act !== null))
  gauge(registry, 'muster_waiting_for', 'Things waited for', status.waitingFor.length)

  const known = new Gauge({
    name: 'muster_nodes',
    help: 'Known nodes',
    labelNames: ['role', 'alive'],
    registers: [registry],
  })
  for (const node of nodes) known.inc({ role: node.role, alive: String(node.alive) })
  const problems = new Gauge({
    name: 'muster_problems',
    help: 'Problems that status shows',
    labelNames: ['severity'],
    registers: [registry],
  })
  for (const severity of ['info', 'warning', 'error'] as const) {
    problems.set({ severity }, status.problems.filter((problem) => problem.severity === severity).length)
  }
}

function gauge(registry: Registry, name: string, help: string, value: number): void {
  new Gauge({ name, help, registers: [registry] }).set(value)
}
