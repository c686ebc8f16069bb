/** The claims of a run, one line each, and the two numbers at its end. */

export class Checks {
  #passed = 0
  #failed = 0

  /** Runs a claim: what throws or is false does not hold. A text is what was seen. Answers whether it holds. */
  async check(name: string, look: () => Promise<boolean | string>): Promise<boolean> {
    const start = performance.now()
    try {
      const seen = await look()
      const holds = seen !== false
      this.#tell(holds ? 'ok' : 'FAILED', name, typeof seen === 'string' ? seen : null, start)
      return holds
    } catch (error) {
      this.#tell('FAILED', name, error instanceof Error ? error.message : String(error), start)
      return false
    }
  }

  #tell(verdict: 'ok' | 'FAILED', name: string, seen: string | null, start: number): void {
    if (verdict === 'ok') this.#passed += 1
    else this.#failed += 1
    const time = ((performance.now() - start) / 1_000).toFixed(1)
    process.stdout.write(`${verdict.padEnd(6)}  ${name}${seen === null ? '' : `: ${seen}`}  (${time} s)\n`)
  }

  /** Prints the sum; whether all held. */
  end(): boolean {
    process.stdout.write(`\n${this.#passed} passed, ${this.#failed} failed\n`)
    return this.#failed === 0
  }
}
