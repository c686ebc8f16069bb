/**
 * What clients were promised. Each key has one writer, who writes 1, 2, 3, … to it, one at a time, until a write
 * fails; then it takes a new key. So of a key's end only two things are right: the last value that was
 * acknowledged, or the one whose fate nobody knows. A request that comes late can hide nothing.
 */

interface Entry {
  acknowledged: number
  /** The write without an answer; null before there is one. */
  open: number | null
}

export class Ledger {
  readonly #entries = new Map<string, Entry>()
  readonly #keys = new Map<string, number>()
  #acknowledged = 0
  #failed = 0
  #reads = 0
  readonly #staleReads: string[] = []

  /** The next write of this client. */
  next(client: string): { readonly key: string; readonly value: string } {
    const key = this.keyOf(client)
    const entry = this.#entries.get(key) ?? { acknowledged: 0, open: null }
    this.#entries.set(key, entry)
    entry.open = entry.acknowledged + 1
    return { key, value: String(entry.open) }
  }

  /** The key that this client writes to now. */
  keyOf(client: string): string {
    return `nemesis/${client}/${this.#keys.get(client) ?? 1}`
  }

  acknowledged(client: string): void {
    const entry = this.#entries.get(this.keyOf(client))
    if (entry === undefined || entry.open === null) throw new Error(`${client} has not written`)
    entry.acknowledged = entry.open
    entry.open = null
    this.#acknowledged++
  }

  failed(client: string): void {
    this.#failed++
    this.#keys.set(client, (this.#keys.get(client) ?? 1) + 1)
  }

  /** An answer while no write to the key was open: etcd reads through its quorum, so it must be the last. */
  read(client: string, value: string): void {
    this.#reads++
    const wanted = this.#entries.get(this.keyOf(client))?.acknowledged ?? 0
    if (value !== (wanted === 0 ? '' : String(wanted)))
      this.#staleReads.push(
        `${this.keyOf(client)}: read ${JSON.stringify(value)} after ${wanted} was acknowledged`,
      )
  }

  get counts(): { readonly acknowledged: number; readonly failed: number; readonly reads: number } {
    return { acknowledged: this.#acknowledged, failed: this.#failed, reads: this.#reads }
  }

  get staleReads(): readonly string[] {
    return this.#staleReads
  }

  /** What is wrong with the datastore's content, as one of its members has it. */
  judge(content: ReadonlyMap<string, string>): string[] {
    const faults: string[] = []
    for (const [key, { acknowledged, open }] of this.#entries) {
      const right = new Set([acknowledged, ...(open === null ? [] : [open])])
      const value = content.get(key)
      if (!right.has(Number(value ?? 0)))
        faults.push(`${key} is ${value ?? 'not there'}, right is ${[...right].join(' or ')}`)
    }
    for (const key of content.keys()) if (!this.#entries.has(key)) faults.push(`${key}: nobody wrote that`)
    return faults
  }
}
