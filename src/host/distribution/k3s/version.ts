/** What a k3s program says of itself. */

/** Reads the output of `k3s --version`; null where it is none. */
export function parseVersion(output: string): string | null {
  return /^k3s version (v\d{1,4}\.\d{1,4}\.\d{1,4}[A-Za-z0-9.+-]{0,64})(?:\s|$)/m.exec(output)?.[1] ?? null
}
